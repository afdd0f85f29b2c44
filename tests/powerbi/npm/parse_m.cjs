// Parses M expressions: reads {name: expression} as JSON from standard input, writes {name: mistake or null}.
const { DefaultSettings, ResultUtils, TaskUtils } = require("@microsoft/powerquery-parser");

async function main() {
  const expressions = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
  const mistakes = {};
  for (const [name, expression] of Object.entries(expressions)) {
    const task = await TaskUtils.tryLexParse(DefaultSettings, expression);
    mistakes[name] = TaskUtils.isParseStageOk(task) ? null : String(task.error?.message ?? task.resultKind);
  }
  process.stdout.write(JSON.stringify(mistakes));
}

main();
