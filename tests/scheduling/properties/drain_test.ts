/**
 * Properties of drains and of moves for balance, for any cluster. A failure prints its seed and the smallest case: pass
 * `{ seed, path }` to fc.assert to reproduce it.
 */

import assert from "node:assert/strict";
import fc from "fast-check";
import "../../support/property_seed.ts";
import { proposeMoves } from "../../../daemon/engine/drain/balance.ts";
import type { SpreadShare } from "../../../daemon/engine/drain/spread_balance.ts";
import { soleCopyReason } from "../../../daemon/engine/drain/copies.ts";
import { schedule } from "../../../daemon/engine/schedule.ts";
import { globalsAmong, isActiveGlobal, isActiveJob } from "../../../daemon/policy/globals.ts";
import { findRefusals } from "../../../daemon/policy/feasibility.ts";
import type { EngineStep } from "../../../registry/mod.ts";
import type { Cluster, Unit } from "../../../registry/model.ts";
import { SimulatedCluster } from "../scenarios/scenario.ts";
import { type Event, event, happen, population, unitNames } from "./random_cluster.ts";

/** Lets the scheduler and the agents settle. Returns the placements. */
function settle(simulation: SimulatedCluster): readonly EngineStep[] {
  const all: EngineStep[] = [];
  for (let round = 0; round < 5; round++) {
    const { placements } = schedule(simulation.cluster());
    simulation.apply(placements);
    all.push(...placements);
  }
  simulation.agents();
  return all;
}

function clusterOf(events: readonly Event[]): SimulatedCluster {
  const simulation = new SimulatedCluster();
  for (const each of events) happen(simulation, each);
  settle(simulation);
  simulation.now_ms += 60_000;
  return simulation;
}

/** The number of machines on which each running unit is active. */
function running(cluster: Cluster, { name }: Unit): readonly string[] {
  return [...cluster.states.get(name) ?? []].filter(([id, { active }]) =>
    active === "active" && cluster.machines.has(id)
  )
    .map(([id]) => id);
}

/** Asserts that every job and every second copy may be where it is. */
function checkConstraints(cluster: Cluster): void {
  const globals = [...cluster.units.values()].filter(isActiveGlobal);
  const copies = [...cluster.successors?.values() ?? []];
  for (const { machine, unit: name } of copies) {
    assert.equal(cluster.targets.get(name)?.successor, machine, `${name} has one copy`);
  }
  for (const machine of cluster.machines.values()) {
    const jobs = [...cluster.targets.values(), ...copies].filter((each) => each.machine === machine.id)
      .map(({ unit }) => cluster.units.get(unit)!).filter((unit) => unit && isActiveJob(unit));
    const all = [...jobs, ...globalsAmong(machine, jobs, globals)];
    for (const unit of jobs) {
      assert.deepEqual(findRefusals(unit, machine, all, "resident"), [], `${unit.name} is on ${machine.id}`);
    }
  }
}

/** Carries out one round of moves. Returns its steps. */
function move(simulation: SimulatedCluster): readonly EngineStep[] {
  const before = simulation.cluster();
  const { steps } = simulation.moves();
  for (const step of steps) {
    if (step.kind === "prepare") {
      assert.equal(soleCopyReason(step.unit), undefined, `${step.unit.name} may have two copies`);
      assert.ok(!before.machines.get(step.machine)!.cordon, "no copy starts on a machine that is cordoned");
    }
    if (step.kind === "place" && step.from?.successor === step.machine) {
      assert.ok(running(before, step.unit).includes(step.machine), `${step.unit.name} is up before its old copy stops`);
    }
  }
  simulation.apply(steps);
  return steps;
}

Deno.test("a drain ends with only blocked units left, moves each unit at most once, and keeps copies up that may be two", () => {
  fc.assert(
    fc.property(
      population,
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ min: 1, max: 5 }),
      (events, count, maxParallel) => {
        const simulation = clusterOf(events);
        const start = simulation.cluster();
        const drained = [...start.machines.keys()].slice(0, Math.min(count, start.machines.size - 1));
        for (const id of drained) simulation.drain(id, { maxParallel });
        const moved = new Map<string, number>();
        let idle = 0;
        for (let round = 0; idle < 12; round++) {
          assert.ok(round < 400, "the drain comes to an end");
          const before = simulation.cluster();
          const steps = move(simulation);
          for (const step of steps) {
            if (step.kind !== "place") continue;
            assert.ok(drained.includes(step.from!.machine), "only units of drained machines move");
            moved.set(step.unit.name, (moved.get(step.unit.name) ?? 0) + 1);
          }
          // While a unit that may run twice moves, one copy of it is up at every moment.
          for (const unit of before.units.values()) {
            const wasUp = before.targets.get(unit.name) && running(before, unit).length > 0;
            const isSwitch = steps.some((step) => step.kind === "place" && step.unit === unit);
            if (
              !wasUp || !isSwitch || soleCopyReason(unit) !== undefined || unit.requirements.machineOf.length > 0
            ) continue;
            const target = simulation.targets.get(unit.name)!;
            const isFollowed = [...before.units.values()].some(({ requirements }) =>
              requirements.machineOf.includes(unit.name)
            );
            if (!isFollowed) {
              assert.ok(
                running(before, unit).includes(target.machine),
                `${unit.name} is up on its new machine`,
              );
            }
          }
          idle = steps.length === 0 ? idle + 1 : 0;
          simulation.agents();
          checkConstraints(simulation.cluster());
          simulation.now_ms += 1_000;
        }
        for (const [name, times] of moved) assert.equal(times, 1, `${name} moves once`);
        const end = simulation.cluster();
        assert.equal(end.successors, undefined, "no copy is left over");
        const { units } = simulation.moves();
        for (const id of drained) {
          const left = [...end.targets.values()].filter(({ machine }) => machine === id).map(({ unit }) => unit);
          for (const name of left) {
            // Instances of a template wait for ever for one that is not healthy, for example since no machine takes it.
            const { state, why = "" } = units.get(name)!;
            assert.ok(state === "blocked" || /MaxParallel/.test(why), `${name} is ${state} on ${id}: ${why}`);
          }
          if (left.length === 0) assert.equal(end.drains!.get(id)!.status, "done");
        }
        for (const unit of end.units.values()) {
          const target = start.targets.get(unit.name);
          if (target && !drained.includes(target.machine)) {
            assert.equal(end.targets.get(unit.name)?.machine, target.machine, `${unit.name} stays`);
          }
        }
      },
    ),
    { numRuns: 60 },
  );
});

Deno.test("whatever happens during drains, no copy is left over, and constraints hold when all is at rest", () => {
  const what = fc.oneof(
    { weight: 4, arbitrary: event },
    { weight: 3, arbitrary: fc.constant("moves" as const) },
    { weight: 2, arbitrary: fc.constant("agents" as const) },
    { weight: 1, arbitrary: fc.constant("deposes" as const) },
    { weight: 2, arbitrary: fc.integer({ min: 0, max: 11 }).map((at) => ({ drain: at })) },
    { weight: 2, arbitrary: fc.integer({ min: 0, max: 11 }).map((at) => ({ undrain: at })) },
    { weight: 1, arbitrary: fc.constantFrom(...unitNames).map((fails) => ({ fails })) },
  );
  fc.assert(
    fc.property(population, fc.array(what, { minLength: 10, maxLength: 60 }), (events, happenings) => {
      const simulation = clusterOf(events);
      for (const each of happenings) {
        const ids = [...simulation.machines.keys()];
        if (each === "moves") move(simulation);
        else if (each === "agents") simulation.agents();
        else if (each === "deposes") simulation.deposes();
        else if ("drain" in each) {
          simulation.drain(ids[each.drain % ids.length] ?? "gone", each.drain % 2 === 0 ? { force: true } : {});
        } else if ("undrain" in each) simulation.undrain(ids[each.undrain % ids.length] ?? "gone");
        else if ("fails" in each) { for (const id of ids) simulation.breaks(each.fails, id, id > "05"); }
        else happen(simulation, each);
        simulation.apply(schedule(simulation.cluster()).placements);
        simulation.now_ms += 2_000;
      }
      for (const id of [...simulation.cluster().drains?.keys() ?? []]) simulation.undrain(id);
      for (let round = 0; round < 10; round++) {
        settle(simulation);
        simulation.apply(simulation.moves().steps);
        simulation.now_ms += 10_000;
      }
      const end = simulation.cluster();
      assert.equal(end.successors, undefined);
      for (const target of end.targets.values()) assert.equal(target.successor, undefined);
      checkConstraints(end);
    }),
    { numRuns: 60 },
  );
});

/** The sum of the squares of the numbers of instances: the lower the more even the spread is. */
function uneven(shares: readonly SpreadShare[]): number {
  return shares.reduce((sum, { count }) => sum + count ** 2, 0);
}

/** True if every machine has every key of Spread=: elsewhere instances do not count. */
function hasAllKeys({ machines, units }: Cluster): boolean {
  const keys = [...units.values()].flatMap(({ requirements: { spread } }) => spread?.key ?? []);
  return [...machines.values()].every(({ metadata }) => keys.every((key) => metadata[key] !== undefined));
}

Deno.test("moves for balance make neither the spread nor the load less even, keep groups together, and are all made", () => {
  fc.assert(
    fc.property(population, fc.integer({ min: 1, max: 12 }), (events, maxMoves) => {
      const simulation = clusterOf(events);
      const cluster = simulation.cluster();
      const { moves, before, after, spreadBefore, spreadAfter } = proposeMoves(cluster, maxMoves);
      assert.ok(moves.length <= maxMoves);
      const squares = (loads: typeof before) => loads.reduce((sum, { units }) => sum + units ** 2, 0);
      const reserves = [...cluster.units.values()].some(({ requirements }) => requirements.expected !== undefined);
      if (moves.length === 0) assert.deepEqual(after, before);
      else if (hasAllKeys(cluster)) {
        assert.ok(uneven(spreadAfter) <= uneven(spreadBefore), "the spread is not less even");
      }
      const isSpread = uneven(spreadAfter) < uneven(spreadBefore);
      if (moves.length > 0 && !reserves && hasAllKeys(cluster) && !isSpread) {
        assert.ok(squares(after) < squares(before), "the load is more even");
      }
      const movers = new Set(moves.map(({ unit }) => unit));
      for (const { unit: name, from } of moves) {
        const unit = cluster.units.get(name)!;
        assert.ok(!unit.requirements.pin, `${name} is pinned`);
        for (const [other, { machine }] of cluster.targets) {
          const tied = unit.requirements.machineOf.includes(other) ||
            cluster.units.get(other)!.requirements.machineOf.includes(name);
          if (tied && machine === from) assert.ok(movers.has(other), `${other} moves with ${name}`);
        }
      }
      assert.equal(new Set(moves.map(({ unit }) => unit)).size, moves.length, "no unit moves twice");
      const from = new Set(moves.map((each) => each.from));
      for (const { to } of moves) assert.ok(!from.has(to), "no unit moves to a machine that another one leaves");
      simulation.rebalance(moves);
      for (let round = 0; round < 100 && simulation.cluster().rebalance; round++) {
        move(simulation);
        simulation.agents();
        checkConstraints(simulation.cluster());
        simulation.now_ms += 1_000;
      }
      const end = simulation.cluster();
      const { units } = simulation.moves();
      for (const { unit, to } of moves) {
        // Instances of a template wait for ever for one that is not healthy, for example since no machine takes it.
        const waits = /MaxParallel/.test(units.get(unit)?.why ?? "");
        if (!waits) assert.equal(end.targets.get(unit)?.machine, to, `${unit} has moved`);
      }
      assert.equal(end.successors, undefined);
      if (end.rebalance) {
        assert.ok(end.rebalance.moves.every(({ unit }) => units.has(unit)), "the moves that wait are left");
      }

      // A load that was evened out again and again comes to rest: no proposal takes back another one.
      for (let times = 0;; times++) {
        assert.ok(times < 100, "the proposals come to an end");
        const { moves } = proposeMoves(simulation.cluster(), maxMoves);
        if (moves.length === 0) break;
        for (const { unit, to } of moves) {
          const known = simulation.units.get(unit)!;
          simulation.apply([{ kind: "place", unit: known, machine: to, from: simulation.targets.get(unit)!, why: "" }]);
        }
      }
    }),
    { numRuns: 60 },
  );
});
