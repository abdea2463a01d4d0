import assert from "node:assert/strict";
import { ApiFixture, errorText, type Extras, optionsOf } from "../../../tests/support/api_fixture.ts";

const file = "[Service]\nExecStart=/bin/true";
const options = optionsOf(file);
const path = "/fleet/v1/units/hello.service";

/** One PUT. */
interface PutCase {
  readonly name: string;
  /** Prepares the cluster. */
  readonly before?: (api: ApiFixture) => Promise<unknown>;
  readonly path?: string;
  readonly send: Extras;
  readonly code: number;
  /** The message of a refusal; absent if the body is empty. */
  readonly message?: string | RegExp;
  /** The desired state afterwards. */
  readonly stateAfter?: string;
}

const existing = (state = "inactive") => (api: ApiFixture) => api.put("hello.service", state);
const template = (api: ApiFixture) => api.put("hello@.service");
const atTemplate = "/fleet/v1/units/hello@.service";

const puts: readonly PutCase[] = [
  {
    name: "1: no Content-Type",
    send: { body: "{}", contentType: null },
    code: 415,
    message: "expected 1 Content-Type, got 0",
  },
  {
    name: "1: two Content-Types",
    send: { body: "{}", peer: { contentTypes: 2 } },
    code: 415,
    message: "expected 1 Content-Type, got 2",
  },
  {
    name: "2: another media type",
    send: { body: "{}", contentType: "text/plain" },
    code: 415,
    message: "only acceptable Content-Type is application/json",
  },
  {
    name: "2: parameters of the media type do not matter",
    send: { body: { options }, contentType: "application/json ; charset=utf-8" },
    code: 201,
  },
  { name: "3: empty body", send: { body: "" }, code: 400, message: "unable to decode body: EOF" },
  { name: "3: blank body", send: { body: " \n" }, code: 400, message: "unable to decode body: EOF" },
  { name: "3: half a body", send: { body: '{"name":"a' }, code: 400, message: "unable to decode body: unexpected EOF" },
  { name: "3: no JSON", send: { body: "hello" }, code: 400, message: /^unable to decode body: Unexpected token/ },
  {
    name: "3: not an object",
    send: { body: "[]" },
    code: 400,
    message: "unable to decode body: expected body to be an object",
  },
  {
    name: "3: a field of another type",
    send: { body: { name: 7 } },
    code: 400,
    message: "unable to decode body: expected name to be a string",
  },
  {
    name: "3: a null option",
    send: { body: { options: [null] } },
    code: 400,
    message: "unable to decode body: expected options[0] to be an object",
  },
  {
    name: "3: more options than make sense",
    send: { body: { options: Array(4097).fill(options[0]) } },
    code: 400,
    message: "unable to decode body: expected options to have at most 4096 items",
  },
  {
    name: "3: invalid UTF-8",
    send: { body: new Uint8Array([0x22, 0xff, 0x22]) },
    code: 400,
    message: "unable to decode body: invalid UTF-8",
  },
  {
    name: "3: more than a mebibyte",
    send: { body: { options: [{ section: "A", name: "B", value: "x".repeat(1024 * 1024) }] } },
    code: 413,
    message: "unable to decode body: request body exceeds maximum length (1048576)",
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
    name: "3: current state and machine are ignored",
    send: { body: { options, currentState: "launched", machineID: "m" } },
    code: 201,
    stateAfter: "inactive",
  },
  {
    name: "4: another name in the body",
    send: { body: { name: "b.service", options } },
    code: 400,
    message: 'name in URL "hello.service" differs from unit name in request body "b.service"',
  },
  {
    name: "4: the comparison of names comes before the validation",
    path: "/fleet/v1/units/bad",
    send: { body: { name: "b", options } },
    code: 400,
    message: 'name in URL "bad" differs from unit name in request body "b"',
  },
  {
    name: "5: invalid name",
    path: "/fleet/v1/units/hello",
    send: { body: {} },
    code: 400,
    message: 'unit name must contain "."',
  },
  {
    name: "6: new unit, no options",
    send: { body: { desiredState: "launched" } },
    code: 409,
    message: "unit does not exist and options field empty",
  },
  {
    name: "6: null is an empty request",
    send: { body: "null" },
    code: 409,
    message: "unit does not exist and options field empty",
  },
  {
    name: "7: new unit, contradictory options",
    send: { body: { options: optionsOf("[X-Fleet]\nGlobal=true\nMachineOf=a.service"), desiredState: "bogus" } },
    code: 400,
    message: "Global=true and MachineOf= exclude each other",
  },
  {
    name: "7: new unit, options that make no valid unit file",
    send: { body: { options: [{ section: "S", name: "A", value: "a\nb" }] } },
    code: 400,
    message: /line without =: "b"$/,
  },
  {
    name: "7: options that make an empty unit file",
    send: { body: { options: [{ section: "S", name: "#A", value: "x" }] } },
    code: 400,
    message: "the options make an empty unit file",
  },
  {
    name: "7: a unit file that is too large",
    send: {
      body: { options: Array.from({ length: 300 }, () => ({ section: "S", name: "A", value: "x".repeat(1000) })) },
    },
    code: 400,
    message: "unit file exceeds maximum length (262144)",
  },
  {
    name: "8: new unit, unknown state",
    send: { body: { options, desiredState: "Launched" } },
    code: 400,
    message: 'unknown desiredState "Launched": expect inactive, loaded, launched',
  },
  {
    name: "8: new template, launched",
    path: atTemplate,
    send: { body: { options, desiredState: "launched" } },
    code: 400,
    message: 'cannot activate template "hello@.service"',
  },
  { name: "new template", path: atTemplate, send: { body: { options } }, code: 201 },
  { name: "new unit without a state is inactive", send: { body: { options } }, code: 201, stateAfter: "inactive" },
  {
    name: "new unit, launched at once",
    send: { body: { options, desiredState: "launched" } },
    code: 201,
    stateAfter: "launched",
  },
  {
    name: "9: another file replaces, with its state",
    before: existing("launched"),
    send: { body: { options: optionsOf("[Service]\nExecStart=/bin/false"), desiredState: "launched" } },
    code: 201,
    stateAfter: "launched",
  },
  {
    name: "9: another file without a state stops the unit",
    before: existing("launched"),
    send: { body: { options: optionsOf("[Service]\nExecStart=/bin/false") } },
    code: 201,
    stateAfter: "inactive",
  },
  {
    name: "9: a replacement's options are checked as well",
    before: existing("launched"),
    send: { body: { options: optionsOf("[X-Fleet]\nMachineID=a\nGlobal=true") } },
    code: 400,
    message: "MachineID= and Global=true exclude each other",
    stateAfter: "launched",
  },
  {
    name: "9: a replacement's state is checked as well",
    before: existing("launched"),
    send: { body: { options: optionsOf("[Service]\nExecStart=/bin/false"), desiredState: "up" } },
    code: 400,
    message: 'unknown desiredState "up": expect inactive, loaded, launched',
    stateAfter: "launched",
  },
  {
    name: "10: existing, no state",
    before: existing(),
    send: { body: { options } },
    code: 409,
    message: "must provide DesiredState to update existing unit",
  },
  {
    name: "11: existing template, launched",
    before: template,
    path: atTemplate,
    send: { body: { desiredState: "launched" } },
    code: 400,
    message: 'cannot activate template "hello@.service"',
  },
  {
    name: "11: existing template, inactive",
    before: template,
    path: atTemplate,
    send: { body: { desiredState: "inactive" } },
    code: 204,
  },
  {
    name: "12: existing, state only",
    before: existing(),
    send: { body: { desiredState: "loaded" } },
    code: 204,
    stateAfter: "loaded",
  },
  {
    name: "12: existing, same file and a state",
    before: existing(),
    send: { body: { options, desiredState: "launched" } },
    code: 204,
    stateAfter: "launched",
  },
  {
    name: "12: existing, options in another order but the same file",
    before: (api) => api.put("hello.service", "loaded", "[Unit]\nA=1\n[Service]\nB=2\n[Unit]\nC=3"),
    send: { body: { options: optionsOf("[Unit]\nA=1\nC=3\n[Service]\nB=2"), desiredState: "launched" } },
    code: 204,
    stateAfter: "launched",
  },
  {
    name: "12: existing, unknown state",
    before: existing("launched"),
    send: { body: { desiredState: "stopped" } },
    code: 400,
    message: 'unknown desiredState "stopped": expect inactive, loaded, launched',
    stateAfter: "launched",
  },
  {
    name: "the state that the unit has already",
    before: existing("launched"),
    send: { body: { desiredState: "launched" } },
    code: 204,
    stateAfter: "launched",
  },
];

Deno.test("PUT /units/{name} checks the request in this order", async (test) => {
  for (const each of puts) {
    await test.step(each.name, async () => {
      await using api = await ApiFixture.open();
      await each.before?.(api);
      const at = each.path ?? path;
      const answer = await api.send("PUT", at, each.send);
      assert.equal(answer.code, each.code, answer.text);
      if (each.message instanceof RegExp) assert.match(JSON.parse(answer.text).error.message, each.message);
      else assert.equal(answer.text, each.message === undefined ? "" : errorText(each.code, each.message));
      if (answer.code < 300) assert.equal(answer.headers.get("Content-Type"), null);
      if (each.stateAfter !== undefined) {
        assert.equal(JSON.parse((await api.send("GET", at)).text).desiredState, each.stateAfter);
      }
    });
  }
});
