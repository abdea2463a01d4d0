import assert from "node:assert/strict";

const log = new URL("./log.ts", import.meta.url).href;

/** What a program that logs writes to stderr. */
async function logged(options: string, calls: string): Promise<string[]> {
  const program = `import { logOf, openLog } from "${log}"; const log = openLog(${options}); ${calls}`;
  const { stderr } = await new Deno.Command(Deno.execPath(), { args: ["eval", program] }).output();
  return new TextDecoder().decode(stderr).trimEnd().split("\n");
}

const text = `{ manner: () => ({ verbosity: 0, logFormat: "text" }), journal: false }`;
const json = `{ manner: () => ({ verbosity: 1, logFormat: "json" }), journal: false }`;
const journal = `{ manner: () => ({ verbosity: 0, logFormat: "text" }), journal: true }`;

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
