import assert from "node:assert/strict";
import { FakeApi } from "./fake_api.ts";
import { fleetctl } from "./fake_io.ts";
import { isPattern, patternMatches } from "./globs.ts";

const cases: [string, string, boolean][] = [
  ["*", "a.service", true],
  ["web@*", "web@1.service", true],
  ["web@*", "web.service", false],
  ["web@?", "web@1.service", true],
  ["web@?", "web@12.service", false],
  ["*.socket", "a.socket", true],
  ["*.socket", "a.service", false],
  ["db[1-2]", "db2.service", true],
  ["db[!1-2]", "db2.service", false],
  ["a.*", "a.service", true],
  ["a.*", "ab.service", false],
  ["a+*", "a+b.service", true],
];

for (const [pattern, name, matches] of cases) {
  Deno.test(`patterns: ${pattern} ${matches ? "means" : "does not mean"} ${name}`, () => {
    assert.equal(patternMatches(pattern, name), matches);
  });
}

Deno.test("patterns: a directory's name makes no pattern", () => assert.ok(!isPattern("/srv/[old]/a.service")));

Deno.test("patterns: a command takes the units that are meant, once each, and says when there is none", async () => {
  const api = new FakeApi();
  for (const name of ["web@1.service", "web@2.service", "db.service"]) {
    api.add(name, "launched", "Service.ExecStart=/bin/true");
  }
  const ran = await fleetctl(api, "stop web@* web@1");
  assert.equal(ran.stderr, "Successfully stopped units [web@1.service web@2.service].\n");
  assert.equal(api.units.get("db.service")?.desiredState, "launched");
  assert.equal((await fleetctl(api, "stop nosuch*")).stderr, "Units not found in registry\n");
});
