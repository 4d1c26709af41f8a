// What the scripts share: what they are told, the operations, and how they report.

const told = JSON.parse(process.argv[2]);

const journals = () => `companies(${told.company})/journals`;
const lines = (place) => `${journals()}(${place.journal})/journalLines`;
const line = (documentNumber, more = {}) => ({ documentNumber, amount: 1.5, postingDate: "2020-10-20", ...more });
const spoilt = (documentNumber) => line(documentNumber, { postingDate: "x" });
const numbers = (count) => Array.from({ length: count }, (_, index) => `${index + 1}`);

/** Run `scenes` at each place that they are told, and print what they find. */
async function report(scenes) {
  const found = {};
  for (const [name, place] of Object.entries(told.places)) {
    found[name] = {};
    for (const [scene, play] of Object.entries(scenes)) {
      found[name][scene] = await play(place).catch((error) => ({ error: String(error.message || error.body || error.status || error) }));
    }
  }
  process.stdout.write(JSON.stringify(found));
}

module.exports = { told, journals, lines, line, spoilt, numbers, report };
