import assert from "node:assert/strict";
import { keepNewest } from "./keep_newest.ts";

Deno.test("the entries inserted first are deleted beyond the limit", () => {
  const map = new Map([["a", 1], ["b", 2], ["c", 3], ["d", 4]]);
  keepNewest(map, 4);
  assert.equal(map.size, 4);
  map.delete("a");
  map.set("a", 5);
  keepNewest(map, 2);
  assert.deepEqual([...map.keys()], ["d", "a"]);
  const set = new Set(["a", "b"]);
  keepNewest(set, 1);
  assert.deepEqual([...set], ["b"]);
});
