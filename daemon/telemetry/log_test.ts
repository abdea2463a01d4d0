import assert from "node:assert/strict";

const log = new URL("./log.ts", import.meta.url).href;

/** What a program that logs writes to stderr. */
async function logged(options: string, calls: string): Promise<string[]> {
  const program = `import { logOf, openLog } from "${log}"; const log = openLog(${options}); ${calls}`;
  const { stderr } = await new Deno.Command(Deno.execPath(), { args: ["eval", program] }).output();
  return new TextDecoder().decode(stderr).trimEnd().split("\n");
}

const text = `{ logSettings: () => ({ verbosity: 0, logFormat: "text" }), journal: false }`;
const json = `{ logSettings: () => ({ verbosity: 1, logFormat: "json" }), journal: false }`;
const journal = `{ logSettings: () => ({ verbosity: 0, logFormat: "text" }), journal: true }`;

Deno.test("a log line is one line, with its fields, and debug only when asked for", async () => {
  const calls = `log("debug", "no"); logOf("agent", log)("warn", "two\\nlines", { unit: "a b", gone: undefined });`;
  assert.deepEqual(await logged(text, calls), [`WARN two\\nlines component=agent unit="a b"`]);
});

Deno.test("under systemd a line begins with its priority", async () => {
  assert.deepEqual(await logged(journal, `log("error", "e"); log("info", "i");`), ["<3>e", "<6>i"]);
});

Deno.test("JSON lines hold the same", async () => {
  const [line] = await logged(json, `logOf("api", log)("debug", "two\\nlines", { unit: "a" });`);
  const { time, ...rest } = JSON.parse(line!);
  assert.ok(Math.abs(Date.parse(time) - Date.now()) < 60_000);
  assert.deepEqual(rest, { level: "debug", message: "two\nlines", component: "api", unit: "a" });
});

Deno.test("what a client has chosen neither moves a cursor nor hides a line", async () => {
  const chosen = "x\\x1b[2K\\x9b1A\\x7f\\u2028\\u202e\\u{e0001}\\r\\ty";
  const calls = `log("warn", "said ${chosen}", { as: "${chosen}", quiet: "\\x9bz", plain: "h\\u00e9" });`;
  const told = String.raw`x\u001b[2K\u009b1A\u007f\u2028\u202e\udb40\udc01`;
  assert.deepEqual(await logged(text, calls), [
    String.raw`WARN said ${told}\u000d\u0009y as="${told}\r\ty" quiet="\u009bz" plain=hé`,
  ]);
  const [line] = await logged(json, calls);
  assert.doesNotMatch(line!, /[\p{C}\u2028\u2029]/u);
  assert.deepEqual(JSON.parse(line!).quiet, "\x9bz");
});
