// Analyses KQL queries with the language service of Kusto: its diagnostics and the columns of the result, by name.

require("@kusto/language-service-next/bridge.min.js");
require("@kusto/language-service-next/Kusto.Language.Bridge.min.js");

const common = "timestamp: datetime, operation_Name: string, customDimensions: dynamic";
// The columns of Application Insights that the queries use; with a table that has no rows they need no server.
const tables = { traces: "message: string", exceptions: "type: string" };
const schema = Object.entries(tables)
  .map(([name, columns]) => `let ${name} = datatable(${common}, ${columns}) [];\n`)
  .join("");

const list = (found) => Array.from({ length: found.Count }, (_, place) => found.getItem(place));

const look = (text) => {
  const code = Kusto.Language.KustoCode.ParseAndAnalyze(schema + text, Kusto.Language.GlobalState.Default);
  const messages = list(code.GetDiagnostics()).map((one) => one.Message);
  return { messages, columns: code.ResultType ? list(code.ResultType.Columns).map((one) => one.Name) : [] };
};

const { queries } = JSON.parse(process.argv[2]);
console.log(JSON.stringify(Object.fromEntries(Object.entries(queries).map(([name, text]) => [name, look(text)]))));
