// odata (o.js): multipart/mixed, with and without change sets.

const { o } = require("odata");
const { journals, line, lines, numbers, report, spoilt, told } = require("./common.cjs");

// Its default for referrer is one that only browsers know. The key is the batch's, not that of each operation.
const client = (place) =>
  o(`${place.base}/v2.0/`, {
    referrer: "about:client",
    batch: {
      boundaryPrefix: "batch_",
      changsetBoundaryPrefix: "changeset_",
      endpoint: "$batch",
      headers: new Headers(place.headers),
      useChangset: told.changeSets,
    },
  });

async function send(place, add) {
  const batch = client(place);
  add(batch);
  const found = await batch.batch();
  return found.map((one) => [String(one.contentId), one.status, one.body?.documentNumber ?? null]);
}

report({
  works: (place) =>
    send(place, (batch) => batch.post(lines(place), line("1")).post(lines(place), line("2")).get("companies")),
  fails: (place) =>
    send(place, (batch) =>
      batch.post(lines(place), line("3")).post(lines(place), spoilt("bad")).post(lines(place), line("4")),
    ),
  refers: (place) =>
    send(place, (batch) =>
      batch.post(journals(), { code: place.code }).post("$1/journalLines", line("5")),
    ),
  most: (place) =>
    send(place, (batch) => numbers(told.changeSets ? 90 : 150).forEach((id) => batch.post(lines(place), line(`n${id}`)))),
});
