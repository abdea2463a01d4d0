import assert from "node:assert/strict";
import { NewestMap } from "./newest_map.ts";

Deno.test("the entries that were set first are deleted beyond the limit", () => {
  const map = new NewestMap<string, number>(2);
  for (const [value, key] of ["a", "b", "a", "c"].entries()) map.set(key, value);
  assert.deepEqual([...map], [["a", 2], ["c", 3]]);
  assert.equal(map.set("a", 4).set("d", 5).get("a"), 4);
  assert.deepEqual([...map.keys()], ["a", "d"]);
});
