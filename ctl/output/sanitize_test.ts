import assert from "node:assert/strict";
import { printable, printableLine, PrintableStream } from "./sanitize.ts";

Deno.test("control sequences are shown as escapes", () => {
  assert.equal(printable("a\x1b]0;title\x07b\x1b[2Jc\x9b31md\x7f"), "a\\x1b]0;title\\x07b\\x1b[2Jc\\x9b31md\\x7f");
  assert.equal(printable("over\rwritten\b"), "over\\x0dwritten\\x08");
});

Deno.test("characters that reorder a line are shown as escapes", () => {
  // Bidi_Control of Unicode's PropList.txt, and the line and paragraph separators.
  const all = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029";
  const escapes = [...all].map((each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, "0")}`).join("");
  assert.equal(printable(`a${all}b`), `a${escapes}b`);
});

Deno.test("colors, tabs, line ends and letters of any script stay", () => {
  const text = "\x1b[1;32mok\x1b[0m\tä 日本 🚀\r\nnext\n";
  assert.equal(printable(text), text);
});

Deno.test("a color ends with its line, so that it cannot hide the lines of others", () => {
  assert.equal(printable("\x1b[8mhidden\r\nnext\n"), "\x1b[8mhidden\x1b[0m\r\nnext\n");
  assert.equal(printable("\x1b[0;8m\x1b[30m\n"), "\x1b[0;8m\x1b[30m\x1b[0m\n");
  assert.equal(printableLine("\x1b[31mred"), "\x1b[31mred\x1b[0m");
  assert.equal(printableLine("\x1b[31mred\x1b[m"), "\x1b[31mred\x1b[m");
});

Deno.test("links lose their target", () => {
  assert.equal(printable("\x1b]8;;file:///x\x07name\x1b]8;;\x07 \x1b]8;;http://y\x1b\\n\x1b]8;;\x1b\\"), "name n");
});

Deno.test("a line feed inside a line is shown as an escape", () => {
  assert.equal(printableLine("a\nb\r\nc"), "a\\nb\\x0d\\nc");
});

Deno.test("sequences are found wherever a stream is cut", () => {
  const text = "x\x1b[31mred\x1b[0m ü\r\n\x1b]8;;f\x07y\x1b]8;;\x1b\\\x1b[2Jz\x1b";
  const bytes = new TextEncoder().encode(text);
  for (let cut = 0; cut <= bytes.length; cut++) {
    const stream = new PrintableStream();
    const parts = [stream.take(bytes.slice(0, cut)), stream.take(bytes.slice(cut)), stream.end()];
    const shown = parts.map((part) => new TextDecoder().decode(part)).join("");
    assert.equal(shown, "x\x1b[31mred\x1b[0m ü\r\ny\\x1b[2Jz\\x1b", `cut at ${cut}`);
  }
});
