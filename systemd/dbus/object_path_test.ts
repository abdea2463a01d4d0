import assert from "node:assert/strict";
import { resultInterface, unitObjectPath } from "./object_path.ts";

const unit = "/org/freedesktop/systemd1/unit/";

Deno.test("object paths of units", async (test) => {
  // The first six are what LoadUnit() of systemd 252 answers.
  const cases: Record<string, string> = {
    "hello.service": "hello_2eservice",
    "a-b@x.y.service": "a_2db_40x_2ey_2eservice",
    "foo\\x2dbar.service": "foo_5cx2dbar_2eservice",
    "9lives.service": "_39lives_2eservice",
    "a9.mount": "a9_2emount",
    "under_score:.timer": "under_5fscore_3a_2etimer",
    "é.service": "_c3_a9_2eservice",
    "": "_",
  };
  for (const [name, path] of Object.entries(cases)) {
    await test.step(`"${name}"`, () => assert.equal(unitObjectPath(name), unit + path));
  }
});

Deno.test("types that have a Result", () => {
  assert.equal(resultInterface("a.b.service"), "org.freedesktop.systemd1.Service");
  assert.equal(resultInterface("a.automount"), "org.freedesktop.systemd1.Automount");
  assert.equal(resultInterface("a.target"), undefined);
});
