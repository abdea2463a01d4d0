import assert from "node:assert/strict";
import { commands } from "./index.ts";

Deno.test("commands are in the order of their names, and flags of one name or letter are of one kind", () => {
  const names = commands.map((command) => command.name);
  assert.deepEqual(names, names.toSorted());
  const kinds = new Map<string, string>();
  for (const { name, letter, kind } of commands.flatMap((command) => command.flags)) {
    for (const each of [name, ...letter ? [letter] : []]) {
      assert.equal(kinds.get(each) ?? kind, kind, `--${each}`);
      kinds.set(each, kind);
    }
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

Deno.test("no line of a command's description is longer than 120 characters", () => {
  for (const { name, description = "" } of commands) {
    assert.deepEqual(description.split("\n").filter((line) => line.length > 120), [], name);
  }
});
