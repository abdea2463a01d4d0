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
