import assert from "node:assert/strict";
import { changesBetween, copies, differences, lostChanges, type Seen, type Survey, unexplained } from "./judge.ts";
import { Random } from "../../support/random.ts";
import { absent, everywhere, type Knowledge, learn, unitText, type Want } from "./units.ts";

const active = (description: string): Seen => ({ active: "active", description });

/** A machine with its global units, and with the given versions of units running. */
function machine(name: string, running: Readonly<Record<string, number>>): Survey {
  const all = [...Object.entries(running), ...everywhere.map((unit) => [unit, 1] as const)];
  return {
    machine: name,
    units: new Map(all.map(([unit, version]) => [unit, active(`${unit} version ${version}`)])),
    files: new Map(all.map(([unit, version]) => [unit, unitText(unit, version)])),
  };
}

const launched = (version: number): Want => ({ state: "launched", version });
const wants = new Map<string, Want>([["c02.service", launched(3)], ["c03.service", absent]]);

Deno.test("machines that do what was asked for show no difference", () => {
  assert.deepEqual(differences(wants, [machine("m1", { "c02.service": 3 }), machine("m2", {})]), []);
});

/** Machines that do something else, and what is found. */
const wrong: readonly (readonly [string, readonly Survey[], RegExp])[] = [
  ["a unit that does not run", [machine("m1", {}), machine("m2", {})], /launched, version 3, and runs on no machine/],
  [
    "a unit that runs twice",
    [machine("m1", { "c02.service": 3 }), machine("m2", { "c02.service": 3 })],
    /launched, version 3, and runs on m1 and m2/,
  ],
  ["an old version", [machine("m1", { "c02.service": 2 })], /its file has version 2/],
  [
    "an old version whose file is new",
    [{ ...machine("m1", { "c02.service": 2 }), files: machine("m1", { "c02.service": 3 }).files }],
    /runs as "c02.service version 2"/,
  ],
  [
    "a unit that failed",
    [{
      ...machine("m1", { "c02.service": 3 }),
      units: new Map([["c02.service", { active: "failed", description: "" }]]),
    }],
    /is failed on m1/,
  ],
  [
    "a destroyed unit that runs",
    [machine("m1", { "c02.service": 3, "c03.service": 1 })],
    /c03.service should be absent, and runs on m1/,
  ],
  [
    "a destroyed unit whose file is left",
    [{
      ...machine("m1", { "c02.service": 3 }),
      files: machine("m1", { "c02.service": 3, "c03.service": 1 }).files,
    }],
    /c03.service should be absent, and its file is on m1/,
  ],
  [
    "a unit that was never created",
    [machine("m1", { "c02.service": 3, "x-left.service": 1 })],
    /x-left.service is on m1, and should not exist/,
  ],
  [
    "a global unit that is missing",
    [{ ...machine("m1", { "c02.service": 3 }), units: new Map([["c02.service", active("c02.service version 3")]]) }],
    /g0.service is not there on m1/,
  ],
];

for (const [what, surveys, expected] of wrong) {
  Deno.test(`${what} is a difference`, () => assert.match(differences(wants, surveys).join("\n"), expected));
}

const inactive: Want = { state: "inactive", version: 1 };
const created: Knowledge = { known: launched(1), open: [], pending: [] };

Deno.test("an acknowledged change must be in the store, and closes changes that were answered with an error", () => {
  const unclear = learn(learn(created, launched(2), "open"), launched(3), "done");
  assert.deepEqual(lostChanges(new Map([["c00.service", unclear]]), new Map([["c00.service", launched(3)]])), []);
  for (const found of [launched(1), launched(2), absent, { state: "inactive", version: 3 } as const]) {
    assert.equal(lostChanges(new Map([["c00.service", unclear]]), new Map([["c00.service", found]])).length, 1);
  }
});

Deno.test("a refused change must not be in the store", () => {
  const refused = learn(created, inactive, "refused");
  assert.match(
    lostChanges(new Map([["c00.service", refused]]), new Map([["c00.service", inactive]])).join(),
    /c00.service is inactive version 1, and the client's changes leave only launched version 1/,
  );
});

Deno.test("a change that was not answered may be in the store, even after a later one", () => {
  const late = learn(learn(created, inactive, "pending"), launched(2), "done");
  for (const found of [inactive, launched(2)]) {
    assert.deepEqual(lostChanges(new Map([["c00.service", late]]), new Map([["c00.service", found]])), []);
  }
  assert.equal(lostChanges(new Map([["c00.service", late]]), new Map([["c00.service", launched(1)]])).length, 1);
});

const before = new Map([
  ["m1", new Map([["c00.service", "a"], ["g0.service", "g"]])],
  ["m2", new Map([["c01.service", "b"], ["g0.service", "h"]])],
]);

Deno.test("a unit that stops, restarts or starts a second time without a reason is found", () => {
  const m1 = changesBetween(1, "m1", before.get("m1")!, new Map([["c00.service", "a"], ["c01.service", "c"]]));
  const m2 = changesBetween(2, "m2", before.get("m2")!, new Map([["c01.service", "x"], ["g0.service", "h"]]));
  assert.deepEqual(
    unexplained(before, [...m1, ...m2], new Set(["c00.service", "c01.service", "g0.service"]), new Set()),
    [
      "g0.service stopped on m1, and ran on m1 and m2 before",
      "c01.service started on m1, and ran on m2 before",
      "c01.service restarted on m2, and ran on m2 before",
    ],
  );
});

Deno.test("a change by the client, or a fault of the unit's machine, explains a transition", () => {
  const moved = [
    { at_ms: 1, machine: "m2", unit: "c00.service", invocation: "n" },
    { at_ms: 2, machine: "m1", unit: "c00.service", invocation: undefined },
  ];
  assert.deepEqual(unexplained(before, moved, new Set(["c01.service"]), new Set()), []);
  assert.deepEqual(unexplained(before, moved, new Set(["c00.service"]), new Set(["m1"])), []);
  assert.equal(unexplained(before, moved, new Set(["c00.service"]), new Set(["m2"])).length, 2);
  const global = [{ at_ms: 1, machine: "m2", unit: "g0.service", invocation: undefined }];
  assert.equal(unexplained(before, global, new Set(["g0.service"]), new Set(["m1"])).length, 1);
});

Deno.test("a unit that may never run twice is found on two machines", () => {
  const units = (...names: string[]) => new Map(names.map((name) => [name, "i"]));
  const ran = new Map([["m1", units("s0.service", "c00.service")], ["m2", units("c00.service", "s1.service")]]);
  assert.deepEqual(copies(ran), []);
  assert.deepEqual(copies(new Map([...ran, ["m3", units("s1.service")]])), ["s1.service ran on m2 and m3 at once"]);
});

Deno.test("a seed determines the numbers", () => {
  const draw = (seed: number) => Array.from({ length: 5 }, ((random) => () => random.next())(new Random(seed)));
  assert.deepEqual(draw(7), draw(7));
  assert.notDeepEqual(draw(7), draw(8));
  assert.ok(draw(7).every((number) => number >= 0 && number < 1));
  assert.deepEqual(new Random(3).shuffle([1, 2, 3, 4]).sort(), [1, 2, 3, 4]);
});
