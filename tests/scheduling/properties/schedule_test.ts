/**
 * Properties of every plan, for any cluster and any sequence of events. A failure prints its seed and the smallest case:
 * pass `{ seed, path }` to fc.assert to reproduce it.
 */

import assert from "node:assert/strict";
import fc from "fast-check";
import "../../support/property_seed.ts";
import { ScheduleCache } from "../../../daemon/engine/schedule_cache.ts";
import { type Plan, schedule } from "../../../daemon/engine/schedule.ts";
import { globalsAmong, isActiveGlobal, isActiveJob } from "../../../daemon/policy/globals.ts";
import {
  conflict,
  findRefusals,
  isEligible,
  isFeasible,
  isFeasibleAlone,
  replaces,
} from "../../../daemon/policy/feasibility.ts";
import { type EvenCounts, evenCountsIn } from "../../../daemon/policy/spread.ts";
import { fits, reservationOf } from "../../../daemon/policy/capacity.ts";
import type { Cluster, Machine, Unit } from "../../../registry/model.ts";
import { planLines, SimulatedCluster } from "../scenarios/scenario.ts";
import { type Event, event, happen, machineIds, population, unitNames } from "./random_cluster.ts";

/** The units on each machine that is present: jobs, and the globals that run beside them. */
function residents(cluster: Cluster): Map<string, { jobs: Unit[]; all: Unit[] }> {
  const globals = [...cluster.units.values()].filter(isActiveGlobal);
  return new Map(
    [...cluster.machines.values()].map((machine) => {
      const jobs = [...cluster.targets.values()].filter(({ machine: id }) => id === machine.id)
        .map(({ unit }) => cluster.units.get(unit)!).filter((unit) => unit && isActiveJob(unit));
      return [machine.id, { jobs, all: [...jobs, ...globalsAmong(machine, jobs, globals)] }];
    }),
  );
}

/** True if a machine has room for units beside those that it has. */
function hasRoom(machine: Machine, residents: Iterable<Unit>, units: Iterable<Unit>): boolean {
  return fits(reservationOf(units), machine, reservationOf(residents));
}

/** Asserts that no machine gets a unit that it has no room for. */
function checkReservations(before: Cluster, after: Cluster): void {
  const was = residents(before);
  for (const [id, { jobs, all }] of residents(after)) {
    const machine = after.machines.get(id)!;
    for (const unit of jobs) {
      if (hasRoom(machine, all.filter((other) => other !== unit), [unit])) continue;
      // A machine that has become smaller keeps the units that it has.
      const isResident = was.get(id)!.jobs.includes(unit) && before.assignments.get(unit.name)?.hash === unit.hash;
      assert.ok(isResident, `${unit.name} was placed on ${id}, which has no room for it`);
    }
  }
}

/** Returns the instances among which a unit with a hard spread must be even. */
function evenAmong(unit: Unit, cluster: Cluster, on: ReturnType<typeof residents>): EvenCounts | undefined {
  return evenCountsIn(unit, cluster.machines, (id) => on.get(id)!.jobs, (machine) => isEligible(unit, machine));
}

/** Asserts that the last unit that was placed beside others of its template was placed where there were fewest of them. */
function checkSpread({ placements }: Plan, after: Cluster): void {
  // A unit that leaves makes the rest uneven.
  if (placements.some((step) => step.kind === "unplace" || step.kind === "place" && step.from)) return;
  const on = residents(after);
  const spread = placements.flatMap((step) => step.kind === "place" && step.unit.requirements.spread ? step : []);
  const isSoft = ({ requirements: { spread: its } }: Unit): boolean =>
    spread.some(({ unit: { requirements: { spread: other } } }) => {
      return !other!.hard && other!.template === its!.template && other!.key === its!.key;
    });
  const placed = spread.filter(({ unit }) => unit.requirements.spread!.hard && !isSoft(unit));
  const byValue = Map.groupBy(placed, ({ unit, machine }) => {
    const { template, key } = unit.requirements.spread!;
    return `${template} ${key}=${after.machines.get(machine)!.metadata[key]}`;
  });
  for (const [value, steps] of byValue) {
    const isEven = steps.some(({ unit, machine }) => {
      // Units that share a machine are placed together.
      if (unit.requirements.machineOf.length > 0) return true;
      const { counts } = evenAmong(unit, after, on)!;
      const here = counts.get(after.machines.get(machine)!.metadata[unit.requirements.spread!.key]!) ?? 0;
      return here <= Math.min(...counts.values());
    });
    const isGroup = steps.some(({ unit }) =>
      placed.some((other) => other.unit.requirements.machineOf.includes(unit.name))
    );
    assert.ok(isEven || isGroup, `${value} has more instances than another value`);
  }
}

/** Asserts that every job on a machine may be there. */
function checkConstraints(cluster: Cluster): void {
  for (const [id, { jobs, all }] of residents(cluster)) {
    for (const unit of jobs) {
      const refusals = findRefusals(unit, cluster.machines.get(id)!, all, "resident");
      assert.deepEqual(refusals, [], `${unit.name} is on ${id}`);
    }
  }
  for (const unit of cluster.units.values()) {
    if (!isActiveJob(unit)) assert.ok(!cluster.targets.has(unit.name), `${unit.name} should be on no machine`);
  }
}

/** Asserts that every machine has a valid reason to refuse an unplaced unit, alone and together with its unplaced peers. */
function checkUnplaced(cluster: Cluster, plan: Plan): void {
  const on = residents(cluster);
  for (const unit of cluster.units.values()) {
    if (!isActiveJob(unit)) continue;
    const target = cluster.targets.get(unit.name);
    const isPlaced = target !== undefined && cluster.machines.has(target.machine);
    assert.equal(plan.unplaced.has(unit.name), !isPlaced, `${unit.name} is unplaced, or has a machine`);
  }
  for (const [name, { refusals }] of plan.unplaced) {
    const unit = cluster.units.get(name)!;
    const peers = new Set([unit]);
    for (const member of peers) {
      for (const peer of member.requirements.machineOf) {
        if (plan.unplaced.has(peer)) peers.add(cluster.units.get(peer)!);
      }
    }
    const names = new Set([...peers].map((member) => member.name));
    assert.deepEqual([...refusals.keys()], [...cluster.machines.keys()].sort(), `${name}: every machine is listed`);
    for (const [id, reasons] of refusals) {
      const machine = cluster.machines.get(id)!;
      const { all } = on.get(id)!;
      assert.ok(reasons.length > 0, `${name}: ${id} has a reason`);
      const instances = evenAmong(unit, cluster, on);
      assert.deepEqual(
        reasons.map(({ reason }) => reason).sort(),
        findRefusals(unit, machine, all, "newcomer", undefined, { instances }).map(({ reason }) => reason).sort(),
        `${name}: the reasons of ${id} are true`,
      );
      const together = [...peers].every((member) =>
        isFeasible(member, machine, all, "newcomer", names, { instances: evenAmong(member, cluster, on) }) &&
        isFeasible(
          member,
          machine,
          peers,
          "resident",
          new Set(all.map((each) =>
            each.name
          )),
        )
      ) && hasRoom(machine, all, peers);
      assert.ok(!together, `${name}: ${id} would take it with ${[...names].join()}`);
    }
  }
}

/** Asserts that a unit beside one that replaces it has no other machine, together with the units that must share its machine. */
function checkReplaced(cluster: Cluster): void {
  const on = residents(cluster);
  for (const [home, { jobs }] of on) {
    for (const victim of jobs) {
      const group = new Set([victim]);
      for (const member of group) {
        for (const other of jobs) if (other.requirements.machineOf.includes(member.name)) group.add(other);
      }
      const replacer = jobs.find((other) => replaces(other, victim) && !group.has(other));
      if (!replacer || jobs.some((other) => group.has(other) && replaces(other, victim))) continue;
      const names = new Set([...group].map((member) => member.name));
      for (const [id, { jobs: there, all }] of on) {
        if (id === home || there.some((other) => [...group].some((member) => replaces(member, other)))) continue;
        const machine = cluster.machines.get(id)!;
        const takes = hasRoom(machine, all, group) && [...group].every((member) => {
          return isFeasible(member, machine, all, "newcomer", names, { instances: evenAmong(member, cluster, on) });
        });
        assert.ok(!takes, `${victim.name} is beside ${replacer.name} on ${home}, and could be on ${id}`);
      }
    }
  }
}

/** Asserts that a unit leaves a machine that is present only for a reason that still holds after the plan is carried out. */
function checkNoHarm(before: Cluster, after: Cluster): void {
  const was = residents(before), is = residents(after);
  for (const [id, { jobs, all: beforehand }] of was) {
    const machine = after.machines.get(id)!;
    const { jobs: now, all } = is.get(id)!;
    const left = jobs.filter((unit) => !now.includes(unit));
    for (const unit of left) {
      const changed = before.assignments.get(unit.name)?.hash !== unit.hash;
      const refusals = findRefusals(unit, machine, all, "resident");
      // Neither a new unit nor a global is a reason, unless the unit itself has changed, or needs one it conflicts with.
      const needs = new Set(unit.requirements.machineOf);
      for (const name of needs) for (const peer of after.units.get(name)?.requirements.machineOf ?? []) needs.add(peer);
      const counts = new Set([...jobs.map(({ name }) => name), ...needs]);
      const reasons = refusals.filter(({ rule, reason }) =>
        rule !== "Conflicts" || changed || [...counts].some((name) => reason.endsWith(`(${name})`))
      );
      const followed = unit.requirements.machineOf.some((peer) => {
        return left.some(({ name }) => name === peer) || !beforehand.some(({ name }) => name === peer);
      });
      const replaced = now.some((other) => replaces(other, unit));
      // The units that left no room for the new file may have followed it.
      const outgrew = changed && !hasRoom(machine, beforehand.filter((other) => other !== unit), [unit]);
      assert.ok(reasons.length > 0 || followed || replaced || outgrew, `${unit.name} left ${id} for no reason`);
      if (replaced && !followed && isFeasibleAlone(unit, machine) && reasons.length === 0) {
        assert.ok(after.targets.has(unit.name), `${unit.name} was replaced and lost its machine`);
      }
    }
  }
}

function shuffled(cluster: Cluster, order: readonly number[]): Cluster {
  const shuffle = <Value>(map: ReadonlyMap<string, Value>): Map<string, Value> => {
    const keyed = [...map].map((entry, index) => ({ entry, key: order[index % order.length]! * 31 + index % 7 }));
    return new Map(keyed.sort((a, b) => a.key - b.key).map(({ entry }) => entry));
  };
  const { units, machines, targets, assignments } = cluster;
  return {
    ...cluster,
    ...{ units: shuffle(units), machines: shuffle(machines) },
    ...{ targets: shuffle(targets), assignments: shuffle(assignments) },
  };
}

/** Schedules, checks every property of the plan, and carries it out. */
function scheduleAndCheck(simulation: SimulatedCluster, absentAreGone: boolean, cache: ScheduleCache): Plan {
  const before = simulation.cluster();
  const plan = schedule(before, { absentAreGone }, cache);
  assert.deepEqual(planLines(plan), planLines(schedule(before, { absentAreGone })), "the cache changes no plan");
  simulation.apply(plan.placements);
  const after = simulation.cluster();
  const again = schedule(after, { absentAreGone }, cache);
  assert.deepEqual(again.placements, [], "a second plan is empty");
  assert.deepEqual([...again.unplaced.keys()].sort(), [...plan.unplaced.keys()].sort(), "the same units are unplaced");
  assert.deepEqual(planLines(again), planLines(schedule(after, { absentAreGone })), "the cache changes no plan");
  checkConstraints(after);
  checkReservations(before, after);
  checkSpread(plan, after);
  checkReplaced(after);
  checkNoHarm(before, after);
  if (absentAreGone) checkUnplaced(after, plan);
  return plan;
}

/** Records that can be made unreadable: of a unit, or of a machine. */
const breakable = fc.oneof(
  fc.tuple(fc.constantFrom("unit", "unit", "target", "assignment"), fc.constantFrom(...unitNames)),
  fc.tuple(fc.constant("machine"), fc.constantFrom(...machineIds)),
);

function spoil(simulation: SimulatedCluster, kind: string, name: string): void {
  const { units, targets, machines, assignments } = simulation.cluster();
  const records = { unit: units, target: targets, assignment: assignments, machine: machines }[kind];
  if (records?.has(name)) simulation.corrupt(kind, name);
}

/** True if a unit conflicts with one of the others. */
function conflictsWithAny(unit: Unit, others: readonly Unit[]): boolean {
  return others.some(({ name, launchedAt, requirements }) =>
    conflict(unit, { name, launchedAt, requirements: { ...requirements, conflicts: [] } })
  );
}

Deno.test("values that cannot be read: no placed unit moves or stops, and no conflicting unit is placed beside one", () => {
  fc.assert(
    fc.property(population, fc.array(breakable, { minLength: 1, maxLength: 20, size: "max" }), (events, broken) => {
      const simulation = clusterOf(events);
      const cache = new ScheduleCache();
      scheduleAndCheck(simulation, true, cache);
      const before = residents(simulation.cluster());
      for (const [kind, name] of broken) spoil(simulation, kind, name);
      const { placements } = schedule(simulation.cluster(), { absentAreGone: true }, cache);
      for (const step of placements) {
        assert.ok(step.kind === "place" && (step.from?.machine ?? step.machine) === step.machine, JSON.stringify(step));
        if (!step.from) assert.ok(!conflictsWithAny(step.unit, before.get(step.machine)!.all), JSON.stringify(step));
      }
      simulation.apply(placements);
      assert.deepEqual(
        schedule(simulation.cluster(), { absentAreGone: true }, cache).placements,
        [],
        "a second plan is empty",
      );
    }),
    { numRuns: 500 },
  );
});

function clusterOf(events: readonly Event[]): SimulatedCluster {
  const simulation = new SimulatedCluster();
  for (const each of events) happen(simulation, each);
  return simulation;
}

Deno.test("any plan: no constraint is broken, no unit stays unplaced without a reason, and a second plan is empty", () => {
  fc.assert(
    fc.property(population, (events) => void scheduleAndCheck(clusterOf(events), true, new ScheduleCache())),
    { numRuns: 300 },
  );
});

Deno.test("any plan: the order in which units and machines are listed does not matter", () => {
  fc.assert(
    fc.property(population, fc.array(event, { maxLength: 10 }), fc.array(fc.nat(99), { minLength: 1 }), (...given) => {
      const [events, later, order] = given;
      const simulation = clusterOf(events);
      simulation.apply(schedule(simulation.cluster()).placements);
      for (const each of later) happen(simulation, each);
      const cluster = simulation.cluster();
      assert.deepEqual(planLines(schedule(shuffled(cluster, order))), planLines(schedule(cluster)));
    }),
    { numRuns: 200 },
  );
});

Deno.test("any events: one plan after each is enough, and no unit moves that may stay", () => {
  const step = fc.record({ events: fc.array(event, { minLength: 1, maxLength: 3 }), grace: fc.boolean() });
  fc.assert(
    fc.property(population, fc.array(step, { maxLength: 12 }), (events, steps) => {
      const simulation = clusterOf(events);
      const cache = new ScheduleCache();
      scheduleAndCheck(simulation, true, cache);
      for (const { events, grace } of steps) {
        for (const each of events) happen(simulation, each);
        scheduleAndCheck(simulation, !grace, cache);
      }
    }),
    { numRuns: 200 },
  );
});
