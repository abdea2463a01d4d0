/**
 * Properties of roll-outs that change a global unit from machine to machine, one after the other, with any interruptions. A
 * failure prints its seed and the smallest case: pass `{ seed, path }` to fc.assert to reproduce it.
 */

import assert from "node:assert/strict";
import fc from "fast-check";
import "../../support/property_seed.ts";
import type { Cluster, DesiredState } from "../../../registry/model.ts";
import { hasEnded, type RolloutRequest } from "../../../registry/rollouts.ts";
import { versionOn } from "../../../daemon/policy/globals.ts";
import { type Behavior, RolloutCluster } from "./rollout_cluster.ts";

const app = "web";
const name = "edge.service";
const ids = ["m1", "m2", "m3", "m4", "m5"] as const;

const versions: Readonly<Record<string, readonly [Behavior, ...string[]]>> = {
  old: ["up", "Global=true"],
  new: ["up", "Global=true"],
  good: ["up", "Global=true"],
  fails: ["fails", "Global=true", "HealthyDeadline=10s"],
  dies: ["dies", "Global=true", "HealthyDeadline=10s"],
  nowhere: ["up", "Global=true", "MachineMetadata=disk=ssd"],
};

const interruption = fc.record({
  /** The rounds of work before it. */
  rounds: fc.nat(12),
  what: fc.constantFrom(
    ...["apply", "apply", "apply loaded", "pause", "resume", "undo", "abort", "by hand"] as const,
    ...["elect", "join", "older", "gone", "stopped", "lost", "cut", "rejoin"] as const,
  ),
  version: fc.constantFrom(...Object.keys(versions)),
  machine: fc.constantFrom(...ids),
  maxParallel: fc.integer({ min: 1, max: 3 }),
  rollback: fc.boolean(),
});

const scene = fc.record({
  machines: fc.integer({ min: 1, max: ids.length }),
  interruptions: fc.array(interruption, { maxLength: 10 }),
});

/** A cluster with the global unit, and the number of machines that the present roll-out may change at once. */
class Scene {
  readonly cluster = new RolloutCluster();
  limit = 1;

  constructor(machines: number) {
    for (const id of ids.slice(0, machines)) this.cluster.machine(id);
    for (const [version, [behavior, ...options]] of Object.entries(versions)) {
      this.cluster.version(version, behavior, options);
    }
    this.cluster.put(name, "old", "launched");
    this.run(1);
    let before = this.cluster.cluster;
    this.cluster.changed = (now) => {
      this.#check(before, now);
      before = now;
    };
  }

  get isIdle(): boolean {
    const rollout = this.cluster.rollout(app);
    return !rollout || hasEnded(rollout);
  }

  run(rounds: number): void {
    for (let round = 0; round < rounds; round++) {
      const { wait_ms } = this.cluster.work();
      if (Number.isFinite(wait_ms)) this.cluster.now_ms += wait_ms;
    }
  }

  begin(version: string, maxParallel: number, rollback: boolean, desiredState?: DesiredState): void {
    if (!this.isIdle) return;
    this.limit = maxParallel;
    const state = desiredState ?? this.cluster.cluster.units.get(name)!.desiredState;
    this.cluster.start(app, new Map([[name, { version, desiredState: state }]]), { rollback, maxParallel });
  }

  finish(): void {
    if (this.cluster.rollout(app)?.status === "paused") this.cluster.request(app, "resume");
    for (let round = 0; !this.isIdle; round++) {
      assert.ok(round < 2_000, `the roll-out does not end: ${JSON.stringify(this.cluster.rollout(app))}`);
      this.run(1);
    }
  }

  interrupt(
    { what, machine, version, maxParallel, rollback }: typeof interruption extends fc.Arbitrary<infer T> ? T : never,
  ) {
    switch (what) {
      case "apply":
        return this.begin(version, maxParallel, rollback);
      case "apply loaded":
        return this.begin(version, maxParallel, rollback, "loaded");
      case "by hand":
        return this.cluster.put(name, "good", "launched", "bob");
      case "elect":
        return this.cluster.elect();
      case "join":
        return this.cluster.machine(machine);
      case "older":
        return this.cluster.machine(machine, true);
      case "gone":
        return this.cluster.gone(machine);
      case "stopped":
      case "lost":
        return this.cluster.gone(machine, what);
      case "cut":
        return void this.cluster.cut.add(machine);
      case "rejoin":
        this.cluster.rejoinUntil_ms = this.cluster.now_ms + 10_000;
        return;
      default:
        if (!this.cluster.rollout(app)) return;
        // An ended roll-out is undone by another one, which has no limit of its own.
        if (this.isIdle) this.limit = 1;
        this.cluster.request(app, what satisfies RolloutRequest);
    }
  }

  /** Asserts that a write of the roll-out changes a few machines only, and that none keeps another file at the end. */
  #check(before: Cluster, now: Cluster): void {
    const rollout = now.rollouts?.get(app);
    const [was, is] = [before.units.get(name)!, now.units.get(name)!];
    if (!rollout) return;
    if (rollout.status === "done") {
      assert.ok(!is.next || is.revision > rollout.revision, "some machines keep another file");
    }
    if (rollout.steps[0]!.written !== now.revision || was.desiredState !== is.desiredState) return;
    const changed = [...now.machines.values()].filter(({ id, capabilities }) =>
      capabilities.stagedGlobals && versionOn(was, id).hash !== versionOn(is, id).hash
    );
    const isExcluded = was.hash !== is.hash && this.cluster.versionOf(is.hash) === "nowhere";
    const most = isExcluded ? Infinity : was.hash === is.hash ? this.limit : 0;
    assert.ok(changed.length <= most, `${changed.map(({ id }) => id)} get another file at once`);
    const { unproven = [], machines = [] } = is.next ?? {};
    assert.ok(unproven.length <= Math.max(this.limit, was.next?.unproven.length ?? 0), `${unproven} are waited for`);
    for (const list of [unproven, machines]) assert.equal(new Set(list).size, list.length, "a machine is named twice");
  }
}

Deno.test("whatever happens, a global unit changes on a few machines at a time, and a good file gets to all of them", () => {
  fc.assert(
    fc.property(scene, ({ machines, interruptions }) => {
      const scene = new Scene(machines);
      for (const each of interruptions) {
        scene.run(each.rounds);
        scene.interrupt(each);
      }
      scene.finish();
      scene.cluster.cut.clear();
      for (const id of ids) scene.cluster.machine(id);
      scene.run(5);
      scene.begin("good", 1, true);
      scene.finish();
      const { status, reason } = scene.cluster.rollout(app)!;
      assert.equal(status, "done", reason ?? "");
    }),
    { numRuns: 600 },
  );
});
