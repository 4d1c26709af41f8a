// @microsoft/microsoft-graph-client: its batch contents, and its middleware against another base URL.

const { BatchRequestContent, BatchResponseContent, Client } = require("@microsoft/microsoft-graph-client");
const { line, lines, numbers, report, spoilt } = require("./common.cjs");

// It cuts the origin off the URL of each request, and leaves the slash after it: it can't write $<id>.
const request = (id, url, body, dependsOn) => ({
  id,
  dependsOn,
  request: new Request(`https://bc.example/${url}`, {
    method: body ? "POST" : "GET",
    headers: body ? { "Content-Type": "application/json" } : {},
    body: body && JSON.stringify(body),
  }),
});

async function send(place, ...steps) {
  const client = Client.init({ baseUrl: place.base, defaultVersion: "v2.0", authProvider: (done) => done(null, "none") });
  const content = await new BatchRequestContent(steps).getContent();
  const answer = await client.api("/$batch").headers({ ...place.headers, Accept: "application/json" }).post(content);
  const read = new BatchResponseContent(answer);
  return answer.responses.map((one) => [one.id, read.getResponseById(one.id).status, one.body?.documentNumber ?? null]);
}

report({
  works: (place) =>
    send(place, request("r", "companies"), request("1", lines(place), line("1")), request("2", lines(place), line("2"))),
  fails: (place) =>
    send(
      place,
      request("3", lines(place), line("3")),
      request("bad", lines(place), spoilt("bad")),
      request("4", lines(place), line("4")),
    ),
  depends: (place) =>
    send(
      place,
      request("5", lines(place), line("5")),
      request("6", lines(place), line("6"), ["5"]),
      request("bad", lines(place), spoilt("bad"), ["6"]),
      request("7", lines(place), line("7"), ["bad"]),
    ),
  most: async (place) => send(place, ...numbers(21).map((id) => request(id, lines(place), line(id)))),
});
