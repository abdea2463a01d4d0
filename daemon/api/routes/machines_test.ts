import assert from "node:assert/strict";
import { ApiFixture, errorText } from "../../../tests/support/api_fixture.ts";

const path = "/fleet/v1/machines";

const refused: readonly (readonly [name: string, body: unknown, message: string])[] = [
  ["empty body", "", "EOF"],
  ["half a body", "[{", "unexpected EOF"],
  ["no array", "{}", "expected body to be an array"],
  ["no objects", "[1]", "expected body[0] to be an object"],
  ["op of another type", '[{"op":1}]', "expected body[0].op to be a string"],
  [
    "value of another type",
    '[{"op":"add","path":"/m/metadata/k","value":1}]',
    "expected body[0].value to be a string or an object",
  ],
  [
    "value an array",
    '[{"op":"add","path":"/m/metadata/k","value":[]}]',
    "expected body[0].value to be a string or an object",
  ],
  ["unknown op", '[{"op":"test","path":"/m/metadata/k"}]', "invalid op: expect add, remove, or replace"],
  ["op in capitals", '[{"op":"ADD","path":"/m/metadata/k"}]', "invalid op: expect add, remove, or replace"],
  ["a null operation", "[null]", "expected body[0] to be an object"],
  ["no path", '[{"op":"remove"}]', "machine metadata path invalid"],
  ["path without key", '[{"op":"remove","path":"/m/metadata/"}]', "machine metadata path invalid"],
  ["a path to another field", '[{"op":"remove","path":"/m/ip/k"}]', "machine metadata path invalid"],
  ["a key with a slash", '[{"op":"remove","path":"/m/metadata/a/b"}]', "machine metadata path invalid"],
  ["a key with a line break", '[{"op":"remove","path":"/m/metadata/a\\n"}]', "machine metadata path invalid"],
  ["add without value", '[{"op":"add","path":"/m/metadata/k"}]', "invalid value: add and replace require a value"],
  [
    "replace by nothing",
    '[{"op":"replace","path":"/m/metadata/k","value":{"value":""}}]',
    "invalid value: add and replace require a value",
  ],
  [
    "too long a value",
    [{ op: "add", path: "/m/metadata/k", value: "x".repeat(4097) }],
    "invalid value: exceeds maximum length (4096)",
  ],
  [
    "too many operations",
    Array.from({ length: 1001 }, () => ({ op: "remove", path: "/m/metadata/k" })),
    "expected body to have at most 1000 items",
  ],
  ["a wrong type is reported before a wrong value", '[{"op":"test"},{"op":1}]', "expected body[1].op to be a string"],
  [
    "all operations are checked before the first is carried out",
    '[{"op":"add","path":"/m1/metadata/k","value":"v"},{"op":"x"}]',
    "invalid op: expect add, remove, or replace",
  ],
];

Deno.test("PATCH /machines refuses invalid requests", async (test) => {
  await using api = await ApiFixture.open();
  await api.join("m1");
  for (const [name, body, message] of refused) {
    await test.step(name, async () => {
      const answer = await api.send("PATCH", path, { body });
      assert.deepEqual([answer.code, answer.text], [400, errorText(400, message)]);
    });
  }
  await test.step("a refused request changes no machine", async () => {
    assert.equal((await api.send("GET", path)).text, '{"machines":[{"id":"m1"}]}');
  });
});

Deno.test("PATCH /machines changes the metadata that GET /machines returns", async (test) => {
  await using api = await ApiFixture.open();
  await api.join("m1", "10.0.0.1", { region: "eu", disk: "ssd" });
  const machines = async () => (await api.send("GET", path)).text;
  const patch = async (body: unknown, contentType?: string) => {
    const answer = await api.send("PATCH", path, { body, contentType: contentType ?? null });
    assert.deepEqual([answer.code, answer.text], [204, ""]);
    assert.equal(answer.headers.get("Content-Type"), "application/json");
  };
  const one = (metadata: string) => `{"machines":[{"id":"m1","metadata":${metadata},"primaryIP":"10.0.0.1"}]}`;

  await test.step("keys are in order", async () => {
    assert.equal(await machines(), one('{"disk":"ssd","region":"eu"}'));
  });
  await test.step("an empty list and null change no machine", async () => {
    await patch("[]");
    await patch("null");
  });
  await test.step("add takes the value as an object, and any Content-Type", async () => {
    await patch('[{"op":"add","path":"/m1/metadata/a.b_c-D9","value":{"value":"1"}}]', "text/plain");
    assert.equal(await machines(), one('{"a.b_c-D9":"1","disk":"ssd","region":"eu"}'));
  });
  await test.step("replace takes the value as a string, and field names in any case", async () => {
    await patch('[{"OP":"replace","Path":"/m1/metadata/a.b_c-D9","VALUE":"2"}]');
    assert.equal(await machines(), one('{"a.b_c-D9":"2","disk":"ssd","region":"eu"}'));
  });
  await test.step("remove hides a static key, and operations apply in order", async () => {
    await patch([
      { op: "remove", path: "/m1/metadata/region" },
      { op: "add", path: "/m1/metadata/disk", value: "x" },
      { op: "replace", path: "/m1/metadata/disk", value: "y" },
    ]);
    assert.equal(await machines(), one('{"a.b_c-D9":"2","disk":"y"}'));
  });
  await test.step("metadata of an absent machine is stored, and appears when it joins", async () => {
    await patch([{ op: "add", path: "/m2/metadata/k", value: "v" }]);
    assert.equal(await machines(), one('{"a.b_c-D9":"2","disk":"y"}'));
    await api.join("m2");
    assert.match(await machines(), /,\{"id":"m2","metadata":\{"k":"v"\}\}\]\}$/);
  });
});

Deno.test("GET /machines has what units can reserve on a machine, and what its units reserve", async () => {
  await using api = await ApiFixture.open();
  const gibibyte = 2 ** 30;
  await api.join("m1", "", {}, undefined, false, {
    ...{ cpu_m: 4_000, memory_bytes: 8 * gibibyte, reservedCpu_m: 500, reservedMemory_bytes: gibibyte },
    resources: { gpu: 2, license: 5 },
  });
  await api.put("every.service", "launched", "[X-Fleet]\nGlobal=true\nMemoryReserve=1G\nResources=gpu=1\n");
  await api.put("idle.service", "inactive", "[X-Fleet]\nMemoryReserve=1G\n");
  const { machines } = JSON.parse((await api.send("GET", path)).text);
  assert.deepEqual(machines, [{
    capacity: { cpu: 3_500, memory: 7 * gibibyte, resources: { gpu: 2, license: 5 } },
    id: "m1",
    reserved: { cpu: 0, memory: gibibyte, resources: { gpu: 1 } },
  }]);
});
