import assert from "node:assert/strict";
import { runEngine } from "../../../daemon/engine/engine.ts";
import { gracePeriods } from "../../../daemon/engine/grace_periods.ts";
import type { Leadership, Registry, RolloutUpdate } from "../../../registry/mod.ts";
import { Notifier } from "../../../runtime/notifier.ts";
import { ManualClock } from "../../support/manual_clock.ts";
import { RolloutCluster } from "./rollout_cluster.ts";

const unit = "edge.service";

/** A cluster of which m1 and m2 have the new file, and m3 is absent. */
function almostDone(): RolloutCluster {
  const cluster = new RolloutCluster();
  for (const id of ["m1", "m2", "m3"]) cluster.machine(id);
  for (const version of ["old", "new"]) cluster.version(version, "up", ["Global=true"]);
  cluster.put(unit, "old", "launched");
  cluster.runAgents();
  cluster.start("web", new Map([[unit, { version: "new", desiredState: "launched" }]]));
  while (!cluster.cluster.units.get(unit)?.next?.machines.includes("m2")) {
    const { wait_ms } = cluster.work();
    if (Number.isFinite(wait_ms)) cluster.now_ms += wait_ms;
  }
  cluster.runAgents();
  cluster.now_ms += 3_000;
  cluster.runAgents();
  cluster.gone("m3");
  return cluster;
}

Deno.test("a new leader ends the change of a global unit once absent machines had the time to rejoin", async () => {
  const cluster = almostDone();
  const clock = new ManualClock();
  const stop = new AbortController();
  const changed = new Notifier();
  const updates: RolloutUpdate[] = [];
  const leadership = {
    signal: stop.signal,
    apply: () => Promise.resolve({ revision: 0, refused: [] }),
    updateRollout: (update: RolloutUpdate) => {
      updates.push(update);
      const revision = cluster.update(update);
      changed.notify();
      return Promise.resolve(revision);
    },
    resign: () => Promise.resolve(),
  } as unknown as Leadership;
  const registry = {
    awayUntil_ms: 0,
    async *campaign() {
      yield await Promise.resolve(leadership);
    },
    async *watch(signal: AbortSignal) {
      while (!signal.aborted) {
        const seen = changed.count;
        yield cluster.cluster;
        await changed.waitPast(seen, signal);
      }
    },
  } as unknown as Registry;
  const ended = runEngine({
    ...{ registry, machine: "m1", version: "2.0.0", clock, safetyNet_ms: 60_000, log: () => {} },
    ...gracePeriods(30_000, { share: 0.5, grace_s: 300 }),
  }, stop.signal);
  const pass = async (duration_s: number) => {
    for (let passed_s = 0; passed_s < duration_s; passed_s++) {
      clock.advance(1_000);
      await ManualClock.settle();
    }
  };
  await ManualClock.settle();
  await pass(9);
  assert.deepEqual(updates, []);
  assert.equal(cluster.cluster.units.get(unit)?.hash, cluster.hashOf("old"));
  await pass(2);
  assert.equal(cluster.cluster.units.get(unit)?.hash, cluster.hashOf("new"));
  stop.abort();
  await ended;
});
