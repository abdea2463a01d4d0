/**
 * Properties of roll-outs, for any units, behavior and interruptions. A failure prints its seed and the smallest case: pass
 * `{ seed, path }` to fc.assert to reproduce it.
 */

import assert from "node:assert/strict";
import fc from "fast-check";
import "../../support/property_seed.ts";
import { maxUnitChanges } from "../../../registry/mod.ts";
import type { Cluster, DesiredState, Rollout, RolloutStep, UnitName, UnitSpec } from "../../../registry/model.ts";
import { hasEnded } from "../../../registry/rollouts.ts";
import { versionOn } from "../../../daemon/policy/globals.ts";
import { groupOf } from "../../../daemon/engine/rollout/batches.ts";
import { type Behavior, RolloutCluster } from "./rollout_cluster.ts";

const app = "web";
const names: readonly UnitName[] = [
  ...Array.from({ length: 6 }, (_, at) => `web@${at + 1}.service`),
  ...["db.service", "agent.service"],
];

/** Versions of unit files; those with a `-` are only there before a roll-out. */
const versions: Readonly<Record<string, readonly [Behavior, ...string[]]>> = {
  old: ["up"],
  ended: ["ends"],
  new: ["up", "MaxParallel=2", "MinHealthyTime=1s"],
  global: ["up", "Global=true"],
  global2: ["up", "Global=true", "MaxParallel=2"],
  globalBad: ["dies", "Global=true", "HealthyDeadline=10s"],
  bad: ["fails", "MaxParallel=2"],
  slow: ["hangs", "HealthyDeadline=10s"],
  loops: ["crashes", "HealthyDeadline=20s"],
  dies: ["dies"],
};

interface Wanted {
  readonly version: string;
  readonly desiredState: DesiredState;
}

const wanted: fc.Arbitrary<Wanted> = fc.record({
  version: fc.constantFrom(
    "old",
    "new",
    "new",
    "ended",
    "global",
    "global2",
    "global2",
    "globalBad",
    "bad",
    "slow",
    "loops",
    "dies",
  ),
  desiredState: fc.constantFrom<DesiredState>("launched", "launched", "launched", "loaded", "inactive"),
});

/** An interruption after some rounds of work. */
const interruption = fc.record({
  rounds: fc.nat(15),
  what: fc.constantFrom("elect", "pause", "resume", "gone", "undo", "abort", "by hand"),
  unit: fc.constantFrom(...names),
});

const scene = fc.record({
  machines: fc.integer({ min: 1, max: 3 }),
  before: fc.array(fc.option(fc.constantFrom("old", "global", "ended"), { nil: undefined }), {
    minLength: names.length,
    maxLength: names.length,
  }),
  /** Undefined: the unit is no part of the roll-out; null: it is destroyed. */
  after: fc.array(fc.option(fc.option(wanted, { nil: null }), { nil: undefined }), {
    minLength: names.length,
    maxLength: names.length,
  }),
  rollback: fc.boolean(),
  maxParallel: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
  interruptions: fc.array(interruption, { maxLength: 5 }),
});

type Scene = typeof scene extends fc.Arbitrary<infer T> ? T : never;

function open({ machines, before }: Scene): RolloutCluster {
  const cluster = new RolloutCluster();
  for (let at = 1; at <= machines; at++) cluster.machine(`m${at}`);
  for (const [name, [behavior, ...options]] of Object.entries(versions)) cluster.version(name, behavior, options);
  for (const [at, version] of before.entries()) if (version) cluster.put(names[at]!, version, "launched", "bob");
  rest(cluster);
  return cluster;
}

/** Lets the cluster work until it rests for a while. */
function rest(cluster: RolloutCluster): void {
  for (let round = 0; round < 100; round++) if (cluster.work().wait_ms > 0) return;
  assert.fail("the cluster does not come to rest");
}

const isReplaced = ({ before, after }: RolloutStep) =>
  before?.desiredState === "launched" && after !== undefined && after.hash !== before.hash &&
  after.desiredState === "launched";

/** Asserts what holds at each revision. `limit`: the instances of a template that may be changed at once. */
function checkRevision({ rollouts }: Cluster, limit: number): void {
  const rollout = rollouts?.get(app);
  if (!rollout) return;
  const down = rollout.steps.filter(isReplaced).filter(({ state }) => state === "changing" || state === "undoing");
  for (const [group, members] of Map.groupBy(down, ({ unit }) => groupOf(unit))) {
    assert.ok(members.length <= limit, `${members.length} units of ${group} are changed at once`);
  }
  const stopped = rollout.steps.filter(({ before, after, written }) =>
    before?.desiredState === "launched" && after?.desiredState !== "launched" && written > 0
  );
  if (stopped.length === 0 || rollout.status !== "running") return;
  const open = rollout.steps.filter((step) => isReplaced(step) && step.state !== "healthy");
  assert.deepEqual(open.map(({ unit }) => unit), [], "units are stopped before all others are changed");
}

/** Asserts that a roll-out changes the file of a global unit on a few machines at a time, and on none when its record gets it. */
function checkStages(before: Cluster, now: Cluster, limit: number): void {
  const steps = now.rollouts?.get(app)?.steps.filter(({ written }) => written === now.revision) ?? [];
  for (const { unit: name } of steps) {
    const [was, is] = [before.units.get(name), now.units.get(name)];
    const isGlobal = was?.requirements.global && is?.requirements.global && was.desiredState === is.desiredState;
    if (!isGlobal || is.desiredState === "inactive") continue;
    const changed = [...now.machines.keys()].filter((id) => versionOn(was, id).hash !== versionOn(is, id).hash);
    const most = was.hash === is.hash ? limit : 0;
    assert.ok(changed.length <= most, `${name} gets another file on ${changed} at once`);
    assert.ok((is.next?.unproven.length ?? 0) <= limit, `${is.next?.unproven} wait for ${name}`);
  }
}

/** Asserts what holds when a roll-out has ended. */
function checkEnd({ units }: Cluster, { status, steps, reason }: Rollout): void {
  if (status !== "done" && status !== "rolled-back") return;
  for (const { unit, before, after } of steps) {
    const spec: UnitSpec | undefined = status === "done" ? after : before;
    const found = units.get(unit);
    assert.deepEqual(
      found && { hash: found.hash, desiredState: found.desiredState },
      spec,
      `${unit} is not as ${status} says (${reason})`,
    );
    // On the way back, what an aborted roll-out has left on some machines stays.
    if (status === "rolled-back" && before?.hash === after?.hash) continue;
    assert.equal(found?.next, undefined, `some machines have another file of ${unit}`);
  }
}

function interrupt(cluster: RolloutCluster, { what, unit }: Scene["interruptions"][number]): void {
  switch (what) {
    case "elect":
      return cluster.elect();
    case "gone":
      if (cluster.cluster.machines.size > 1) cluster.gone([...cluster.cluster.machines.keys()][0]!);
      return;
    case "by hand":
      return cluster.put(unit, "old", "launched", "bob");
    default:
      cluster.request(app, what as "pause");
  }
}

Deno.test("every roll-out ends, in batches, with all units as they were or as they were to be", () => {
  fc.assert(
    fc.property(scene, (scene) => {
      const cluster = open(scene);
      const units = new Map(names.flatMap((name, at) => {
        const wanted = scene.after[at];
        if (wanted === undefined || wanted === null && !scene.before[at]) return [];
        return [[name, wanted ?? undefined] as const];
      }));
      // A roll-out that reverses another one is limited by the files that it goes back to.
      const limit = scene.maxParallel ?? 2;
      const ended = new Set<string>();
      let before = cluster.cluster;
      cluster.changed = (now) => {
        checkRevision(now, Math.max(limit, 2));
        checkStages(before, now, Math.max(limit, 2));
        before = now;
        const rollout = now.rollouts?.get(app);
        // Units may be changed by hand after the end.
        if (!rollout || !hasEnded(rollout) || ended.has(rollout.id)) return;
        ended.add(rollout.id);
        checkEnd(now, rollout);
      };
      const { rollback, maxParallel } = scene;
      cluster.start(app, units, { rollback, ...maxParallel !== undefined && { maxParallel } });
      const left = [...scene.interruptions];
      let until = left[0]?.rounds ?? 0;
      for (let round = 0;; round++) {
        assert.ok(round < 2_000, `the roll-out does not end: ${JSON.stringify(cluster.rollout(app))}`);
        if (left.length > 0 && until-- <= 0) {
          interrupt(cluster, left.shift()!);
          until = left[0]?.rounds ?? 0;
        }
        const { updates, wait_ms } = cluster.work();
        for (const { units = [] } of updates) assert.ok(units.length <= maxUnitChanges);
        if (Number.isFinite(wait_ms)) cluster.now_ms += wait_ms;
        const rollout = cluster.rollout(app)!;
        if (left.length > 0) continue;
        if (rollout.status === "paused") cluster.request(app, "resume");
        if (hasEnded(rollout)) break;
      }
      assert.ok(ended.size > 0);
    }),
    { numRuns: 400 },
  );
});

Deno.test("a leader that takes over at any time brings a roll-out to the same end", () => {
  fc.assert(
    fc.property(scene, fc.array(fc.nat(10), { maxLength: 10 }), (scene, elections) => {
      const ends = [[], elections].map((elections) => {
        const cluster = open(scene);
        const units = new Map(names.map((name, at) => [name, scene.after[at] ?? undefined] as const));
        cluster.start(app, new Map([...units].filter(([name, spec]) => spec || cluster.cluster.units.has(name))));
        for (let round = 0, next = elections.shift(); !hasEnded(cluster.rollout(app)!); round++) {
          assert.ok(round < 2_000, "the roll-out does not end");
          if (next !== undefined && next-- === 0) {
            cluster.elect();
            next = elections.shift();
          }
          const { wait_ms } = cluster.work();
          if (Number.isFinite(wait_ms)) cluster.now_ms += wait_ms;
        }
        const { status, steps } = cluster.rollout(app)!;
        return [status, ...steps.map(({ unit, state }) => `${unit} ${state}`)];
      });
      // Units that die after a while may do so before or after they count as healthy.
      if (scene.after.some((wanted) => wanted && ["dies", "globalBad"].includes(wanted.version))) return;
      assert.deepEqual(ends[1], ends[0]);
    }),
    { numRuns: 200 },
  );
});
