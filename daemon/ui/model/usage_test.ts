/// <reference lib="deno.ns" />

import assert from "node:assert/strict";
import { bytesText, cpuBetween, durationText } from "./usage.ts";

const measured = (at: number, cpu: number, unit: number) => ({
  machineID: "m1",
  at,
  cpuMicroseconds: cpu,
  units: [{ name: "a.service", cpuMicroseconds: unit }],
});

Deno.test("the use of processors is that between two measurements", () => {
  const { machine, units } = cpuBetween(measured(1_000, 5_000_000, 100_000), measured(3_000, 8_000_000, 1_100_000));
  assert.deepEqual([machine, units.get("a.service")], [1.5, 0.5]);
});

Deno.test("the use of processors is unknown after one measurement, and after a restart of the daemon or the unit", () => {
  const first = measured(1_000, 5_000_000, 100_000);
  assert.deepEqual(cpuBetween(undefined, first), { units: new Map() });
  assert.deepEqual(cpuBetween(first, measured(10, 6_000_000, 200_000)), { units: new Map() });
  const { machine, units } = cpuBetween(first, measured(2_000, 6_000_000, 50));
  assert.deepEqual([machine, units.size], [1, 0]);
  assert.deepEqual(cpuBetween(first, { machineID: "m1", error: "it does not answer" }), { units: new Map() });
});

Deno.test("bytes and durations are written for people", () => {
  assert.deepEqual([0, 999, 1_024, 1_550_000, 123 * 2 ** 20, 1.5 * 2 ** 30].map(bytesText), [
    ...["0 B", "999 B", "1 KiB", "1.5 MiB", "123 MiB", "1.5 GiB"],
  ]);
  assert.deepEqual([0, 1, 61, 3_600, 90_061, 86_400 * 400].map(durationText), [
    ...["0 seconds", "1 second", "1 minute 1 second", "1 hour", "1 day 1 hour", "400 days"],
  ]);
});
