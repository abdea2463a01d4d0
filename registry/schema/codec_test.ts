import assert from "node:assert/strict";
import * as codec from "./codec.ts";
import { decodeMachine, encodeMachine } from "./machine.ts";
import type { MachineRecord, UnitState } from "../model.ts";
import { parseRequirements } from "../requirements.ts";
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
    capacity: {
      ...{ cpu_m: 4_000, memory_bytes: 2 ** 33, reservedCpu_m: 500, reservedMemory_bytes: 2 ** 30 },
      resources: { gpu: 2 },
    },
    version: "2.0.0",
  };
  const state: UnitState = {
    unit: "a.service",
    machine: "m1",
    hash: "h",
    commanded: "launched",
    restart: 5,
    error: "StartUnit: no",
    tries: 7,
    retryAt_ms: 1_700_000_030_000,
    failures: 2,
    settled: 9,
    result: "exit-code",
    job: "failed",
    load: "loaded",
    active: "failed",
    sub: "failed",
    since_ms: 1,
  };
  const { error: _error, result: _result, job: _job, ...healthy } = state;
  const { apiAddress: _address, capacity: _capacity, ...silent } = machine;
  for (const each of [machine, silent]) {
    assert.deepEqual(decodeMachine("m1", stored(encodeMachine(each))), each);
  }
  const failing = {
    ...healthy,
    health: "failing" as const,
    healthReason: "the answer has status 503",
    healthSince_ms: 4,
  };
  const passing = { ...healthy, health: "passing" as const, healthSince_ms: 4 };
  for (const each of [state, healthy, { ...state, commanded: "inactive" as const }, failing, passing]) {
    assert.deepEqual(codec.decodeState("m1", "a.service", stored(codec.encodeState(each))), each);
  }
  const target = { unit: "a.service", machine: "m1", why: "least loaded", since_ms: 9, revision: 7 };
  const moved = {
    ...target,
    failedOn: { hash: "h", restart: 4, machines: [{ id: "m2", at_ms: 8 }] },
    past: [{ machine: "m2", why: "least loaded", since_ms: 3 }],
  };
  const moving = { ...target, successor: "m2" };
  for (const each of [target, moved, moving, { ...target, failedMove: "failed on machine m2" }]) {
    assert.deepEqual(codec.decodeTarget("a.service", stored(codec.encodeTarget(each))), each);
  }
  const leader = { machine: "m1", version: "2.0.0" };
  assert.deepEqual(codec.decodeLeader(stored(codec.encodeLeader(leader))), leader);
});

Deno.test("a machine whose capacity cannot be read takes no reservation", () => {
  const record = { id: "m1", ip: "", incarnation: "b", staticMetadata: {}, capabilities: {}, version: "2.0.0" };
  for (const capacity of [undefined, 4, {}, { cpu_m: 1, memory_bytes: -1, resources: {} }, { cpu_m: 1 }]) {
    const { id, capacity: read } = decodeMachine("m1", stored(JSON.stringify({ ...record, capacity })));
    assert.deepEqual([id, read], ["m1", undefined]);
  }
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

Deno.test("the next version of a global unit is ignored once the unit has another file", () => {
  const fleetOptions = [{ section: "X-Fleet", name: "Global", value: "true" }];
  const next = {
    ...{ hash: "next", fleetOptions, requirements: parseRequirements("a.service", fleetOptions) },
    ...{ machines: ["m1"], unproven: ["m1"] },
  };
  const value = { hash: "h", fleetOptions, desiredState: "launched", restart: 1, launchedAt: 1, next } as const;
  const decoded = (text: string) => codec.decodeUnit("a.service", stored(text));
  const text = codec.encodeUnit(value);
  assert.deepEqual(decoded(text).next, next);
  assert.equal(decoded(text).unknownFields, undefined);
  // An older daemon keeps the field when it puts another file.
  assert.equal(decoded(JSON.stringify({ ...JSON.parse(text), hash: "other" })).next, undefined);
  // It also does so when it puts the file again that the unit had.
  const versions = [1, 2, 3].map((number) => ({ number, hash: number === 2 ? "other" : "h" }));
  const first = codec.encodeUnit({ ...value, versions: versions.slice(0, 1) });
  assert.deepEqual(decoded(first).next, next);
  assert.equal(decoded(JSON.stringify({ ...JSON.parse(first), versions })).next, undefined);
  const over = codec.encodeUnit({ ...value, next: { ...next, machines: [], unproven: [] } });
  assert.equal(decoded(over).next, undefined);
  const broken = JSON.stringify({ ...JSON.parse(text), next: { ...JSON.parse(text).next, machines: "m1" } });
  assert.throws(() => decoded(broken), { name: "TypeError", message: /machines must be a list of texts/ });
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

/** The encoded value of each kind, and its decoder. */
function encodedValues(): readonly (readonly [string, (kv: KeyValue) => unknown])[] {
  const value = { hash: "h", fleetOptions: [], desiredState: "launched", restart: 1, launchedAt: 1 } as const;
  const machine: MachineRecord = {
    ...{ id: "m1", ip: "", incarnation: "boot", staticMetadata: {} },
    ...{ capabilities: { disableEngine: true }, version: "3" },
  };
  const state: UnitState = {
    ...{ unit: "a.service", machine: "m1", hash: "h", commanded: "launched", restart: 0 },
    ...{ load: "loaded", active: "active", sub: "running", since_ms: 1 },
  };
  return [
    [codec.encodeUnit(value), (kv) => codec.decodeUnit("a.service", kv)],
    [codec.encodeAssignment(value), (kv) => codec.decodeAssignment("m1", "a.service", kv)],
    [codec.encodeTarget({ machine: "m1", why: "", since_ms: 1 }), (kv) => codec.decodeTarget("a.service", kv)],
    [encodeMachine(machine), (kv) => decodeMachine("m1", kv)],
    [codec.encodeState(state), (kv) => codec.decodeState("m1", "a.service", kv)],
    [codec.encodeLeader({ machine: "m1", version: "3" }), codec.decodeLeader],
  ];
}

const withFields = (text: string, fields: object) => stored(JSON.stringify({ ...JSON.parse(text), ...fields }));

Deno.test("fields that a newer version has added do not change how a value is read", () => {
  for (const [text, decode] of encodedValues()) {
    const { unknownFields: _kept, ...read } = decode(withFields(text, { color: { deep: ["blue"] } })) as {
      unknownFields?: unknown;
    };
    assert.deepEqual(read, decode(stored(text)));
  }
});

Deno.test("units and targets keep the fields that a newer version has added, and only these", () => {
  const [[unit], , [target]] = encodedValues() as [[string], unknown, [string]];
  const color = { color: { deep: ["blue"] }, hue: null };
  const { name: _name, requirements: _requirements, ...read } = codec.decodeUnit("a.service", withFields(unit, color));
  assert.deepEqual(JSON.parse(codec.encodeUnit(read)), { ...JSON.parse(unit), ...color });
  const placed = codec.decodeTarget("a.service", withFields(target, color));
  assert.deepEqual(JSON.parse(codec.encodeTarget(placed)), { ...JSON.parse(target), ...color });
  assert.equal(codec.decodeUnit("a.service", stored(unit)).unknownFields, undefined);
});

Deno.test("every value names its format, a value without one has format 1, and a newer format is refused", () => {
  for (const [text, decode] of encodedValues()) {
    assert.equal(JSON.parse(text).format, codec.format);
    assert.deepEqual(decode(withFields(text, { format: undefined })), decode(stored(text)));
    for (const format of [codec.format + 1, "2"]) {
      assert.throws(() => decode(withFields(text, { format })), {
        name: "TypeError",
        message: /^cannot read key some\/key: its format "?2"? is of a newer version of fleet.*: upgrade fleet/,
      });
    }
  }
});
