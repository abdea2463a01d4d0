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
