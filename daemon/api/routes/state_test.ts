import assert from "node:assert/strict";
import { ApiFixture, errorText } from "../../../tests/support/api_fixture.ts";

const hash = "0123456789012345678901234567890123456789";
const entity = (name: string, machine: string, active = "active") =>
  `{"hash":"${hash}","machineID":"${machine}","name":"${name}","systemdActiveState":"${active}",` +
  `"systemdLoadState":"loaded","systemdSubState":"running"}`;

Deno.test("GET /state returns the states of units on machines", async (test) => {
  await using api = await ApiFixture.open();
  const get = async (path: string) => (await api.send("GET", path)).text;
  await api.put("a.service", "launched");
  for (const machine of ["m2", "m1"]) await api.join(machine);
  await test.step("without states the page is empty, and a single state is 404", async () => {
    assert.equal(await get("/fleet/v1/state"), "{}");
    assert.equal(await get("/fleet/v1/state/a.service"), errorText(404, "unit state does not exist"));
  });
  await api.report("m2", "a.service", { active: "failed" });
  await api.report("m1", "a.service", {});
  await api.report("m1", "gone.service", {});
  const [a1, a2] = [entity("a.service", "m1"), entity("a.service", "m2", "failed")];
  const gone = entity("gone.service", "m1");

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
  await test.step("a single state is that of the machine with the lowest ID", async () => {
    assert.equal(await get("/v1-alpha/state/a.service"), a1);
  });
  await test.step("a single state is that of the machine that the unit is placed on", async () => {
    await api.place("a.service", "m2");
    assert.equal(await get("/v1-alpha/state/a.service"), a2);
  });
  await test.step("empty fields are absent", async () => {
    await api.report("m1", "bare.service", { hash: "", load: "", active: "", sub: "" });
    assert.equal(await get("/fleet/v1/state/bare.service"), '{"machineID":"m1","name":"bare.service"}');
  });
});
