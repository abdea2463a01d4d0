import assert from "node:assert/strict";
import { interrupted } from "../../../tests/support/interrupted_registry.ts";
import { ApiFixture, errorText, optionsOf } from "../../../tests/support/api_fixture.ts";
import type { Registry } from "../../../registry/mod.ts";
import { parseUnitFile, serializeUnitFile } from "../../../systemd/unit_file.ts";
import { hashUnitFile } from "../../../systemd/unit_hash.ts";

const file = "[Service]\nExecStart=/bin/true";
const options = optionsOf(file);
const path = "/fleet/v1/units/hello.service";

const names: readonly (readonly [name: string, message: string | undefined])[] = [
  ["x".repeat(249) + ".service", "unit name exceeds maximum length (256)"],
  ["x".repeat(248) + ".service", undefined],
  ["hello", 'unit name must contain "."'],
  ["hello.", 'unit name cannot end in "."'],
  ["hello.foo", 'invalid unit type: "foo"'],
  ["hello.Service", 'invalid unit type: "Service"'],
  ["hello@1.mount", 'invalid unit type for template: "mount"'],
  ["hel lo.service", "invalid character ' ' in unit name"],
  ["hé.service", "invalid character 'é' in unit name"],
  ["@1.service", 'unit name cannot start in "@"'],
  ["a:b-c_d.e\\x2df@g.service", undefined],
  ["a.automount", undefined],
  ["a.target", undefined],
  [
    "a.scope",
    'a unit of type "scope" cannot be run: systemd creates scopes for running processes, not from files',
  ],
];

Deno.test("an invalid unit name is refused with the first rule that it breaks", async (test) => {
  await using api = await ApiFixture.open();
  for (const [name, message] of names) {
    await test.step(`${name.slice(0, 20)} (${name.length})`, async () => {
      const answer = await api.send("PUT", `/fleet/v1/units/${encodeURIComponent(name)}`, { body: { options } });
      assert.equal(answer.text, message === undefined ? "" : errorText(400, message));
      if (message === undefined) {
        const found = await api.send("GET", `/fleet/v1/units/${encodeURIComponent(name)}`);
        assert.equal(JSON.parse(found.text).name, name);
      }
    });
  }
});

Deno.test("a unit with a name that systemd refuses can be stored, but not placed", async (test) => {
  await using api = await ApiFixture.open();
  for (const name of ["x".repeat(248) + ".service", ".hidden.service", ".service", "-.slice", "-.mount"]) {
    await test.step(`${name.slice(0, 20)} (${name.length})`, async () => {
      const at = `/fleet/v1/units/${name}`;
      const refused = (text: string) => assert.match(JSON.parse(text).error.message, /cannot be run: systemd /);
      const created = await api.send("PUT", at, { body: { options, desiredState: "launched" } });
      assert.equal(created.code, 400);
      refused(created.text);
      assert.equal((await api.send("PUT", at, { body: { options } })).code, 201);
      const updated = await api.send("PUT", at, { body: { desiredState: "loaded" } });
      assert.equal(updated.code, 400);
      refused(updated.text);
      assert.equal((await api.send("PUT", at, { body: { desiredState: "inactive" } })).code, 204);
      assert.equal((await api.send("DELETE", at)).code, 204);
    });
  }
});

const forbidden: readonly (readonly [fleet: string, message: string | undefined])[] = [
  ["MachineOf=a.service\nConflicts=a*", 'unresolvable requirements: peer "a.service" matches conflict "a*"'],
  ["MachineOf=a.service\nReplaces=a*", 'unresolvable requirements: peer "a.service" matches replace "a*"'],
  ["MachineID=m\nMachineOf=a.service", "MachineID= and MachineOf= exclude each other"],
  ["MachineID=m\nConflicts=a*", "MachineID= and Conflicts= exclude each other"],
  ["MachineID=m\nGlobal=true", "MachineID= and Global=true exclude each other"],
  ["MachineID=m\nReplaces=a*", "MachineID= and Replaces= exclude each other"],
  ["Global=true\nMachineOf=a.service", "Global=true and MachineOf= exclude each other"],
  ["Global=true\nReplaces=a*", "Global=true and Replaces= exclude each other"],
  ["Conflicts=b*\nReplaces=a*", "Conflicts= and Replaces= exclude each other"],
  ["Global=true\nConflicts=a*\nMachineMetadata=a=b", undefined],
  ["MachineOf=a.service\nConflicts=b*", undefined],
  ["MachineOf=a.service\nReplaces=b*", undefined],
];

Deno.test("[X-Fleet] options that contradict each other are refused", async (test) => {
  await using api = await ApiFixture.open();
  for (const [index, [fleet, message]] of forbidden.entries()) {
    await test.step(fleet.replaceAll("\n", " "), async () => {
      const body = { options: optionsOf(`[X-Fleet]\n${fleet}`) };
      const answer = await api.send("PUT", `/fleet/v1/units/u${index}.service`, { body });
      assert.equal(answer.text, message === undefined ? "" : errorText(400, message));
    });
  }
});

Deno.test("misspelled and suspicious options are accepted, with a warning", async () => {
  await using api = await ApiFixture.open();
  const answer = await api.send("PUT", path, {
    body: { options: optionsOf("[X-Fleet]\nConflict=é*\nMachineOf=\n[X-fleet]\na=b") },
  });
  assert.equal(answer.code, 201);
  assert.equal(
    answer.headers.get("Warning") ?? "",
    '199 - "unit hello.service: unrecognized requirement in [X-Fleet] section: \\"Conflict\\" (did you mean ' +
      '\\"Conflicts\\"?); unrecognized section: \\"[X-fleet]\\" (did you mean \\"[X-Fleet]\\"?); ' +
      'MachineOf is empty and has no effect"',
  );
  assert.equal(api.logged.length, 1);
});

Deno.test("options count as the unit file that they make", async (test) => {
  await using api = await ApiFixture.open();
  await test.step("a line break in a value makes a second option, which is validated", async () => {
    const injected = [{ section: "Service", name: "A", value: "b\n[X-Fleet]\nGlobal=true\nMachineID=m" }];
    const answer = await api.send("PUT", path, { body: { options: injected } });
    assert.equal(answer.text, errorText(400, "MachineID= and Global=true exclude each other"));
  });
  await test.step("a backslash at the end of a value does not absorb the next option", async () => {
    const sent = [{ section: "S", name: "A", value: "b \\" }, { section: "S", name: "C", value: "d" }];
    assert.equal((await api.send("PUT", path, { body: { options: sent } })).code, 201);
    const found = JSON.parse((await api.send("GET", path)).text);
    assert.deepEqual(found.options, [{ name: "A", section: "S", value: "b \\\n" }, {
      name: "C",
      section: "S",
      value: "d",
    }]);
  });
  await test.step("a value that ends in a blank line is kept, so that its file has the client's hash", async () => {
    const sent = parseUnitFile("[S]\nA=b \\\n\nC=d\n");
    assert.equal((await api.send("PUT", "/fleet/v1/units/blank.service", { body: { options: sent } })).code, 201);
    assert.deepEqual((await api.registry.unit("blank.service")).unit?.hash, hashUnitFile(serializeUnitFile(sent)));
  });
  await test.step("the same options again are the same file", async () => {
    const sent = [{ section: "S", name: "A", value: "b \\" }, { section: "S", name: "C", value: "d" }];
    const answer = await api.send("PUT", path, { body: { options: sent, desiredState: "loaded" } });
    assert.equal(answer.code, 204);
  });
});

Deno.test("GET /units/{name} returns the unit", async (test) => {
  await using api = await ApiFixture.open();
  await api.join("m1");
  const get = async () => (await api.send("GET", path)).text;
  const rest = '"name":"hello.service","options":[' +
    '{"name":"ExecStart","section":"Service","value":"/bin/true"},{"name":"Empty","section":"Service"}]}';
  await api.put("hello.service", "launched", file + "\nEmpty=");

  await test.step("keys are in order, and empty fields absent", async () => {
    const answer = await api.send("GET", path);
    assert.equal(answer.code, 200);
    assert.equal(answer.headers.get("Content-Type"), "application/json");
    assert.equal(answer.text, `{"currentState":"inactive","desiredState":"launched",${rest}`);
  });
  await test.step("the machine appears once the unit is placed", async () => {
    await api.place("hello.service", "m1");
    assert.equal(await get(), `{"currentState":"inactive","desiredState":"launched","machineID":"m1",${rest}`);
  });
  await test.step("the current state follows the machine's report", async () => {
    await api.report("m1", "hello.service", { commanded: "loaded" });
    assert.equal(await get(), `{"currentState":"loaded","desiredState":"launched","machineID":"m1",${rest}`);
  });
  await test.step("the list contains the same entity", async () => {
    assert.equal((await api.send("GET", "/v1-alpha/units")).text, `{"units":[${await get()}]}`);
  });
  await test.step("a state on another machine is not the current state", async () => {
    await api.join("m0");
    await api.report("m1", "hello.service", undefined);
    await api.report("m0", "hello.service", {});
    assert.match(await get(), /"currentState":"inactive"/);
  });
  await test.step("an inactive unit has no machine", async () => {
    await api.send("PUT", path, { body: { desiredState: "inactive" } });
    assert.equal(await get(), `{"currentState":"inactive","desiredState":"inactive",${rest}`);
  });
  await test.step("a global unit has neither machine nor current state, also in the list", async () => {
    await api.put("g.service", "launched", "[X-Fleet]\nGlobal=true");
    const text =
      '{"desiredState":"launched","name":"g.service","options":[{"name":"Global","section":"X-Fleet","value":"true"}]}';
    assert.equal((await api.send("GET", "/fleet/v1/units/g.service")).text, text);
    assert.ok((await api.send("GET", "/fleet/v1/units")).text.startsWith(`{"units":[${text},`));
  });
  await test.step("an unknown unit is 404", async () => {
    assert.equal((await api.send("GET", "/fleet/v1/units/a.service")).text, errorText(404, "unit does not exist"));
  });
});

Deno.test("DELETE /units/{name} destroys a unit once", async () => {
  await using api = await ApiFixture.open();
  await api.put("hello.service");
  const first = await api.send("DELETE", path);
  assert.deepEqual([first.code, first.text], [204, ""]);
  const second = await api.send("DELETE", path);
  assert.deepEqual([second.code, second.text], [404, errorText(404, "unit does not exist")]);
});

Deno.test("POST /units/{name}/restart requests a restart of a launched unit", async (test) => {
  await using api = await ApiFixture.open();
  const restart = () => api.send("POST", `${path}/restart`);
  await test.step("an unknown unit is 404", async () => {
    assert.equal((await restart()).text, errorText(404, "unit does not exist"));
  });
  for (const state of ["inactive", "loaded"]) {
    await test.step(`a unit that is ${state} is 409`, async () => {
      await api.put("hello.service", state);
      const { text } = await restart();
      assert.equal(text, errorText(409, `cannot restart unit "hello.service": its desired state is ${state}`));
      assert.equal((await api.registry.unit("hello.service")).unit?.restart, 0);
    });
  }
  await test.step("the restart is stored, and the desired state stays", async () => {
    await api.put("hello.service", "launched");
    const before = await api.registry.unit("hello.service");
    assert.deepEqual([(await restart()).code, before.unit?.restart], [204, 0]);
    const after = await api.registry.unit("hello.service");
    assert.ok((after.unit?.restart ?? 0) > (before.unit?.revision ?? Infinity));
    assert.equal(after.unit?.desiredState, "launched");
  });
  await test.step("each request is a further restart", async () => {
    const before = await api.registry.unit("hello.service");
    await restart();
    const after = await api.registry.unit("hello.service");
    assert.ok((after.unit?.restart ?? 0) > (before.unit?.restart ?? Infinity));
  });
});

Deno.test("POST /units/{name}/start requests a start where the unit does not run, until the next restart", async () => {
  await using api = await ApiFixture.open();
  await api.put("hello.service", "loaded");
  const { text } = await api.send("POST", `${path}/start`);
  assert.equal(text, errorText(409, 'cannot start unit "hello.service": its desired state is loaded'));
  await api.put("hello.service", "launched");
  assert.equal((await api.send("POST", `${path}/start`)).code, 204);
  const { unit } = await api.registry.unit("hello.service");
  assert.equal(unit?.startOnly, true);
  assert.ok(unit.restart > 0);
  assert.equal((await api.send("POST", `${path}/restart`)).code, 204);
  const after = (await api.registry.unit("hello.service")).unit;
  assert.equal(after?.startOnly, undefined);
  assert.ok((after?.restart ?? 0) > unit.restart);
});

Deno.test("POST /units/{name}/stop requests a stop of a loaded unit", async (test) => {
  await using api = await ApiFixture.open();
  const stop = () => api.send("POST", `${path}/stop`);
  await test.step("an unknown unit is 404", async () => {
    assert.equal((await stop()).text, errorText(404, "unit does not exist"));
  });
  for (const state of ["inactive", "launched"]) {
    await test.step(`a unit that is ${state} is 409`, async () => {
      await api.put("hello.service", state);
      const { text } = await stop();
      assert.equal(text, errorText(409, `cannot stop unit "hello.service": its desired state is ${state}`));
    });
  }
  await test.step("the stop is stored, and the desired state stays", async () => {
    await api.put("hello.service", "loaded");
    const before = await api.registry.unit("hello.service");
    assert.equal((await stop()).code, 204);
    const after = await api.registry.unit("hello.service");
    assert.ok((after.unit?.restart ?? 0) > (before.unit?.revision ?? Infinity));
    assert.equal(after.unit?.desiredState, "loaded");
  });
});

Deno.test("a decision on a stale unit is made again on the current one", async (test) => {
  /** A registry whose cached unit stays as it is now. */
  const stale = async (api: ApiFixture): Promise<Registry> => {
    const cached = await api.registry.unit("hello.service");
    return Object.create(api.registry, {
      unit: { value: (name: string) => api.registry.unit(name) },
      commit: { value: (change: Parameters<Registry["commit"]>[0]) => api.registry.commit(change) },
      peek: { value: () => cached },
    });
  };
  const state = async (api: ApiFixture) => (await api.registry.unit("hello.service")).unit?.desiredState;
  await test.step("a unit that is absent in the cache is updated, not created", async () => {
    await using api = await ApiFixture.open();
    const registry = await stale(api);
    await api.put("hello.service", "loaded");
    api.handler = api.handlerOver(registry);
    const answer = await api.send("PUT", path, { body: { options, desiredState: "launched" } });
    assert.deepEqual([answer.code, await state(api)], [204, "launched"]);
  });
  await test.step("a unit that has the state in the cache is changed", async () => {
    await using api = await ApiFixture.open();
    await api.put("hello.service", "loaded");
    const registry = await stale(api);
    await api.put("hello.service", "inactive");
    api.handler = api.handlerOver(registry);
    assert.equal((await api.send("PUT", path, { body: { desiredState: "loaded" } })).code, 204);
    assert.equal(await state(api), "loaded");
  });
  await test.step("a unit that is absent in the cache is deleted, and one that is gone is 404", async () => {
    await using api = await ApiFixture.open();
    const before = await stale(api);
    await api.put("hello.service");
    const between = await stale(api);
    api.handler = api.handlerOver(before);
    assert.equal((await api.send("DELETE", path)).code, 204);
    api.handler = api.handlerOver(between);
    assert.equal((await api.send("DELETE", path)).text, errorText(404, "unit does not exist"));
  });
});

Deno.test("a change that conflicts with another one is decided again", async (test) => {
  await test.step("a unit that was created meanwhile is updated, not created", async () => {
    await using api = await ApiFixture.open();
    const original = api.handler;
    api.handler = api.handlerOver(interrupted(api.registry, 1, async () => {
      const meanwhile = api.handler;
      api.handler = original;
      await api.put("hello.service", "loaded");
      api.handler = meanwhile;
    }));
    const answer = await api.send("PUT", path, { body: { options, desiredState: "launched" } });
    assert.deepEqual([answer.code, answer.text], [204, ""]);
  });
  await test.step("a unit that was deleted meanwhile is gone", async () => {
    await using api = await ApiFixture.open();
    await api.put("hello.service");
    api.handler = api.handlerOver(interrupted(api.registry, 1, async () => {
      await api.registry.commit({ kind: "delete", was: await api.registry.unit("hello.service") });
    }));
    assert.equal((await api.send("DELETE", path)).text, errorText(404, "unit does not exist"));
  });
  await test.step("ten conflicts are answered by 409", async () => {
    await using api = await ApiFixture.open();
    await api.put("hello.service");
    api.handler = api.handlerOver(interrupted(api.registry, Infinity, async (turn) => {
      const was = await api.registry.unit("hello.service");
      await api.registry.commit({ kind: "put", was, desiredState: turn % 2 ? "loaded" : "inactive" });
    }));
    const answer = await api.send("PUT", path, { body: { desiredState: "launched" } });
    assert.equal(answer.code, 409);
    assert.match(answer.text, /unit hello.service was changed .* in the meantime; gave up after 10 attempts/);
  });
});
