import assert from "node:assert/strict";
import type { Machine } from "../../registry/model.ts";
import { VanishedMachines } from "./grace_periods.ts";

const view = (...ids: string[]) => ({ machines: new Map(ids.map((id) => [id, {} as Machine])) });

Deno.test("a machine that vanishes is given its grace once, and none if it comes back", () => {
  const vanished = new VanishedMachines(1_000);
  vanished.observe(view("m1", "m2"), 0);
  assert.deepEqual(vanished.at(0), { machines: new Set(), left_ms: Infinity });
  vanished.observe(view("m1"), 100);
  assert.deepEqual(vanished.at(400), { machines: new Set(["m2"]), left_ms: 700 });
  vanished.observe(view(), 500);
  assert.deepEqual(vanished.at(500), { machines: new Set(["m1", "m2"]), left_ms: 600 });
  vanished.observe(view("m1"), 600);
  assert.deepEqual(vanished.at(600), { machines: new Set(["m2"]), left_ms: 500 });
  assert.deepEqual(vanished.at(1_100), { machines: new Set(), left_ms: Infinity });
  vanished.observe(view("m1"), 1_200);
  assert.deepEqual(vanished.at(1_200), { machines: new Set(), left_ms: Infinity }, "no second grace");
});
