import assert from "node:assert/strict";
import { ApiFixture } from "../../../tests/support/api_fixture.ts";
import type { BackupEntity } from "../v1/types.ts";

Deno.test("GET /backup returns every unit in the order of launch, and all dynamic metadata", async () => {
  await using api = await ApiFixture.open();
  await api.join("m1", "10.0.0.1", { zone: "a", disk: "ssd" });
  const label = { op: "add", path: "/absent/metadata/rack", value: "7" };
  const hide = { op: "remove", path: "/m1/metadata/zone" };
  await api.send("PATCH", "/fleet/v1/machines", { body: [label, hide] });
  await api.put("z.service", "launched");
  await api.put("b.service", "launched", "[Service]\nExecStart=/bin/b\n[X-Fleet]\nGlobal=true\n");
  await api.put("t@.service");
  await api.send("PUT", "/fleet/v1/units/c.service", {
    body: {
      desiredState: "loaded",
      app: "shop",
      options: [{ section: "Service", name: "ExecStart", value: "/bin/c" }],
    },
  });
  await api.place("z.service", "m1");

  const { code, text } = await api.send("GET", "/fleet/v1/backup");
  assert.equal(code, 200);
  const { units, metadata, revision } = JSON.parse(text) as BackupEntity;
  assert.deepEqual(units.map(({ name, desiredState }) => `${name} ${desiredState}`), [
    ...["c.service loaded", "t@.service inactive"],
    ...["z.service launched", "b.service launched"],
  ]);
  assert.deepEqual(units[3], {
    desiredState: "launched",
    name: "b.service",
    options: [
      { name: "ExecStart", section: "Service", value: "/bin/b" },
      { name: "Global", section: "X-Fleet", value: "true" },
    ],
  });
  assert.deepEqual(units.map(({ app }) => app), ["shop", undefined, undefined, undefined]);
  assert.equal("machineID" in units[2]!, false);
  assert.deepEqual(metadata, { absent: { rack: "7" }, m1: { zone: "" } });
  assert.equal(revision, (await api.registry.read()).revision);
});
