/// <reference lib="deno.ns" />

import assert from "node:assert/strict";
import type { PastEvent } from "./cluster.ts";
import type { UnitView } from "./condition.ts";
import { latelyFailed } from "./failures.ts";

const state = (name: string, machineID: string, active: string, error?: string) => ({
  name,
  machineID,
  state: { name, machineID, systemdActiveState: active },
  ...error !== undefined && { error },
});

const unit = (name: string, active: string): UnitView => ({
  name,
  unit: { name, desiredState: "launched" },
  states: new Map([["m1", state(name, "m1", active)]]),
});

let number = 0;
const failed = (name: string, at_ms: number, error?: string): PastEvent => ({
  kind: "state",
  data: state(name, "m1", "failed", error),
  at_ms,
  number: number++,
});

Deno.test("units that have failed lately and run again are listed with their latest failure", () => {
  const units = [unit("a", "active"), unit("b", "active"), unit("broken", "failed")];
  const past = [
    ...[failed("a", 900, "exit-code"), failed("broken", 800), failed("b", 700), failed("a", 600, "signal")],
    ...[failed("gone", 500), failed("b", 10)],
  ];
  const found = latelyFailed(past, units, 100);
  assert.deepEqual(found.map(({ unit: { name }, at_ms, result, count }) => [name, at_ms, result, count]), [
    ["a", 900, "exit-code", 2],
    ["b", 700, "failed", 1],
  ]);
});
