import assert from "node:assert/strict";
import { commands } from "./index.ts";

Deno.test("commands are in the order of their names, and flags of one name are of one kind", () => {
  const names = commands.map((command) => command.name);
  assert.deepEqual(names, names.toSorted());
  const kinds = new Map<string, string>();
  for (const { name, kind } of commands.flatMap((command) => command.flags)) {
    assert.equal(kinds.get(name) ?? kind, kind, `--${name}`);
    kinds.set(name, kind);
  }
});

Deno.test("every command has a summary of one line, and an example that runs it", () => {
  for (const { name, summary, examples } of commands) {
    assert.match(summary, /^[A-Z][^.\n]{5,60}$/, name);
    assert.ok(examples.length > 0, name);
    for (const { title, line } of examples) {
      assert.match(title, /^[A-Z][^\n]*[^.\n]$/, name);
      assert.match(line, new RegExp(`\\bfleetctl (--?\\S+ )*${name}\\b`), name);
    }
  }
});
