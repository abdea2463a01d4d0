import assert from "node:assert/strict";
import { ApiFixture, errorText, type Extras, optionsOf } from "../../../tests/support/api_fixture.ts";
import type { Registry } from "../../../registry/mod.ts";
import { parseUnitFile, serializeUnitFile } from "../../../systemd/unit_file.ts";
import { hashUnitFile } from "../../../systemd/unit_hash.ts";

const file = "[Service]\nExecStart=/bin/true";
const options = optionsOf(file);
const path = "/fleet/v1/units/hello.service";

/** One PUT. */
interface PutCase {
  readonly name: string;
  /** What is there before. */
  readonly given?: (api: ApiFixture) => Promise<unknown>;
  readonly path?: string;
  readonly send: Extras;
  readonly code: number;
  /** The message of a refusal; "" also stands for an empty body. */
  readonly says?: string | RegExp;
  /** Desired state afterwards. */
  readonly then?: string;
}

const existing = (state = "inactive") => (api: ApiFixture) => api.put("hello.service", state);
const template = (api: ApiFixture) => api.put("hello@.service");
const atTemplate = "/fleet/v1/units/hello@.service";

const puts: readonly PutCase[] = [
  {
    name: "1: no Content-Type",
    send: { body: "{}", contentType: null },
    code: 415,
    says: "expected 1 Content-Type, got 0",
  },
  {
    name: "1: two Content-Types",
    send: { body: "{}", peer: { contentTypes: 2 } },
    code: 415,
    says: "expected 1 Content-Type, got 2",
  },
  {
    name: "2: another media type",
    send: { body: "{}", contentType: "text/plain" },
    code: 415,
    says: "only acceptable Content-Type is application/json",
  },
  {
    name: "2: parameters of the media type do not matter",
    send: { body: { options }, contentType: "application/json ; charset=utf-8" },
    code: 201,
  },
  { name: "3: empty body", send: { body: "" }, code: 400, says: "unable to decode body: EOF" },
  { name: "3: blank body", send: { body: " \n" }, code: 400, says: "unable to decode body: EOF" },
  { name: "3: half a body", send: { body: '{"name":"a' }, code: 400, says: "unable to decode body: unexpected EOF" },
  { name: "3: no JSON", send: { body: "hello" }, code: 400, says: /^unable to decode body: Unexpected token/ },
  {
    name: "3: not an object",
    send: { body: "[]" },
    code: 400,
    says: "unable to decode body: expected body to be an object",
  },
  {
    name: "3: a field of another type",
    send: { body: { name: 7 } },
    code: 400,
    says: "unable to decode body: expected name to be a string",
  },
  {
    name: "3: a null option",
    send: { body: { options: [null] } },
    code: 400,
    says: "unable to decode body: expected options[0] to be an object",
  },
  {
    name: "3: more options than make sense",
    send: { body: { options: Array(4097).fill(options[0]) } },
    code: 400,
    says: "unable to decode body: expected options to have at most 4096 items",
  },
  {
    name: "3: invalid UTF-8",
    send: { body: new Uint8Array([0x22, 0xff, 0x22]) },
    code: 400,
    says: "unable to decode body: invalid UTF-8",
  },
  {
    name: "3: more than a mebibyte",
    send: { body: { options: [{ section: "A", name: "B", value: "x".repeat(1024 * 1024) }] } },
    code: 413,
    says: "unable to decode body: request body exceeds maximum length (1048576)",
  },
  { name: "3: only the first value counts", send: { body: JSON.stringify({ options }) + "garbage" }, code: 201 },
  {
    name: "3: unknown fields are ignored, names match in any case",
    send: {
      body: { OPTIONS: options.map(({ section, name, value }) => ({ Section: section, NAME: name, value })), x: 1 },
    },
    code: 201,
  },
  {
    name: "3: current state and machine are the server's to say",
    send: { body: { options, currentState: "launched", machineID: "m" } },
    code: 201,
    then: "inactive",
  },
  {
    name: "4: another name in the body",
    send: { body: { name: "b.service", options } },
    code: 400,
    says: 'name in URL "hello.service" differs from unit name in request body "b.service"',
  },
  {
    name: "4: comes before the name's validity",
    path: "/fleet/v1/units/bad",
    send: { body: { name: "b", options } },
    code: 400,
    says: 'name in URL "bad" differs from unit name in request body "b"',
  },
  {
    name: "5: invalid name",
    path: "/fleet/v1/units/hello",
    send: { body: {} },
    code: 400,
    says: 'unit name must contain "."',
  },
  {
    name: "6: new unit, no options",
    send: { body: { desiredState: "launched" } },
    code: 409,
    says: "unit does not exist and options field empty",
  },
  {
    name: "6: null is an empty request",
    send: { body: "null" },
    code: 409,
    says: "unit does not exist and options field empty",
  },
  {
    name: "7: new unit, options at odds",
    send: { body: { options: optionsOf("[X-Fleet]\nGlobal=true\nMachineOf=a.service"), desiredState: "bogus" } },
    code: 400,
    says: "Global=true and MachineOf= exclude each other",
  },
  {
    name: "7: new unit, options that cannot be read back",
    send: { body: { options: [{ section: "S", name: "A", value: "a\nb" }] } },
    code: 400,
    says: /line without =: "b"$/,
  },
  {
    name: "7: options that come to nothing",
    send: { body: { options: [{ section: "S", name: "#A", value: "x" }] } },
    code: 400,
    says: "the options make an empty unit file",
  },
  {
    name: "7: a unit file that is too large",
    send: {
      body: { options: Array.from({ length: 300 }, () => ({ section: "S", name: "A", value: "x".repeat(1000) })) },
    },
    code: 400,
    says: "unit file exceeds maximum length (262144)",
  },
  {
    name: "8: new unit, unknown state",
    send: { body: { options, desiredState: "Launched" } },
    code: 400,
    says: 'unknown desiredState "Launched": expect inactive, loaded, launched',
  },
  {
    name: "8: new template, to be launched",
    path: atTemplate,
    send: { body: { options, desiredState: "launched" } },
    code: 400,
    says: 'cannot activate template "hello@.service"',
  },
  { name: "new template", path: atTemplate, send: { body: { options } }, code: 201 },
  { name: "new unit without a state is inactive", send: { body: { options } }, code: 201, then: "inactive" },
  {
    name: "new unit, launched at once",
    send: { body: { options, desiredState: "launched" } },
    code: 201,
    then: "launched",
  },
  {
    name: "9: another file replaces, with its state",
    given: existing("launched"),
    send: { body: { options: optionsOf("[Service]\nExecStart=/bin/false"), desiredState: "launched" } },
    code: 201,
    then: "launched",
  },
  {
    name: "9: another file without a state stops the unit",
    given: existing("launched"),
    send: { body: { options: optionsOf("[Service]\nExecStart=/bin/false") } },
    code: 201,
    then: "inactive",
  },
  {
    name: "9: a replacement's options are checked as well",
    given: existing("launched"),
    send: { body: { options: optionsOf("[X-Fleet]\nMachineID=a\nGlobal=true") } },
    code: 400,
    says: "MachineID= and Global=true exclude each other",
    then: "launched",
  },
  {
    name: "9: a replacement's state is checked as well",
    given: existing("launched"),
    send: { body: { options: optionsOf("[Service]\nExecStart=/bin/false"), desiredState: "up" } },
    code: 400,
    says: 'unknown desiredState "up": expect inactive, loaded, launched',
    then: "launched",
  },
  {
    name: "10: existing, no state",
    given: existing(),
    send: { body: { options } },
    code: 409,
    says: "must provide DesiredState to update existing unit",
  },
  {
    name: "11: existing template, to be launched",
    given: template,
    path: atTemplate,
    send: { body: { desiredState: "launched" } },
    code: 400,
    says: 'cannot activate template "hello@.service"',
  },
  {
    name: "11: existing template, inactive",
    given: template,
    path: atTemplate,
    send: { body: { desiredState: "inactive" } },
    code: 204,
  },
  {
    name: "12: existing, state only",
    given: existing(),
    send: { body: { desiredState: "loaded" } },
    code: 204,
    then: "loaded",
  },
  {
    name: "12: existing, same file and a state",
    given: existing(),
    send: { body: { options, desiredState: "launched" } },
    code: 204,
    then: "launched",
  },
  {
    name: "12: existing, options in another arrangement but the same file",
    given: (api) => api.put("hello.service", "loaded", "[Unit]\nA=1\n[Service]\nB=2\n[Unit]\nC=3"),
    send: { body: { options: optionsOf("[Unit]\nA=1\nC=3\n[Service]\nB=2"), desiredState: "launched" } },
    code: 204,
    then: "launched",
  },
  {
    name: "12: existing, unknown state",
    given: existing("launched"),
    send: { body: { desiredState: "stopped" } },
    code: 400,
    says: 'unknown desiredState "stopped": expect inactive, loaded, launched',
    then: "launched",
  },
  {
    name: "a state it has already",
    given: existing("launched"),
    send: { body: { desiredState: "launched" } },
    code: 204,
    then: "launched",
  },
];

Deno.test("PUT /units/{name} checks in this order", async (test) => {
  for (const each of puts) {
    await test.step(each.name, async () => {
      await using api = await ApiFixture.open();
      await each.given?.(api);
      const at = each.path ?? path;
      const answer = await api.send("PUT", at, each.send);
      assert.equal(answer.code, each.code, answer.text);
      if (each.says instanceof RegExp) assert.match(JSON.parse(answer.text).error.message, each.says);
      else assert.equal(answer.text, each.says === undefined ? "" : errorText(each.code, each.says));
      if (answer.code < 300) assert.equal(answer.headers.get("Content-Type"), null);
      if (each.then !== undefined) assert.equal(JSON.parse((await api.send("GET", at)).text).desiredState, each.then);
    });
  }
});

const names: readonly (readonly [name: string, says: string | undefined])[] = [
  ["x".repeat(249) + ".service", "unit name exceeds maximum length (256)"],
  ["x".repeat(248) + ".service", undefined],
  ["hello", 'unit name must contain "."'],
  ["hello.", 'unit name cannot end in "."'],
  ["hello.foo", 'invalid unit type: "foo"'],
  ["hello.Service", 'invalid unit type: "Service"'],
  ["hello@1.mount", 'invalid unit type for template: "mount"'],
  ["he llo.service", "invalid character ' ' in unit name"],
  ["hé.service", "invalid character 'é' in unit name"],
  ["@1.service", 'unit name cannot start in "@"'],
  ["a:b-c_d.e\\x2df@g.service", undefined],
  ["a.automount", undefined],
  ["a.target", undefined],
  [
    "a.scope",
    'a unit of type "scope" cannot be run: systemd makes scopes for processes that run already, never from a file',
  ],
];

Deno.test("names of units: the first failing rule is told", async (test) => {
  await using api = await ApiFixture.open();
  for (const [name, says] of names) {
    await test.step(`${name.slice(0, 20)} (${name.length})`, async () => {
      const answer = await api.send("PUT", `/fleet/v1/units/${encodeURIComponent(name)}`, { body: { options } });
      assert.equal(answer.text, says === undefined ? "" : errorText(400, says));
      if (says === undefined) {
        const found = await api.send("GET", `/fleet/v1/units/${encodeURIComponent(name)}`);
        assert.equal(JSON.parse(found.text).name, name);
      }
    });
  }
});

Deno.test("a unit of a name that systemd would not take is stored, but not wanted anywhere", async (test) => {
  await using api = await ApiFixture.open();
  for (const name of ["x".repeat(248) + ".service", ".hidden.service", ".service", "-.slice", "-.mount"]) {
    await test.step(`${name.slice(0, 20)} (${name.length})`, async () => {
      const at = `/fleet/v1/units/${name}`;
      const refused = (text: string) => assert.match(JSON.parse(text).error.message, /cannot be run: systemd /);
      const born = await api.send("PUT", at, { body: { options, desiredState: "launched" } });
      assert.equal(born.code, 400);
      refused(born.text);
      assert.equal((await api.send("PUT", at, { body: { options } })).code, 201);
      const wanted = await api.send("PUT", at, { body: { desiredState: "loaded" } });
      assert.equal(wanted.code, 400);
      refused(wanted.text);
      assert.equal((await api.send("PUT", at, { body: { desiredState: "inactive" } })).code, 204);
      assert.equal((await api.send("DELETE", at)).code, 204);
    });
  }
});

const forbidden: readonly (readonly [fleet: string, says: string | undefined])[] = [
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
  for (const [index, [fleet, says]] of forbidden.entries()) {
    await test.step(fleet.replaceAll("\n", " "), async () => {
      const body = { options: optionsOf(`[X-Fleet]\n${fleet}`) };
      const answer = await api.send("PUT", `/fleet/v1/units/u${index}.service`, { body });
      assert.equal(answer.text, says === undefined ? "" : errorText(400, says));
    });
  }
});

Deno.test("misspelled and doubtful options are accepted, with a warning", async () => {
  await using api = await ApiFixture.open();
  const answer = await api.send("PUT", path, {
    body: { options: optionsOf("[X-Fleet]\nConflict=é*\nMachineOf=\n[X-fleet]\na=b") },
  });
  assert.equal(answer.code, 201);
  assert.equal(
    answer.headers.get("Warning") ?? "",
    '199 - "unit hello.service: unrecognized requirement in [X-Fleet] section: \\"Conflict\\" (did you mean ' +
      '\\"Conflicts\\"?); unrecognized section: \\"[X-fleet]\\" (did you mean \\"[X-Fleet]\\"?); ' +
      'MachineOf is empty: it asks for nothing"',
  );
  assert.equal(api.logged.length, 1);
});

Deno.test("what counts of options is the file they make", async (test) => {
  await using api = await ApiFixture.open();
  await test.step("a line break in a value makes a second option, which is heeded", async () => {
    const smuggled = [{ section: "Service", name: "A", value: "b\n[X-Fleet]\nGlobal=true\nMachineID=m" }];
    const answer = await api.send("PUT", path, { body: { options: smuggled } });
    assert.equal(answer.text, errorText(400, "MachineID= and Global=true exclude each other"));
  });
  await test.step("a backslash at the end of a value does not swallow the next option", async () => {
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

Deno.test("a unit, as GET gives it", async (test) => {
  await using api = await ApiFixture.open();
  await api.join("m1");
  const get = async () => (await api.send("GET", path)).text;
  const told = '"name":"hello.service","options":[' +
    '{"name":"ExecStart","section":"Service","value":"/bin/true"},{"name":"Empty","section":"Service"}]}';
  await api.put("hello.service", "launched", file + "\nEmpty=");

  await test.step("keys in order, empty fields left out, no machine while it has none", async () => {
    const answer = await api.send("GET", path);
    assert.equal(answer.code, 200);
    assert.equal(answer.headers.get("Content-Type"), "application/json");
    assert.equal(answer.text, `{"currentState":"inactive","desiredState":"launched",${told}`);
  });
  await test.step("its machine once it is placed", async () => {
    await api.place("hello.service", "m1");
    assert.equal(await get(), `{"currentState":"inactive","desiredState":"launched","machineID":"m1",${told}`);
  });
  await test.step("its current state once the machine tells", async () => {
    await api.report("m1", "hello.service", { commanded: "loaded" });
    assert.equal(await get(), `{"currentState":"loaded","desiredState":"launched","machineID":"m1",${told}`);
  });
  await test.step("the same in the list", async () => {
    assert.equal((await api.send("GET", "/v1-alpha/units")).text, `{"units":[${await get()}]}`);
  });
  await test.step("another machine's state is not its current state", async () => {
    await api.join("m0");
    await api.report("m1", "hello.service", undefined);
    await api.report("m0", "hello.service", {});
    assert.match(await get(), /"currentState":"inactive"/);
  });
  await test.step("inactive takes it off its machine", async () => {
    await api.send("PUT", path, { body: { desiredState: "inactive" } });
    assert.equal(await get(), `{"currentState":"inactive","desiredState":"inactive",${told}`);
  });
  await test.step("a global has neither machine nor current state, alone or in the list", async () => {
    await api.put("g.service", "launched", "[X-Fleet]\nGlobal=true");
    const text =
      '{"desiredState":"launched","name":"g.service","options":[{"name":"Global","section":"X-Fleet","value":"true"}]}';
    assert.equal((await api.send("GET", "/fleet/v1/units/g.service")).text, text);
    assert.ok((await api.send("GET", "/fleet/v1/units")).text.startsWith(`{"units":[${text},`));
  });
  await test.step("an unknown one is 404", async () => {
    assert.equal((await api.send("GET", "/fleet/v1/units/a.service")).text, errorText(404, "unit does not exist"));
  });
});

Deno.test("DELETE /units/{name}", async () => {
  await using api = await ApiFixture.open();
  await api.put("hello.service");
  const first = await api.send("DELETE", path);
  assert.deepEqual([first.code, first.text], [204, ""]);
  const second = await api.send("DELETE", path);
  assert.deepEqual([second.code, second.text], [404, errorText(404, "unit does not exist")]);
});

Deno.test("POST /units/{name}/restart", async (test) => {
  await using api = await ApiFixture.open();
  const restart = () => api.send("POST", `${path}/restart`);
  await test.step("an unknown unit is 404", async () => {
    assert.equal((await restart()).text, errorText(404, "unit does not exist"));
  });
  for (const state of ["inactive", "loaded"]) {
    await test.step(`one that is ${state} is 409`, async () => {
      await api.put("hello.service", state);
      const { text } = await restart();
      assert.equal(text, errorText(409, `cannot restart unit "hello.service": its desired state is ${state}`));
      assert.equal((await api.registry.unit("hello.service")).unit?.restart, 0);
    });
  }
  await test.step("asks for a restart and leaves the state", async () => {
    await api.put("hello.service", "launched");
    const before = await api.registry.unit("hello.service");
    assert.deepEqual([(await restart()).code, before.unit?.restart], [204, 0]);
    const after = await api.registry.unit("hello.service");
    assert.ok((after.unit?.restart ?? 0) > (before.unit?.revision ?? Infinity));
    assert.equal(after.unit?.desiredState, "launched");
  });
  await test.step("each asks anew", async () => {
    const before = await api.registry.unit("hello.service");
    await restart();
    const after = await api.registry.unit("hello.service");
    assert.ok((after.unit?.restart ?? 0) > (before.unit?.restart ?? Infinity));
  });
});

Deno.test("POST /units/{name}/start asks for a start where the unit does not run, until a restart is asked for", async () => {
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

Deno.test("POST /units/{name}/stop", async (test) => {
  await using api = await ApiFixture.open();
  const stop = () => api.send("POST", `${path}/stop`);
  await test.step("an unknown unit is 404", async () => {
    assert.equal((await stop()).text, errorText(404, "unit does not exist"));
  });
  for (const state of ["inactive", "launched"]) {
    await test.step(`one that is ${state} is 409`, async () => {
      await api.put("hello.service", state);
      const { text } = await stop();
      assert.equal(text, errorText(409, `cannot stop unit "hello.service": its desired state is ${state}`));
    });
  }
  await test.step("asks for a stop and leaves the state", async () => {
    await api.put("hello.service", "loaded");
    const before = await api.registry.unit("hello.service");
    assert.equal((await stop()).code, 204);
    const after = await api.registry.unit("hello.service");
    assert.ok((after.unit?.restart ?? 0) > (before.unit?.revision ?? Infinity));
    assert.equal(after.unit?.desiredState, "loaded");
  });
});

/** A registry where `meddle` gets in between reading and writing, `times` times. */
function meddled(registry: Registry, times: number, meddle: (turn: number) => Promise<unknown>): Registry {
  let turn = 0;
  return Object.create(registry, {
    unit: { value: (name: string) => registry.unit(name) },
    peek: { value: (name: string) => registry.peek(name) },
    commit: {
      async value(change: Parameters<Registry["commit"]>[0]) {
        if (turn < times) await meddle(++turn);
        return await registry.commit(change);
      },
    },
  });
}

Deno.test("a change that was decided on old news is decided anew", async (test) => {
  /** A registry that has not heard of anything since `api` was asked for this. */
  const belated = async (api: ApiFixture): Promise<Registry> => {
    const stale = await api.registry.unit("hello.service");
    return Object.create(api.registry, {
      unit: { value: (name: string) => api.registry.unit(name) },
      commit: { value: (change: Parameters<Registry["commit"]>[0]) => api.registry.commit(change) },
      peek: { value: () => stale },
    });
  };
  const state = async (api: ApiFixture) => (await api.registry.unit("hello.service")).unit?.desiredState;
  await test.step("a unit that seemed to be absent is updated, not created", async () => {
    await using api = await ApiFixture.open();
    const registry = await belated(api);
    await api.put("hello.service", "loaded");
    api.handler = api.handlerOver(registry);
    const answer = await api.send("PUT", path, { body: { options, desiredState: "launched" } });
    assert.deepEqual([answer.code, await state(api)], [204, "launched"]);
  });
  await test.step("a unit that seemed to be as it is wanted is changed", async () => {
    await using api = await ApiFixture.open();
    await api.put("hello.service", "loaded");
    const registry = await belated(api);
    await api.put("hello.service", "inactive");
    api.handler = api.handlerOver(registry);
    assert.equal((await api.send("PUT", path, { body: { desiredState: "loaded" } })).code, 204);
    assert.equal(await state(api), "loaded");
  });
  await test.step("a unit that seemed to be there is gone, one that seemed to be absent is deleted", async () => {
    await using api = await ApiFixture.open();
    const before = await belated(api);
    await api.put("hello.service");
    const between = await belated(api);
    api.handler = api.handlerOver(before);
    assert.equal((await api.send("DELETE", path)).code, 204);
    api.handler = api.handlerOver(between);
    assert.equal((await api.send("DELETE", path)).text, errorText(404, "unit does not exist"));
  });
});

Deno.test("a change that others get in the way of is decided anew", async (test) => {
  await test.step("a unit that was created meanwhile is updated, not created", async () => {
    await using api = await ApiFixture.open();
    const original = api.handler;
    api.handler = api.handlerOver(meddled(api.registry, 1, async () => {
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
    api.handler = api.handlerOver(meddled(api.registry, 1, async () => {
      await api.registry.commit({ kind: "delete", was: await api.registry.unit("hello.service") });
    }));
    assert.equal((await api.send("DELETE", path)).text, errorText(404, "unit does not exist"));
  });
  await test.step("it is given up after a while", async () => {
    await using api = await ApiFixture.open();
    await api.put("hello.service");
    api.handler = api.handlerOver(meddled(api.registry, Infinity, async (turn) => {
      const was = await api.registry.unit("hello.service");
      await api.registry.commit({ kind: "put", was, desiredState: turn % 2 ? "loaded" : "inactive" });
    }));
    const answer = await api.send("PUT", path, { body: { desiredState: "launched" } });
    assert.equal(answer.code, 409);
    assert.match(answer.text, /unit hello.service was changed by somebody else meanwhile; gave up after 10 attempts/);
  });
});
