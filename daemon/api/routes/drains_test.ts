import assert from "node:assert/strict";
import { ApiFixture } from "../../../tests/support/api_fixture.ts";
import { interrupted } from "../../../tests/support/interrupted_registry.ts";
import type { DrainEntity, RebalanceEntity } from "../v1/types.ts";

const path = "/fleet/v1/drains";

async function drainsOf(api: ApiFixture): Promise<readonly DrainEntity[]> {
  return JSON.parse((await api.send("GET", path)).text).drains;
}

Deno.test("a dry run of a drain names every unit with its new machine, or with every reason why none takes it", async () => {
  await using api = await ApiFixture.open();
  for (const id of ["m1", "m2"]) await api.join(id, `10.0.0.${id.slice(1)}`);
  await api.put("a.service", "launched");
  await api.put("here.service", "launched", "[Service]\nExecStart=/bin/true\n[X-Fleet]\nMachineID=m1");
  for (const name of ["a.service", "here.service"]) await api.place(name, "m1");
  const answer = await api.send("POST", path, { body: { machines: ["m1"], dryRun: true } });
  assert.equal(answer.code, 200, answer.text);
  const [drain] = JSON.parse(answer.text).drains as DrainEntity[];
  assert.deepEqual(drain!.units?.map(({ name, state, to }) => [name, state, to]), [
    ["a.service", "waiting", "m2"],
    ["here.service", "blocked", undefined],
  ]);
  assert.deepEqual(drain!.units?.[1]?.machines, [
    { machineID: "m2", primaryIP: "10.0.0.2", reasons: ['agent ID "m2" does not match required "m1"'] },
  ]);
  const plan = await api.send("POST", "/fleet/v1/plan", { body: { drain: ["m1"] } });
  assert.deepEqual(JSON.parse(plan.text).drains[0].units, drain!.units, "a plan says the same");
  const both = await api.send("POST", "/fleet/v1/plan", { body: { drain: ["m1"], leave: ["m2"] } });
  assert.deepEqual([both.code, JSON.parse(both.text).error?.message], [400, "drain excludes other changes"]);
  assert.deepEqual(await drainsOf(api), [], "nothing has changed");
  assert.equal((await api.registry.read()).cordons, undefined);
});

Deno.test("a drain cordons its machines at once, takes new options, and ends with the cordon", async () => {
  await using api = await ApiFixture.open();
  for (const id of ["m1", "m2", "m3"]) await api.join(id);
  const answer = await api.send("POST", path, { body: { machines: ["m2", "m1"], why: "new disks", maxParallel: 3 } });
  assert.equal(answer.code, 201, answer.text);
  const both = await drainsOf(api);
  assert.deepEqual(both.map(({ machineID, status, maxParallel, why }) => [machineID, status, maxParallel, why]), [
    ["m1", "moving", 3, "new disks"],
    ["m2", "moving", 3, "new disks"],
  ]);
  const { machines } = JSON.parse((await api.send("GET", "/fleet/v1/machines")).text);
  assert.deepEqual(machines.map(({ cordon }: { cordon?: unknown }) => cordon !== undefined), [true, true, false]);

  const uncordon = await api.send("DELETE", "/fleet/v1/machines/m1/cordon");
  assert.equal(uncordon.code, 409);
  assert.match(uncordon.text, /fleetctl undrain/);
  await api.send("POST", path, { body: { machines: ["m1"], force: true, deadline: 60 } });
  const [forced] = await drainsOf(api);
  assert.equal(forced?.force, true);
  assert.ok(forced!.deadline! > Date.now());

  assert.equal((await api.send("DELETE", `${path}/m1?keepCordon=true`)).code, 204);
  assert.equal((await api.send("DELETE", `${path}/m2`)).code, 204);
  assert.equal((await api.send("DELETE", `${path}/m2`)).code, 404);
  assert.deepEqual([...(await api.registry.read()).cordons?.keys() ?? []], ["m1"]);
});

Deno.test("a second copy that has failed is reported with its reason, also after it was given up", async () => {
  await using api = await ApiFixture.open();
  for (const id of ["m1", "m2"]) await api.join(id);
  await api.put("a.service", "launched");
  await api.place("a.service", "m1");
  const { hash } = (await api.registry.unit("a.service")).unit!;
  await api.report("m1", "a.service", { hash });
  await api.send("POST", path, { body: { machines: ["m1"] } });
  const [progress, notes] = [
    async () => (await drainsOf(api))[0]!.units!.map(({ state, to, why }) => [state, to, why]),
    async () => JSON.parse((await api.send("GET", "/fleet/v1/units/a.service/explain")).text).notes,
  ];
  const failed = "its second copy failed on machine m2 with result exit-code";
  assert.deepEqual(await api.move(), ["prepare"]);
  await api.report("m2", "a.service", { hash, active: "failed", sub: "failed", result: "exit-code" });
  const givenUp = "its second copy is not healthy: it failed on machine m2 with result exit-code";
  assert.deepEqual(await progress(), [["waiting", undefined, givenUp]]);
  assert.deepEqual(await api.move(), ["abandon"]);
  assert.deepEqual(await progress(), [["waiting", undefined, `its last move failed, and is tried again: ${failed}`]]);
  assert.ok((await notes()).includes(`its last move failed, and is tried again: ${failed}`));
  const { text } = await api.send("POST", path, { body: { machines: ["m1"], dryRun: true } });
  assert.equal(JSON.parse(text).drains[0].units[0].why, undefined, "another drain begins without it");
});

Deno.test("a drain names the units whose records cannot be read, also its global ones, and is not done before they are gone", async () => {
  await using api = await ApiFixture.open();
  for (const id of ["m1", "m2"]) await api.join(id);
  const spoil = async (...keys: readonly string[]) => {
    await api.store.transact([], keys.map((put) => ({ put, value: "?" })));
    await api.until(({ units, drains }) =>
      keys.every((key) => (units.get(key.split("/")[1]!) ?? drains?.get(key.split("/")[1]!))?.unreadable !== undefined)
    );
  };
  await api.put("a.service", "launched");
  await api.put("b.service", "launched");
  await api.put("g.service", "launched", "[Service]\nExecStart=/bin/true\n[X-Fleet]\nGlobal=true");
  for (const name of ["a.service", "b.service"]) await api.place(name, "m1");
  for (const name of ["a.service", "b.service", "g.service"]) {
    const { hash } = (await api.registry.unit(name)).unit!;
    await api.report("m1", name, { hash });
  }
  await spoil("unit/a.service", "global/g.service");
  await api.send("POST", path, { body: { machines: ["m1"], force: true } });
  const [drain] = await drainsOf(api);
  assert.deepEqual(drain!.unreadableUnits, ["a.service", "g.service"]);
  assert.deepEqual(drain!.globals, ["g.service"]);
  const [a, b] = drain!.units!;
  assert.deepEqual([a!.name, a!.state, b!.state], ["a.service", "blocked", "moving"]);
  assert.match(a!.why!, /^its record cannot be read, so that it is left as it is: .*unit\/a\.service/);
  await api.send("POST", path, { body: { machines: ["m1"], ignoreGlobals: true } });
  assert.deepEqual((await drainsOf(api))[0]!.unreadableUnits, ["a.service"]);

  await spoil("drain/m1");
  const [unreadable] = await drainsOf(api);
  assert.match(unreadable!.unreadable!, /drain\/m1/);
  assert.match(unreadable!.units![1]!.why!, /^the record of the drain cannot be read: .*drain\/m1/);
});

Deno.test("a drain that goes on while it is changed or ended is changed or ended all the same", async () => {
  await using api = await ApiFixture.open();
  await api.join("m1");
  await api.send("POST", path, { body: { machines: ["m1"] } });
  // The leader's engine records the progress of a drain at any time.
  const progress = async () => {
    const was = (await api.registry.read()).drains!.get("m1")!;
    const { machine, revision: _revision, ...drain } = was;
    const drains = [{ machine, was, isCordoned: true, drain: { ...drain, status: "stopping" as const } }];
    await api.registry.commit({ kind: "drain", drains, cordon: {} });
  };
  api.handler = api.handlerOver(interrupted(api.registry, 1, progress));
  const changed = await api.send("POST", path, { body: { machines: ["m1"], force: true } });
  assert.equal(changed.code, 201, changed.text);
  assert.equal((await drainsOf(api))[0]?.force, true);
  api.handler = api.handlerOver(interrupted(api.registry, 1, progress));
  const ended = await api.send("DELETE", `${path}/m1`);
  assert.equal(ended.code, 204, ended.text);
  assert.deepEqual(await drainsOf(api), []);
});

Deno.test("a request that makes no sense is refused", async () => {
  await using api = await ApiFixture.open();
  for (
    const body of [{ machines: [] }, { machines: ["a", "a"] }, { machines: ["a/b"] }, {
      machines: ["a"],
      maxParallel: 101,
    }]
  ) {
    assert.equal((await api.send("POST", path, { body })).code, 400, JSON.stringify(body));
  }
});

Deno.test("moves for balance are proposed, requested as they were proposed, and canceled", async () => {
  await using api = await ApiFixture.open();
  for (const id of ["m1", "m2"]) await api.join(id);
  for (const name of ["a.service", "b.service", "c.service"]) {
    await api.put(name, "launched");
    await api.place(name, "m1");
  }
  const proposal = async (): Promise<RebalanceEntity> =>
    JSON.parse((await api.send("GET", "/fleet/v1/rebalance")).text);
  const { proposed, loads } = await proposal();
  assert.equal(proposed.length, 1, "one move of three units is enough");
  assert.deepEqual(loads, [{ after: 2, before: 3, machineID: "m1" }, { after: 1, before: 0, machineID: "m2" }]);
  const requested = await api.send("POST", "/fleet/v1/rebalance", { body: { moves: proposed } });
  assert.equal(requested.code, 204, requested.text);
  assert.deepEqual((await proposal()).requested?.map(({ name, to }) => [name, to]), [[proposed[0]!.name, "m2"]]);
  assert.equal((await api.send("POST", "/fleet/v1/rebalance", { body: { moves: proposed } })).code, 409);
  assert.equal((await api.send("DELETE", "/fleet/v1/rebalance")).code, 204);
  assert.equal((await api.send("DELETE", "/fleet/v1/rebalance")).code, 404);
  const outdated = await api.send("POST", "/fleet/v1/rebalance", {
    body: { moves: [{ name: "a.service", from: "m2", to: "m1" }] },
  });
  assert.equal(outdated.code, 409);
  assert.match(outdated.text, /unit a\.service cannot move from machine m2 to m1/);
});
