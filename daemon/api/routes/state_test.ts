import assert from "node:assert/strict";
import { ApiFixture, errorText } from "../../../tests/support/api_fixture.ts";

const hash = "0123456789012345678901234567890123456789";
const told = (name: string, machine: string, active = "active") =>
  `{"hash":"${hash}","machineID":"${machine}","name":"${name}","systemdActiveState":"${active}",` +
  `"systemdLoadState":"loaded","systemdSubState":"running"}`;

Deno.test("what machines say of units", async (test) => {
  await using api = await ApiFixture.open();
  const get = async (path: string) => (await api.send("GET", path)).text;
  await api.put("a.service", "launched");
  for (const machine of ["m2", "m1"]) await api.join(machine);
  await test.step("none: an empty page, and 404 for one", async () => {
    assert.equal(await get("/fleet/v1/state"), "{}");
    assert.equal(await get("/fleet/v1/state/a.service"), errorText(404, "unit state does not exist"));
  });
  await api.report("m2", "a.service", { active: "failed" });
  await api.report("m1", "a.service", {});
  await api.report("m1", "gone.service", {});
  const [a1, a2] = [told("a.service", "m1"), told("a.service", "m2", "failed")];
  const gone = told("gone.service", "m1");

  const filters: readonly (readonly [query: string, expected: readonly string[]])[] = [
    ["", [a1, a2, gone]],
    ["?unitName=a.service", [a1, a2]],
    ["?machineID=m1", [a1, gone]],
    ["?machineID=m1&unitName=a.service", [a1]],
    ["?machineID=&unitName=", [a1, a2, gone]],
    ["?unitName=gone.service&unitName=a.service", [gone]],
    ["?unitName=a", []],
    ["?machineID=m", []],
    ["?alt=json", [a1, a2, gone]],
  ];
  for (const [query, expected] of filters) {
    await test.step(`/state${query}`, async () => {
      const text = expected.length > 0 ? `{"states":[${expected.join(",")}]}` : "{}";
      assert.equal(await get(`/fleet/v1/state${query}`), text);
    });
  }
  await test.step("one: of the machine with the lowest ID", async () => {
    assert.equal(await get("/v1-alpha/state/a.service"), a1);
  });
  await test.step("one: of the unit's own machine, if it has one", async () => {
    await api.place("a.service", "m2");
    assert.equal(await get("/v1-alpha/state/a.service"), a2);
  });
  await test.step("what systemd does not say is left out", async () => {
    await api.report("m1", "bare.service", { hash: "", load: "", active: "", sub: "" });
    assert.equal(await get("/fleet/v1/state/bare.service"), '{"machineID":"m1","name":"bare.service"}');
  });
});
