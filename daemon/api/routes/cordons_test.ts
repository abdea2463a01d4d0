import assert from "node:assert/strict";
import { ApiFixture } from "../../../tests/support/api_fixture.ts";

const peer = { as: "ann", connection: { kind: "network", remote: "10.0.0.9:4711", hosts: [""] } } as const;

Deno.test("a cordoned machine is listed with author, time and reason, and keeps new units away until it is uncordoned", async () => {
  await using api = await ApiFixture.open();
  await api.join("m1");
  const put = await api.send("PUT", "/fleet/v1/machines/m1/cordon", { body: { why: "disk" }, peer });
  assert.equal(put.code, 204, put.text);
  const { cordons: [cordon, ...more] } = JSON.parse((await api.send("GET", "/fleet/v1/cordons")).text);
  assert.deepEqual(more, []);
  assert.deepEqual({ ...cordon, at: 0 }, { machineID: "m1", by: "ann from 10.0.0.9", why: "disk", at: 0 });
  assert.ok(cordon.at > 0);
  const { machines: [machine] } = JSON.parse((await api.send("GET", "/fleet/v1/machines")).text);
  assert.deepEqual(machine, { id: "m1", cordon });

  await api.put("a.service", "launched");
  await api.schedule();
  const { outcome, machines } = JSON.parse((await api.send("GET", "/fleet/v1/units/a.service/explain")).text);
  assert.equal(outcome, "waiting");
  assert.equal(machines[0].reasons[0].rule, "Cordon");
  assert.match(machines[0].reasons[0].reason, /cordoned.*by ann from 10\.0\.0\.9 at .*: disk$/);
  const plan = await api.send("POST", "/fleet/v1/plan", { body: { units: [{ name: "a.service" }] } });
  assert.match((await api.send("GET", "/fleet/v1/backup")).text, /"cordons":\[\{"at"/);
  assert.equal(plan.code, 200);

  assert.equal((await api.send("DELETE", "/fleet/v1/machines/m1/cordon")).code, 204);
  assert.equal((await api.send("DELETE", "/fleet/v1/machines/m1/cordon")).code, 404);
  await api.schedule();
  assert.equal((await api.registry.read()).targets.get("a.service")?.machine, "m1");
});

Deno.test("a machine that is absent can be cordoned", async () => {
  await using api = await ApiFixture.open();
  assert.equal((await api.send("PUT", "/fleet/v1/machines/m9/cordon", { body: {} })).code, 204);
  const { cordons } = JSON.parse((await api.send("GET", "/fleet/v1/cordons")).text);
  assert.deepEqual(cordons, [{ machineID: "m9" }]);
  assert.equal((await api.send("PUT", `/fleet/v1/machines/${"m".repeat(300)}/cordon`, { body: {} })).code, 400);
});
