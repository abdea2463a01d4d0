import assert from "node:assert/strict";
import { topologicalSort } from "./topological_sort.ts";

const cases: readonly { name: string; dependencies: Readonly<Record<string, string>>; order: string }[] = [
  { name: "without dependencies keep their order", dependencies: { c: "", a: "", b: "" }, order: "c a b" },
  {
    name: "come after their dependencies, in the order of these",
    dependencies: { a: "cb", b: "", c: "" },
    order: "c b a",
  },
  { name: "come after what their dependencies depend on", dependencies: { a: "b", b: "c", c: "" }, order: "c b a" },
  { name: "with a common dependency are listed once", dependencies: { a: "c", b: "c", c: "" }, order: "c a b" },
  { name: "in a cycle are all listed", dependencies: { a: "b", b: "c", c: "a", d: "" }, order: "c b a d" },
  { name: "that depend on themselves are listed", dependencies: { a: "a" }, order: "a" },
];

for (const { name, dependencies, order } of cases) {
  Deno.test(`items ${name}`, () => {
    assert.equal(topologicalSort(Object.keys(dependencies), (item) => [...dependencies[item]!]).join(" "), order);
  });
}

Deno.test("a chain may be longer than the call stack", () => {
  const items = Array.from({ length: 100_000 }, (_, index) => index);
  assert.deepEqual(topologicalSort(items, (item) => item + 1 < items.length ? [item + 1] : []), items.toReversed());
});
