// @odata/client in both forms.

const { OData } = require("@odata/client");
const { journals, line, lines, numbers, report, spoilt, told } = require("./common.cjs");

const isMultipart = told.form === "multipart";

/** Its Accept is that of the operations, and Business Central answers a batch as Accept says. */
async function fetchProxy(url, init) {
  const headers = isMultipart ? { ...init.headers, Accept: "multipart/mixed" } : init.headers;
  const response = await fetch(url, { ...init, headers });
  const text = await response.text();
  return { content: isMultipart ? text : JSON.parse(text), response };
}

async function send(place, ...requests) {
  const client = OData.New4({ serviceEndpoint: `${place.base}/v2.0/`, commonHeaders: place.headers, fetchProxy });
  const made = requests.map((one) => client.newBatchRequest(one));
  const found = await (isMultipart ? client.execBatchRequests(made) : client.execBatchRequestsJson(made));
  return Promise.all(found.map(async (one) => [one.raw?.id, one.status, (await one.json())?.documentNumber ?? null]));
}

const read = (requestId, collection) => ({ requestId, collection, method: "GET" });
const insert = (requestId, collection, entity, more = {}) => ({ requestId, collection, method: "POST", entity, ...more });

const scenes = {
  works: (place) =>
    send(place, read("r", "companies"), insert("1", lines(place), line("1")), insert("2", lines(place), line("2"))),
  fails: (place) =>
    send(
      place,
      insert("3", lines(place), line("3")),
      insert("bad", lines(place), spoilt("bad")),
      insert("4", lines(place), line("4")),
    ),
  depends: (place) =>
    send(
      place,
      insert("j", journals(), { code: place.code }),
      insert("5", "$j/journalLines", line("5"), { dependsOn: ["j"] }),
    ),
  group: (place) =>
    send(
      place,
      insert("a", lines(place), line("a"), { atomicityGroup: "g" }),
      insert("b", lines(place), spoilt("b"), { atomicityGroup: "g" }),
    ),
  most: (place) => send(place, ...numbers(150).map((id) => insert(id, lines(place), line(`n${id}`)))),
};

// In multipart it writes no Content-ID, and makes a change set of each request that writes.
const { works, fails, most } = scenes;
report(isMultipart ? { works, fails, most } : scenes);
