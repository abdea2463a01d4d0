import assert from "node:assert/strict";

Deno.test("control characters in a text are escaped on both standard streams, except line feeds", async () => {
  const module = JSON.stringify(import.meta.resolve("./streams.ts"));
  const text = JSON.stringify("one\n\x1b[2J\x9b\u202e\r\n");
  const program = `import { writeError, writeOut } from ${module}; writeOut(${text}); writeError(${text});`;
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), { args: ["eval", program] }).output();
  for (const bytes of [stdout, stderr]) {
    assert.equal(new TextDecoder().decode(bytes), String.raw`one|\u001b[2J\u009b\u202e\u000d|`.replaceAll("|", "\n"));
  }
});
