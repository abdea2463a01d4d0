import assert from "node:assert/strict";
import type { Cluster, Departure, Machine, Target } from "../../registry/model.ts";
import { gracePeriods, VanishedMachines } from "./grace_periods.ts";

const machines = (...ids: string[]) => new Map(ids.map((id) => [id, {} as Machine]));
const view = (...ids: string[]) => ({ machines: machines(...ids), targets: new Map() });
const none = new Set<string>();

Deno.test("a single machine that vanishes is given its grace once, and none if it comes back", () => {
  const vanished = new VanishedMachines({ vanishedGrace_ms: 1_000, togetherGrace_ms: 3_000 });
  vanished.observe(view("m1", "m2"), 0);
  assert.deepEqual(vanished.at(0), { recent: none, held: none, left_ms: Infinity });
  vanished.observe(view("m1"), 100);
  assert.deepEqual(vanished.at(400), { recent: new Set(["m2"]), held: new Set(["m2"]), left_ms: 700 });
  assert.deepEqual(vanished.at(1_100), { recent: new Set(["m2"]), held: none, left_ms: 2_000 });
  vanished.observe(view("m1", "m2"), 1_200);
  assert.deepEqual(vanished.at(1_200), { recent: none, held: none, left_ms: Infinity }, "no second grace");
});

Deno.test("machines that vanish together are held until all leases of that loss have expired", () => {
  const vanished = new VanishedMachines({ vanishedGrace_ms: 1_000, togetherGrace_ms: 3_000 });
  vanished.observe(view("m1", "m2", "m3"), 0);
  vanished.observe(view("m1", "m2"), 100);
  vanished.observe(view("m1"), 600);
  assert.deepEqual(vanished.at(1_200).held, new Set(["m2", "m3"]), "m3 alone would be gone by now");
  assert.deepEqual(vanished.at(1_200).left_ms, 1_900);
  assert.deepEqual(vanished.at(3_100), { recent: new Set(["m2", "m3"]), held: none, left_ms: 500 });
  assert.deepEqual(vanished.at(3_600), { recent: new Set(["m2", "m3"]), held: none, left_ms: Infinity });
});

Deno.test("a caller that is late still sees the machines that were lost together", () => {
  const vanished = new VanishedMachines({ vanishedGrace_ms: 1_000, togetherGrace_ms: 3_000 });
  vanished.observe(view("m1", "m2", "m3"), 0);
  vanished.observe(view("m1"), 100);
  for (const now_ms of [9_000, 9_500]) {
    assert.deepEqual(vanished.at(now_ms), { recent: new Set(["m2", "m3"]), held: none, left_ms: Infinity });
  }
  vanished.forget(9_500);
  assert.deepEqual(vanished.at(9_500).recent, none);
});

Deno.test("machines that a new leader finds absent count as lost just now, unless they have departed or have no unit", () => {
  const vanished = new VanishedMachines({ vanishedGrace_ms: 1_000, togetherGrace_ms: 3_000 });
  const targets = new Map(["m1", "m2", "m3", ""].map((machine) => [`on-${machine}`, { machine } as Target]));
  const departed = new Map<string, Departure>([["m3", "lost"]]);
  vanished.observe({ machines: machines("m1"), targets, departed } as unknown as Cluster, 0);
  assert.deepEqual([...vanished.at(500).recent], ["m2"]);
});

Deno.test("while the store is away, and a time after that, no machine's grace passes", () => {
  const vanished = new VanishedMachines({ vanishedGrace_ms: 1_000, togetherGrace_ms: 3_000 });
  vanished.observe(view("m1", "m2", "m3"), 0);
  vanished.observe(view("m1"), 100);
  assert.equal(vanished.at(50_000, Infinity).held.size, 2);
  assert.equal(vanished.at(60_000, 59_000).held.size, 2);
  assert.equal(vanished.at(62_000, 59_000).held.size, 0);
});

Deno.test("the grace of machines that are lost together covers a third of the lease and the grace after an outage", () => {
  for (const agentTtl_ms of [1_000, 6_000, 30_000, 60_000, 600_000]) {
    const { togetherGrace_ms, rejoinGrace_ms } = gracePeriods(agentTtl_ms, { share: 0.5, grace_s: 300 });
    assert.ok(togetherGrace_ms > agentTtl_ms / 3 && togetherGrace_ms > rejoinGrace_ms, `${agentTtl_ms}`);
  }
  const off = gracePeriods(30_000, { share: 1, grace_s: 300 });
  assert.equal(off.togetherGrace_ms, off.vanishedGrace_ms);
});

Deno.test("a machine that comes back counts as returned for five seconds, also after it counted as gone", () => {
  const vanished = new VanishedMachines({ vanishedGrace_ms: 1_000, togetherGrace_ms: 3_000 });
  vanished.observe(view("m1", "m2"), 0);
  vanished.observe(view("m1"), 100);
  vanished.forget(9_000);
  assert.deepEqual(vanished.returned(9_000), none);
  vanished.observe(view("m1", "m2", "m3"), 60_000);
  assert.deepEqual(vanished.returned(64_900), new Set(["m2"]));
  assert.deepEqual(vanished.returned(65_000), none);
});
