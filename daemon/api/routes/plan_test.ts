import assert from "node:assert/strict";
import { ApiFixture, errorText, optionsOf } from "../../../tests/support/api_fixture.ts";
import type { PlanEntity } from "../v1/types.ts";

const m1 = "454c34ef000000000000000000000001";
const m2 = "7e5f6a1b000000000000000000000002";
const file = "[Service]\nExecStart=/bin/true\n";

Deno.test("POST /plan predicts the effects of changes and changes nothing", async (test) => {
  await using api = await ApiFixture.open();
  await api.join(m1, "10.77.0.11", { disk: "ssd" });
  await api.join(m2);
  await api.put("old.service", "launched", file);
  await api.put("kept.service", "launched", file);
  await api.schedule();
  const { revision } = await api.registry.read();
  const plan = async (body: unknown): Promise<PlanEntity> => {
    const answer = await api.send("POST", "/fleet/v1/plan", { body });
    assert.equal(answer.code, 200, answer.text);
    return JSON.parse(answer.text);
  };
  const unit = (name: string, desiredState: string, text = file) => ({ name, desiredState, options: optionsOf(text) });

  await test.step("a new unit starts on the machine that the engine would choose", async () => {
    assert.deepEqual(
      await plan({ units: [unit("new.service", "launched", `${file}[X-Fleet]\nMachineMetadata=disk=ssd`)] }),
      {
        revision,
        units: [{
          name: "new.service",
          change: "create",
          desiredState: "launched",
          effects: [{ machineID: m1, primaryIP: "10.77.0.11", effect: "start" }],
          machineID: m1,
          why: "least loaded machine that will take it, with 1 unit",
        }],
      },
    );
  });

  await test.step("a new file restarts the unit, and the plan holds the file that it replaces", async () => {
    const { units: [planned] = [] } = await plan({ units: [unit("old.service", "launched", `${file}Restart=always`)] });
    assert.equal(planned?.change, "replace");
    assert.deepEqual(planned.effects?.map(({ effect }) => effect), ["restart"]);
    assert.deepEqual(planned.was?.options, optionsOf(file));
    assert.ok(planned.revision! > 0 && planned.revision! <= revision);
  });

  await test.step("a desired state alone is an update, and a unit that is as requested does not change", async () => {
    const changes = { units: [{ name: "old.service", desiredState: "loaded" }, unit("kept.service", "launched")] };
    const { units = [] } = await plan(changes);
    assert.deepEqual(units.map(({ name, change, effects = [] }) => [name, change, effects[0]?.effect]), [
      ["old.service", "update", "stop"],
      ["kept.service", "none", undefined],
    ]);
  });

  await test.step("a unit that fits nowhere has the reasons of every machine", async () => {
    const { units: [planned] = [] } = await plan({
      units: [unit("gpu.service", "launched", `${file}[X-Fleet]\nMachineMetadata=gpu=yes`)],
    });
    assert.equal(planned?.waiting, "none of 2 machines will take it");
    assert.equal(planned.machineID, undefined);
    assert.deepEqual(
      planned.machines,
      [[m1, "10.77.0.11"], [m2]].map(([machineID, primaryIP]) => ({
        machineID,
        ...primaryIP && { primaryIP },
        reasons: [{
          reason: "local Machine metadata insufficient: needs gpu=yes, has no gpu",
          rule: "MachineMetadata",
        }],
      })),
    );
  });

  await test.step("a destroyed unit stops, and units that are affected come last", async () => {
    const follower = unit("follower.service", "launched", `${file}[X-Fleet]\nMachineOf=old.service`);
    await api.send("PUT", "/fleet/v1/units/follower.service", { body: follower });
    await api.schedule();
    const { units = [] } = await plan({ destroy: ["old.service"] });
    assert.deepEqual(units.map(({ name, change, effects }) => [name, change, effects?.[0]?.effect]), [
      ["old.service", "destroy", "stop"],
      ["follower.service", "none", "stop"],
    ]);
    assert.equal(units[1]?.waiting, "none of 2 machines will take it");
    assert.equal((await api.send("DELETE", "/fleet/v1/units/follower.service")).code, 204);
  });

  await test.step("units that systemd stops together with others are affected", async () => {
    const beside = (text: string) => `[Unit]\n${text}\n${file}[X-Fleet]\nMachineOf=old.service`;
    const others = {
      "bound.service": "BindsTo=old.service",
      "far.service": "Requires=bound.service",
      "free.service": "After=old.service\nWants=old.service",
      "loaded.service": "BindsTo=old.service",
    };
    for (const [name, text] of Object.entries(others)) {
      const state = name === "loaded.service" ? "loaded" : "launched";
      await api.send("PUT", `/fleet/v1/units/${name}`, { body: unit(name, state, beside(text)) });
    }
    await api.schedule();
    const effectsOf = async (body: unknown) =>
      (await plan(body)).units?.map(({ name, effects }) => [name, effects?.[0]?.effect, effects?.[0]?.along]);
    assert.deepEqual(await effectsOf({ units: [unit("old.service", "launched", `${file}Restart=always`)] }), [
      ["old.service", "restart", undefined],
      ["bound.service", "restart", "old.service"],
      ["far.service", "restart", "old.service"],
    ]);
    assert.deepEqual(await effectsOf({ units: [{ name: "old.service", desiredState: "loaded" }] }), [
      ["old.service", "stop", undefined],
      ["bound.service", "stop", "old.service"],
      ["far.service", "stop", "old.service"],
    ]);
    for (const name of Object.keys(others)) await api.send("DELETE", `/fleet/v1/units/${name}`);
  });

  await test.step("units that systemd stops together with one that goes stay down if they require it", async () => {
    const texts = {
      "binds.service": "BindsTo=old.service",
      "far.service": "Requires=requires.service",
      "part.service": "PartOf=old.service",
      "requires.service": "Requires=old.service",
      "requisite.service": "Requisite=old.service",
      "two.service": "PartOf=kept.service\nRequires=old.service",
    };
    const machine = (await api.registry.read()).targets.get("old.service")!.machine;
    for (const [name, text] of Object.entries(texts)) {
      const body = unit(name, "launched", `[Unit]\n${text}\n${file}[X-Fleet]\nMachineID=${machine}`);
      await api.send("PUT", `/fleet/v1/units/${name}`, { body });
    }
    await api.schedule();
    const effectsOf = async (body: unknown) =>
      (await plan(body)).units?.flatMap(({ name, effects }) =>
        effects?.map(({ effect, along }) => [name, effect, along])
      );
    const stopped = ["binds", "far", "part", "requires", "requisite", "two"].map((name) => {
      return [`${name}.service`, name === "part" ? "restart" : "stop", "old.service"];
    });
    for (const goes of [{ destroy: ["old.service"] }, { units: [unit("old.service", "inactive")] }]) {
      assert.deepEqual(await effectsOf(goes), [["old.service", "stop", undefined], ...stopped]);
    }
    // A unit that is only loaded runs because another one requires it.
    await api.send("PUT", "/fleet/v1/units/old.service", { body: { desiredState: "loaded" } });
    await api.schedule();
    assert.deepEqual(await effectsOf({ destroy: ["old.service"] }), [["old.service", "unload", undefined]]);
    await api.report(machine, "old.service", { active: "active", commanded: "loaded" });
    assert.deepEqual(await effectsOf({ destroy: ["old.service"] }), [["old.service", "unload", undefined], ...stopped]);
    const started = stopped.map(([name, , along]) => [name, "restart", along]);
    for (const [state, effect] of [["loaded", "load"], ["launched", "start"]] as const) {
      assert.deepEqual(
        await effectsOf({ units: [unit("old.service", state, `${file}Restart=always`)] }),
        [["old.service", effect, undefined], ...started],
      );
    }
    await api.report(machine, "old.service", undefined);
    await api.send("PUT", "/fleet/v1/units/old.service", { body: { desiredState: "launched" } });
    for (const name of Object.keys(texts)) await api.send("DELETE", `/fleet/v1/units/${name}`);
    await api.schedule();
  });

  await test.step("a unit with two stops stays down if one of them keeps it down", async () => {
    const beside = "[X-Fleet]\nMachineOf=old.service";
    const others = { "first.service": "", "needs.service": "PartOf=old.service\nRequires=first.service" };
    for (const [name, text] of Object.entries(others)) {
      const body = unit(name, "launched", `[Unit]\n${text}\n${file}${beside}`);
      await api.send("PUT", `/fleet/v1/units/${name}`, { body });
    }
    await api.schedule();
    const { units = [] } = await plan({
      units: [unit("old.service", "launched", `${file}Restart=always`)],
      destroy: ["first.service"],
    });
    assert.deepEqual(units.map(({ name, effects }) => [name, effects?.[0]?.effect, effects?.[0]?.along]), [
      ["old.service", "restart", undefined],
      ["first.service", "stop", undefined],
      ["needs.service", "stop", "first.service"],
    ]);
    for (const name of Object.keys(others)) await api.send("DELETE", `/fleet/v1/units/${name}`);
  });

  await test.step("a loaded unit that runs is affected by a stop, and starts again if a launched one requires it", async () => {
    const texts = {
      "lower.service": ["loaded", "Requires=old.service"],
      "side.service": ["loaded", "BindsTo=old.service"],
      "upper.service": ["launched", "Requires=lower.service"],
    } as const;
    const machine = (await api.registry.read()).targets.get("old.service")!.machine;
    for (const [name, [state, text]] of Object.entries(texts)) {
      const body = unit(name, state, `[Unit]\n${text}\n${file}[X-Fleet]\nMachineOf=old.service`);
      await api.send("PUT", `/fleet/v1/units/${name}`, { body });
      await api.report(machine, name, { active: "active", commanded: state });
    }
    await api.schedule();
    const { units = [] } = await plan({ units: [unit("old.service", "launched", `${file}Restart=always`)] });
    assert.deepEqual(units.map(({ name, effects }) => [name, effects?.[0]?.effect, effects?.[0]?.along]), [
      ["old.service", "restart", undefined],
      ["lower.service", "restart", "old.service"],
      ["side.service", "stop", "old.service"],
      ["upper.service", "restart", "old.service"],
    ]);
    for (const name of Object.keys(texts)) {
      await api.report(machine, name, undefined);
      await api.send("DELETE", `/fleet/v1/units/${name}`);
    }
    await api.schedule();
  });

  await test.step("a change of a Quadlet file affects the containers that use it, also if it is only loaded", async () => {
    const volume = "[Volume]\nLabel=a=1\n";
    const container = "[Container]\nImage=web\nVolume=data.volume:/srv\n";
    for (const state of ["launched", "loaded"]) {
      await api.send("PUT", "/fleet/v1/units/data.volume", { body: unit("data.volume", state, volume) });
      await api.send("PUT", "/fleet/v1/units/web.container", { body: unit("web.container", "launched", container) });
      await api.schedule();
      const { units = [] } = await plan({ units: [unit("data.volume", state, volume.replace("1", "2"))] });
      assert.deepEqual(units.map(({ name, effects }) => [name, effects?.[0]?.effect, effects?.[0]?.along]), [
        ["data.volume", state === "launched" ? "restart" : "load", undefined],
        ["web.container", "restart", "data.volume"],
      ]);
    }
    for (const name of ["web.container", "data.volume"]) await api.send("DELETE", `/fleet/v1/units/${name}`);
  });

  await test.step("units of a machine that leaves move", async () => {
    const machine = (await api.registry.read()).targets.get("kept.service")!.machine;
    const { units = [] } = await plan({ leave: [machine] });
    const planned = units.find(({ name }) => name === "kept.service");
    const other = [m1, m2].find((id) => id !== machine);
    assert.deepEqual(planned?.effects?.map(({ effect, machineID, from }) => [effect, machineID, from]), [
      ["move", other, machine],
    ]);
  });

  await test.step("a cordon keeps new units away, and metadata and the end of a cordon let units in", async () => {
    const wanting = unit("tape.service", "launched", `${file}[X-Fleet]\nMachineMetadata=disk=tape`);
    const labels = [{ machineID: m2, key: "disk", value: "tape" }];
    const places = async (changes: unknown) =>
      (await plan(changes)).units?.filter(({ name }) => name === "tape.service").map(({ machineID }) => machineID);
    assert.deepEqual(await places({ units: [wanting] }), [undefined]);
    assert.deepEqual(await places({ units: [wanting], labels }), [m2]);
    assert.deepEqual(await places({ units: [wanting], labels, cordon: [m2] }), [undefined]);
    assert.deepEqual(await places({ units: [wanting], labels, cordon: [m2], uncordon: [m2] }), [m2]);
    assert.deepEqual(await places({ units: [wanting], labels: [...labels, { machineID: m2, key: "disk" }] }), [
      undefined,
    ]);
  });

  await test.step("a change that would be refused has the reason, and the other changes their effects", async () => {
    const { units = [] } = await plan({
      units: [
        unit("bad name.service", "launched"),
        { name: "absent.service", desiredState: "launched" },
        unit("web@.service", "launched"),
        unit("good.service", "launched"),
      ],
      destroy: ["nowhere.service"],
    });
    assert.deepEqual(units.map(({ name, change, refusal }) => [name, change, refusal]), [
      ["bad name.service", "refuse", "invalid character ' ' in unit name"],
      ["absent.service", "refuse", "unit does not exist and options field empty"],
      ["web@.service", "refuse", 'cannot activate template "web@.service"'],
      ["good.service", "create", undefined],
      ["nowhere.service", "refuse", "unit does not exist"],
    ]);
  });

  await test.step("probable mistakes are warnings", async () => {
    const { units: [planned] = [] } = await plan({
      units: [unit("a.service", "launched", `${file}[X-Fleet]\nConflict=x`)],
    });
    assert.deepEqual(planned?.warnings, [
      'unrecognized requirement in [X-Fleet] section: "Conflict" (did you mean "Conflicts"?)',
    ]);
  });

  await test.step("a unit that is named twice, and a machine that is absent, are refused", async () => {
    for (
      const [body, message] of [
        [{ units: [unit("a.service", "launched")], destroy: ["a.service"] }, 'unit "a.service" is named twice'],
        [{ leave: ["deadbeef"] }, 'machine "deadbeef" is not in the cluster'],
        [{ labels: [{ machineID: "deadbeef", key: "a" }] }, 'machine "deadbeef" is not in the cluster'],
      ] as const
    ) {
      const answer = await api.send("POST", "/fleet/v1/plan", { body });
      assert.deepEqual([answer.code, answer.text], [400, errorText(400, message)]);
    }
    assert.equal((await api.send("GET", "/fleet/v1/plan")).code, 405);
    assert.equal((await api.send("POST", "/fleet/v1/plan", { body: "{}", contentType: "text/plain" })).code, 415);
  });

  await test.step("a plan leaves the cluster unchanged", async () => {
    const cluster = await api.registry.read();
    assert.deepEqual([...cluster.units.keys()].sort(), ["kept.service", "old.service"]);
    assert.deepEqual(await plan({}), { revision: cluster.revision });
  });
});
