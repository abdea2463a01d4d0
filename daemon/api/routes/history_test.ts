import assert from "node:assert/strict";
import { ApiFixture, errorText, optionsOf } from "../../../tests/support/api_fixture.ts";
import type { HistoryEntity } from "../v1/types.ts";

const file = (command: string) => `[Service]\nExecStart=${command}`;

Deno.test("GET /units/{name}/history lists the versions of a unit", async (test) => {
  await using api = await ApiFixture.open();
  const get = async (path: string) => {
    const answer = await api.send("GET", `/fleet/v1/units/${path}`);
    assert.equal(answer.code, 200, answer.text);
    return JSON.parse(answer.text) as HistoryEntity;
  };
  const numbers = async () => (await get("a.service/history")).versions.map(({ version }) => version);
  const peer = { connection: { kind: "unix", remote: "unix", hosts: [""] }, as: "deployer" } as const;
  await api.put("a.service", "loaded", file("/bin/1"));
  const body = { desiredState: "loaded", options: optionsOf(file("/bin/2")) };
  assert.equal((await api.send("PUT", "/fleet/v1/units/a.service", { body, peer })).code, 201);

  await test.step("each file is a version with its author, newest first", async () => {
    const { name, versions } = await get("a.service/history");
    assert.equal(name, "a.service");
    assert.deepEqual(versions.map(({ version, changed }) => [version, changed?.by]), [[2, "deployer"], [1, undefined]]);
    for (const { hash, options } of versions) {
      assert.match(hash, /^[0-9a-f]{40}$/);
      assert.equal(options, undefined);
    }
  });

  await test.step("one version has the options of its file", async () => {
    const { versions: [version, ...others] } = await get("a.service/history?version=1");
    assert.deepEqual([version?.version, version?.options, others], [1, optionsOf(file("/bin/1")), []]);
  });

  await test.step("another desired state is no version, and an old file that comes back is one", async () => {
    await api.put("a.service", "launched", file("/bin/2"));
    assert.deepEqual(await numbers(), [2, 1]);
    await api.put("a.service", "launched", file("/bin/1"));
    assert.deepEqual(await numbers(), [3, 2, 1]);
  });

  await test.step("the engine keeps the files of versions, and forgets those of destroyed units", async () => {
    await api.schedule();
    assert.ok((await get("a.service/history?version=2")).versions[0]?.options);
    assert.equal((await api.registry.read()).files.size, 2);
    await api.put("b.service", "inactive", file("/bin/b"));
    assert.equal((await api.send("DELETE", "/fleet/v1/units/b.service")).code, 204);
    await api.schedule();
    assert.equal((await api.registry.read()).files.size, 2);
  });

  await test.step("the latest version has its restarts, and the history where the unit has been and why", async () => {
    await api.join("m1");
    await api.schedule();
    const send = async (path: string) =>
      assert.ok((await api.send("POST", `/fleet/v1/units/a.service/${path}`, { peer })).code < 300, path);
    await send("start");
    await send("restart");
    await api.join("m2");
    await api.leave("m1");
    await api.schedule();
    const { versions: [newest], placements = [] } = await get("a.service/history");
    assert.deepEqual(newest?.restarts?.map(({ by, what }) => [by, what]), [["deployer", "restart"]]);
    assert.deepEqual(placements.map(({ machineID }) => machineID), ["m2", "m1"]);
    assert.match(placements[0]!.why, /^machine m1.* left the cluster; /);
    assert.match(placements[1]!.why, /^least loaded machine/);
  });

  await test.step("the placements of a unit are kept when it is stopped, and go on when it is started", async () => {
    const machines = async () => (await get("a.service/history")).placements?.map(({ machineID }) => machineID);
    const text = file("/bin/1");
    await api.put("a.service", "inactive", text);
    assert.equal((await api.registry.read()).targets.size, 0);
    assert.deepEqual(await machines(), ["m2", "m1"]);
    await api.put("a.service", "launched", text);
    assert.deepEqual(await machines(), ["m2", "m1"]);
    await api.schedule();
    assert.deepEqual(await machines(), ["m2", "m2", "m1"]);
    for (let turn = 0; turn < 12; turn++) {
      for (const state of ["inactive", "launched"] as const) await api.put("a.service", state, text);
      await api.schedule();
    }
    assert.equal((await machines())?.length, 10);
    await api.put("a.service", "loaded", text);
    const { units, targets } = await api.registry.read();
    assert.equal(units.get("a.service")?.past, undefined, "its target has them");
    assert.equal(targets.get("a.service")?.past?.length, 9);
    await api.put("a.service", "launched", text);
  });

  await test.step("ten versions are kept", async () => {
    for (let index = 4; index <= 14; index++) await api.put("a.service", "launched", file(`/bin/${index}`));
    assert.deepEqual(await numbers(), [14, 13, 12, 11, 10, 9, 8, 7, 6, 5]);
    const answer = await api.send("GET", "/fleet/v1/units/a.service/history?version=1");
    assert.deepEqual([answer.code, answer.text], [404, errorText(404, "unit has no version 1: it has 5 to 14")]);
  });

  await test.step("an unknown unit and a version that is no number are refused", async () => {
    for (
      const [path, code, message] of [
        ["x.service/history", 404, "unit does not exist"],
        ["a.service/history?version=0", 400, 'invalid version "0": expect the number of a version'],
        ["a.service/history?version=", 400, 'invalid version "": expect the number of a version'],
      ] as const
    ) {
      const answer = await api.send("GET", `/fleet/v1/units/${path}`);
      assert.deepEqual([answer.code, answer.text], [code, errorText(code, message)]);
    }
  });
});
