import assert from "node:assert/strict";

const log = new URL("./log.ts", import.meta.url).href;

/** Returns the lines that a program which logs writes to stderr. */
async function logged(options: string, calls: string): Promise<string[]> {
  const program = `import { logOf, openLog } from "${log}"; const log = openLog(${options}); ${calls}`;
  const { stderr } = await new Deno.Command(Deno.execPath(), { args: ["eval", program] }).output();
  return new TextDecoder().decode(stderr).trimEnd().split("\n");
}

const text = `{ logSettings: () => ({ verbosity: 0, logFormat: "text" }), journal: false }`;
const json = `{ logSettings: () => ({ verbosity: 1, logFormat: "json" }), journal: false }`;
const journal = `{ logSettings: () => ({ verbosity: 0, logFormat: "text" }), journal: true }`;

Deno.test("a log line is one line with its fields, and debug lines are written only when verbose", async () => {
  const calls = `log("debug", "no"); logOf("agent", log)("warn", "two\\nlines", { unit: "a b", gone: undefined });`;
  assert.deepEqual(await logged(text, calls), [`WARN two\\nlines component=agent unit="a b"`]);
});

Deno.test("under systemd a line begins with its priority", async () => {
  assert.deepEqual(await logged(journal, `log("error", "e"); log("info", "i");`), ["<3>e", "<6>i"]);
});

Deno.test("JSON lines have the same content", async () => {
  const [line] = await logged(json, `logOf("api", log)("debug", "two\\nlines", { unit: "a" });`);
  const { time, ...rest } = JSON.parse(line!);
  assert.ok(Math.abs(Date.parse(time) - Date.now()) < 60_000);
  assert.deepEqual(rest, { level: "debug", message: "two\nlines", component: "api", unit: "a" });
});

Deno.test("control characters in a logged text are escaped", async () => {
  const chosen = "x\\x1b[2K\\x9b1A\\x7f\\u2028\\u202e\\u{e0001}\\r\\ty";
  const calls = `log("warn", "text ${chosen}", { as: "${chosen}", quiet: "\\x9bz", plain: "h\\u00e9" });`;
  const escaped = String.raw`x\u001b[2K\u009b1A\u007f\u2028\u202e\udb40\udc01`;
  assert.deepEqual(await logged(text, calls), [
    String.raw`WARN text ${escaped}\u000d\u0009y as="${escaped}\r\ty" quiet="\u009bz" plain=hé`,
  ]);
  const [line] = await logged(json, calls);
  assert.doesNotMatch(line!, /[\p{C}\u2028\u2029]/u);
  assert.deepEqual(JSON.parse(line!).quiet, "\x9bz");
});

Deno.test("errors and bigints in fields are written as text in both formats", async () => {
  const calls =
    `log("warn", "failed", { error: new Error("refused", { cause: new Error("no route") }), revision: 7n });`;
  assert.deepEqual(await logged(text, calls), ['WARN failed error="refused: no route" revision=7']);
  const { error, revision } = JSON.parse((await logged(json, calls))[0]!);
  assert.deepEqual([error, revision], ["refused: no route", "7"]);
});
