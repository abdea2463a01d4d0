import assert from "node:assert/strict";
import { FakeApi } from "../testing/fake_api.ts";
import { expandPatterns, isPattern, unitMatcher } from "./select.ts";

const cases: [string, string, boolean][] = [
  ["*", "a.service", true],
  ["web@*", "web@1.service", true],
  ["web@*", "web.service", false],
  ["web@?", "web@1.service", true],
  ["web@?", "web@12.service", false],
  ["*.socket", "a.socket", true],
  ["*.socket", "a.service", false],
  ["db[1-2]", "db2.service", true],
  ["db[^1-2]", "db2.service", false],
  ["db[^1-2]", "db3.service", true],
  ["a\\*", "a.service", false],
  ["a@\\x2d.service", "a@\\x2d.service", true],
  ["a@\\x2d", "a@\\x2d.service", true],
  ["a@\\*", "a@\\x2d.service", true],
  ["*\\", "a\\.service", true],
  ["a.*", "a.service", true],
  ["a.*", "ab.service", false],
  ["a+*", "a+b.service", true],
];

for (const [pattern, name, matches] of cases) {
  Deno.test(`patterns: ${pattern} ${matches ? "matches" : "does not match"} ${name}`, () => {
    assert.equal(unitMatcher(pattern)(name), matches);
  });
}

Deno.test("patterns: special characters in the directory do not make a pattern", () =>
  assert.ok(!isPattern("/srv/[old]/a.service")));

Deno.test("patterns: a name that no unit can have is never selected, whatever the server sends", async () => {
  const api = new FakeApi();
  for (const name of ["../../etc/a.service", "--flag=x.service", "$(x).service", "a\n.service", "a.service"]) {
    api.add(name, "launched");
  }
  const { args, matched } = await expandPatterns(["dir/*"], api.client(), "every unit");
  assert.deepEqual([args, [...matched.keys()]], [["dir/a.service"], ["a.service"]]);
});
