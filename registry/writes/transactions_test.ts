import assert from "node:assert/strict";
import { changeTransaction, packPlacements, placementTransaction } from "./transactions.ts";
import type { Placement, UnitRecord } from "../mod.ts";
import type { Target, Unit } from "../model.ts";
import { parseRequirements } from "../requirements.ts";
import type { Op } from "../store/port.ts";
import { unreadableTarget, unreadableUnit } from "../schema/unreadable.ts";

function unit(name: string, more: Partial<Unit> = {}): Unit {
  const fleetOptions = more.fleetOptions ?? [];
  return {
    name,
    hash: "old",
    fleetOptions,
    requirements: parseRequirements(name, fleetOptions),
    desiredState: "launched",
    restart: 3,
    launchedAt: 4,
    revision: 5,
    ...more,
  };
}

const target = (name: string, machine = "m1"): Target => ({
  unit: name,
  machine,
  why: "least loaded",
  since_ms: 100,
  revision: 6,
});
const isGlobal = { section: "X-Fleet", name: "Global", value: "true" };
const written = (ops: readonly Op[]) => ops.map((op) => "put" in op ? `put ${op.put}` : `delete ${op.delete}`);

Deno.test("each change writes its keys", () => {
  const file = { hash: "new", text: "text", fleetOptions: [] };
  const job: UnitRecord = { name: "a.service", unit: unit("a.service") };
  const placed: UnitRecord = { ...job, target: target("a.service") };
  const global: UnitRecord = { name: "a.service", unit: unit("a.service", { fleetOptions: [isGlobal] }) };
  const globalFile = { ...file, fleetOptions: [isGlobal] };
  const otherFile = { ...file, fleetOptions: [{ section: "X-Fleet", name: "MachineID", value: "m2" }] };
  const [launch, stop] = [{ kind: "put", desiredState: "launched" }, {
    kind: "put",
    desiredState: "inactive",
  }] as const;
  const gone = ["delete target/a.service", "delete assign/m1/a.service"];
  const cases = [
    ["a new unit", { ...launch, was: { name: "a.service" }, file }, ["put unit/a.service", "put file/new"]],
    ["a new global", { ...launch, was: { name: "a.service" }, file: globalFile }, [
      "put global/a.service",
      "put file/new",
    ]],
    ["only a state", { ...launch, was: job }, ["put unit/a.service"]],
    ["a placed unit's state", { ...launch, was: placed }, ["put unit/a.service", "put assign/m1/a.service"]],
    ["a placed unit's file", { ...launch, was: placed, file }, [
      ...["put unit/a.service", "put file/new", "put assign/m1/a.service"],
    ]],
    ["a placed unit's options", { ...launch, was: placed, file: otherFile }, ["put unit/a.service", "put file/new"]],
    ["a placed unit stopped", { ...stop, was: placed }, ["put unit/a.service", ...gone]],
    ["a job turned global", { ...launch, was: placed, file: globalFile }, [
      ...["put global/a.service", "delete unit/a.service", "put file/new", ...gone],
    ]],
    ["a global turned job", { ...launch, was: global, file }, [
      ...["put unit/a.service", "delete global/a.service", "put file/new"],
    ]],
    ["a placed unit destroyed", { kind: "delete", was: placed }, ["delete unit/a.service", ...gone]],
    ["a global destroyed", { kind: "delete", was: global }, ["delete global/a.service"]],
    ["metadata", { kind: "metadata", machine: "m1", key: "zone", value: "" }, ["put metadata/m1/zone"]],
  ] as const;
  for (const [name, change, ops] of cases) {
    assert.deepEqual(written(changeTransaction(change).ops), [...ops, "put written"], name);
  }
});

Deno.test("the file of some machines stays until the unit gets another one, is inactive, or a roll-out says otherwise", () => {
  const fleetOptions = [isGlobal];
  const requirements = parseRequirements("a.service", fleetOptions);
  const next = { hash: "next", fleetOptions, requirements, machines: ["m1"], unproven: [] };
  const was = { name: "a.service", unit: unit("a.service", { fleetOptions, next }) };
  const file = { hash: "new", text: "text", fleetOptions };
  const options = [["X-Fleet", "Global", "true"]];
  const kept = { of: "old", version: 1, hash: "next", options, machines: ["m1"], unproven: [] };
  const cases = [
    [{}, kept],
    [{ restart: true }, kept],
    [{ desiredState: "loaded" }, kept],
    [{ desiredState: "inactive" }, undefined],
    [{ file }, undefined],
    [{ file: { ...file, hash: "old" } }, undefined],
    [{ next: null }, undefined],
    [{ next: { ...next, unproven: ["m2"] } }, { ...kept, unproven: ["m2"] }],
  ] as const;
  for (const [more, expected] of cases) {
    const { ops: [put] } = changeTransaction({ kind: "put", was, desiredState: "launched", ...more });
    assert.ok(put && "put" in put);
    assert.deepEqual(JSON.parse(put.value).next, expected, JSON.stringify(more));
  }
});

Deno.test("a unit cannot be created without its file", () => {
  const change = { kind: "put", was: { name: "a.service" }, desiredState: "launched" } as const;
  assert.throws(() => changeTransaction(change), /cannot create unit a\.service without its file/);
});

Deno.test("a change compares unit, global and target with the record that was read", () => {
  const was = { name: "a.service", unit: unit("a.service"), target: target("a.service") };
  const expected = [
    { key: "unit/a.service", mod: 5 },
    { key: "global/a.service", mod: 0 },
    { key: "target/a.service", mod: 6 },
  ];
  assert.deepEqual(changeTransaction({ kind: "put", was, desiredState: "loaded" }).compares, expected);
  assert.deepEqual(changeTransaction({ kind: "delete", was }).compares, expected);
});

Deno.test("each placement writes its keys", () => {
  const [a, from] = [unit("a.service"), target("a.service")];
  const cases: readonly (readonly [Placement, readonly string[]])[] = [
    [{ kind: "place", unit: a, machine: "m2", why: "" }, ["put target/a.service", "put assign/m2/a.service"]],
    [{ kind: "place", unit: a, machine: "m1", from, why: "" }, ["put target/a.service", "put assign/m1/a.service"]],
    [{ kind: "place", unit: a, machine: "m2", from, why: "" }, [
      ...["put target/a.service", "put assign/m2/a.service", "delete assign/m1/a.service"],
    ]],
    [{ kind: "unplace", unit: "a.service", from, why: "" }, ["delete target/a.service", "delete assign/m1/a.service"]],
    [{ kind: "forget", hash: "old", revision: 9 }, ["delete file/old"]],
  ];
  for (const [placement, ops] of cases) assert.deepEqual(written(placementTransaction(placement, 200).ops), ops);
});

Deno.test("the time of a target is kept while the unit stays, and is renewed when it moves", () => {
  const since = (machine: string) => {
    const from = target("a.service");
    const { ops } = placementTransaction({ kind: "place", unit: unit("a.service"), machine, from, why: "" }, 200);
    const [put] = ops;
    assert.ok(put && "put" in put);
    return JSON.parse(put.value).since_ms;
  };
  assert.deepEqual([since("m1"), since("m2")], [100, 200]);
});

Deno.test("placements fill transactions in order, up to the limit of operations", () => {
  const placements = Array.from({ length: 200 }, (_, count): Placement => {
    const name = `${count}.service`;
    const from = count % 2 ? { from: target(name) } : {};
    return { kind: "place", unit: unit(name), machine: "m2", why: "", ...from };
  });
  const batches = packPlacements(placements, 2, 0);
  assert.deepEqual(batches.flatMap((batch) => batch.placements), placements);
  for (const { compares, ops } of batches) assert.ok(compares.length + 2 <= 128 && ops.length <= 128);
  assert.deepEqual(batches.map((batch) => batch.placements.length), [51, 50, 50, 49]);
});

Deno.test("two placements of one unit never share a transaction", () => {
  const from = target("a.service");
  const twice: readonly Placement[] = [
    { kind: "unplace", unit: "a.service", from, why: "" },
    { kind: "place", unit: unit("a.service"), machine: "m2", why: "" },
  ];
  assert.deepEqual(packPlacements(twice, 2, 0).map((batch) => batch.placements.length), [1, 1]);
});

Deno.test("a change of an unreadable unit compares its revision and leaves the assignment to the engine", () => {
  const spoilt = (name: string, isGlobal: boolean) => unreadableUnit(name, isGlobal, { revision: 8, why: "spoilt" });
  const nowhere = unreadableTarget("a.service", "", { revision: 9, why: "spoilt" });
  const file = { hash: "new", text: "text", fleetOptions: [] };
  const cases: readonly (readonly [UnitRecord, readonly string[]])[] = [
    [{ name: "a.service", unit: spoilt("a.service", false) }, ["delete unit/a.service", "put written"]],
    [{ name: "a.service", unit: spoilt("a.service", true) }, ["delete global/a.service", "put written"]],
    [{ name: "a.service", unit: unit("a.service"), target: nowhere }, ["delete unit/a.service", "put written"]],
  ];
  for (const [was, ops] of cases) {
    const transaction = changeTransaction({ kind: "delete", was });
    assert.deepEqual(written(transaction.ops), ops);
    const read = new Map(transaction.compares.map((compare) => [compare.key, "mod" in compare && compare.mod]));
    const isGlobal = was.unit?.requirements.global ?? false;
    const { revision = 0 } = was.unit ?? {};
    assert.equal(read.get("unit/a.service"), isGlobal ? 0 : revision);
    assert.equal(read.get("global/a.service"), isGlobal ? revision : 0);
    assert.equal(read.get("target/a.service"), was.target?.revision ?? 0);
  }
  // The options of its assignment are not known: the engine checks whether the unit may stay there.
  const was = { name: "a.service", unit: spoilt("a.service", false), target: target("a.service") };
  const put = changeTransaction({ kind: "put", was, desiredState: "launched", file });
  assert.deepEqual(written(put.ops), ["put unit/a.service", "put file/new", "put written"]);
});

Deno.test("an engine that places a unit replaces an unreadable target", () => {
  const from = unreadableTarget("a.service", "", { revision: 9, why: "spoilt" });
  const moved = placementTransaction({ kind: "place", unit: unit("a.service"), machine: "m1", from, why: "why" }, 1);
  assert.deepEqual(written(moved.ops), ["put target/a.service", "put assign/m1/a.service"]);
  assert.ok(
    moved.compares.some((compare) => compare.key === "target/a.service" && "mod" in compare && compare.mod === 9),
  );
  const gone = placementTransaction({ kind: "unplace", unit: "a.service", from, why: "why" }, 1);
  assert.deepEqual(written(gone.ops), ["delete target/a.service"]);
});
