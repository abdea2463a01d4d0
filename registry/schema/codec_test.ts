import assert from "node:assert/strict";
import * as codec from "./codec.ts";
import type { MachineRecord, UnitState } from "../model.ts";
import type { KeyValue } from "../store/port.ts";

const stored = (value: string, modRevision = 7): KeyValue => ({
  key: "some/key",
  value,
  createRevision: 3,
  modRevision,
  lease: "",
});

Deno.test("decoding returns the encoded value", () => {
  const machine: MachineRecord = {
    id: "m1",
    ip: "10.0.0.1",
    apiAddress: "http://10.0.0.1:49153",
    incarnation: "boot",
    staticMetadata: { zone: "a" },
    capabilities: { disableEngine: true },
    version: "2.0.0",
  };
  const state: UnitState = {
    unit: "a.service",
    machine: "m1",
    hash: "h",
    commanded: "launched",
    restart: 5,
    error: "StartUnit: no",
    result: "exit-code",
    job: "failed",
    load: "loaded",
    active: "failed",
    sub: "failed",
    since_ms: 1,
  };
  const { error: _error, result: _result, job: _job, ...healthy } = state;
  const { apiAddress: _address, ...silent } = machine;
  for (const each of [machine, silent]) {
    assert.deepEqual(codec.decodeMachine("m1", stored(codec.encodeMachine(each))), each);
  }
  for (const each of [state, healthy, { ...state, commanded: "inactive" as const }]) {
    assert.deepEqual(codec.decodeState("m1", "a.service", stored(codec.encodeState(each))), each);
  }
  const target = { unit: "a.service", machine: "m1", why: "least loaded", since_ms: 9, revision: 7 };
  assert.deepEqual(codec.decodeTarget("a.service", stored(codec.encodeTarget(target))), target);
  const leader = { machine: "m1", version: "2.0.0" };
  assert.deepEqual(codec.decodeLeader(stored(codec.encodeLeader(leader))), leader);
});

Deno.test("`now` is read as the revision that wrote it, a number as itself", () => {
  const fleetOptions = [{ section: "X-Fleet", name: "Conflicts", value: "b*" }];
  const value = { hash: "h", fleetOptions, desiredState: "launched" } as const;
  const born = codec.decodeUnit(
    "a.service",
    stored(codec.encodeUnit({ ...value, restart: codec.now, launchedAt: codec.now })),
  );
  assert.deepEqual([born.restart, born.launchedAt, born.revision], [7, 7, 7]);
  assert.deepEqual(born.fleetOptions, fleetOptions);
  assert.deepEqual(born.requirements.conflicts, ["b*"]);
  const kept = codec.decodeUnit("a.service", stored(codec.encodeUnit({ ...value, restart: 2, launchedAt: 1 })));
  assert.deepEqual([kept.restart, kept.launchedAt], [2, 1]);
  const assigned = stored(codec.encodeAssignment({ ...value, restart: codec.now }), 8);
  assert.equal(codec.decodeAssignment("m1", "a.service", assigned).restart, 8);
});

Deno.test("a value that cannot be read is refused with its key and its field", () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ["", /some\/key: it is not JSON/],
    ["[]", /some\/key: it is not a JSON object/],
    ["{}", /options must be a list, found undefined/],
    [`{"options":[["X-Fleet","Global"]]}`, /options must be a list of/],
    [`{"options":[],"hash":1}`, /hash must be text, found 1/],
    [`{"options":[],"hash":"h","desiredState":"dead"}`, /desiredState must be one of .*, found "dead"/],
    [`{"options":[],"hash":"h","desiredState":"loaded","restart":"soon"}`, /restart must be a number, found "soon"/],
  ];
  for (const [value, message] of cases) {
    assert.throws(() => codec.decodeUnit("a.service", stored(value)), { name: "TypeError", message });
  }
});

Deno.test("fields that a newer version has added are ignored", () => {
  const more = (text: string) => stored(JSON.stringify({ ...JSON.parse(text), color: { deep: ["blue"] } }));
  const value = { hash: "h", fleetOptions: [], desiredState: "launched", restart: 1, launchedAt: 1 } as const;
  const machine = {
    ...{
      id: "m1",
      ip: "",
      incarnation: "boot",
      staticMetadata: {},
      capabilities: { disableEngine: true },
      version: "3",
    },
  };
  const state: UnitState = {
    ...{ unit: "a.service", machine: "m1", hash: "h", commanded: "launched", restart: 0 },
    ...{ load: "loaded", active: "active", sub: "running", since_ms: 1 },
  };
  const decoders: readonly (readonly [string, (kv: KeyValue) => unknown])[] = [
    [codec.encodeUnit(value), (kv) => codec.decodeUnit("a.service", kv)],
    [codec.encodeAssignment(value), (kv) => codec.decodeAssignment("m1", "a.service", kv)],
    [codec.encodeTarget({ machine: "m1", why: "", since_ms: 1 }), (kv) => codec.decodeTarget("a.service", kv)],
    [codec.encodeMachine(machine), (kv) => codec.decodeMachine("m1", kv)],
    [codec.encodeState(state), (kv) => codec.decodeState("m1", "a.service", kv)],
    [codec.encodeLeader({ machine: "m1", version: "3" }), codec.decodeLeader],
  ];
  for (const [text, decode] of decoders) assert.deepEqual(decode(more(text)), decode(stored(text)));
});
