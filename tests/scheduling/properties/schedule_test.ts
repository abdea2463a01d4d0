/**
 * What holds of every plan, whatever the cluster, and of every sequence of events. A failure prints the seed that leads
 * to it and the smallest case: hand `{ seed, path }` to fc.assert to see it again.
 */

import assert from "node:assert/strict";
import fc from "fast-check";
import "../../support/property_seed.ts";
import { ScheduleCache } from "../../../daemon/engine/schedule_cache.ts";
import { type Plan, schedule } from "../../../daemon/engine/schedule.ts";
import { globalsAmong, isActiveGlobal, isActiveJob } from "../../../daemon/policy/globals.ts";
import { conflict, isAllowed, isHostable, placement, replaces } from "../../../daemon/policy/feasibility.ts";
import type { Cluster, Unit } from "../../../registry/model.ts";
import { Story, tellPlan } from "../scenarios/scenario.ts";
import { type Event, event, happen, machineIds, population, unitNames } from "./random_cluster.ts";

/** Who is on each machine that is there: jobs, and the globals that follow. */
function residents(cluster: Cluster): Map<string, { jobs: Unit[]; all: Unit[] }> {
  const globals = [...cluster.units.values()].filter(isActiveGlobal);
  return new Map(
    [...cluster.machines.values()].map((host) => {
      const jobs = [...cluster.targets.values()].filter(({ machine }) => machine === host.id)
        .map(({ unit }) => cluster.units.get(unit)!).filter((unit) => unit && isActiveJob(unit));
      return [host.id, { jobs, all: [...jobs, ...globalsAmong(host, jobs, globals)] }];
    }),
  );
}

/** Every job that is on a machine may be there. */
function checkConstraints(cluster: Cluster): void {
  for (const [id, { jobs, all }] of residents(cluster)) {
    for (const unit of jobs) {
      const { refusals } = placement(unit, cluster.machines.get(id)!, all, "resident");
      assert.deepEqual(refusals, [], `${unit.name} is on ${id}`);
    }
  }
  for (const unit of cluster.units.values()) {
    if (!isActiveJob(unit)) assert.ok(!cluster.targets.has(unit.name), `${unit.name} is wanted nowhere`);
  }
}

/** Every unit that waits has a true reason on every machine, alone and together with the peers that it waits with. */
function checkWaiting(cluster: Cluster, plan: Plan): void {
  const on = residents(cluster);
  for (const unit of cluster.units.values()) {
    if (!isActiveJob(unit)) continue;
    const target = cluster.targets.get(unit.name);
    const isPlaced = target !== undefined && cluster.machines.has(target.machine);
    assert.equal(plan.waiting.has(unit.name), !isPlaced, `${unit.name} waits, or has a machine`);
  }
  for (const [name, { refusals }] of plan.waiting) {
    const unit = cluster.units.get(name)!;
    const company = new Set([unit]);
    for (const member of company) {
      for (const peer of member.requirements.machineOf) {
        if (plan.waiting.has(peer)) company.add(cluster.units.get(peer)!);
      }
    }
    const names = new Set([...company].map((member) => member.name));
    assert.deepEqual([...refusals.keys()], [...cluster.machines.keys()].sort(), `${name}: every machine has a say`);
    for (const [id, reasons] of refusals) {
      const host = cluster.machines.get(id)!;
      const { all } = on.get(id)!;
      assert.ok(reasons.length > 0, `${name}: ${id} has a reason`);
      assert.deepEqual(
        reasons.map(({ reason }) => reason).sort(),
        placement(unit, host, all).refusals.map(({ reason }) => reason).sort(),
        `${name}: what ${id} says is true`,
      );
      const together = [...company].every((member) =>
        isAllowed(member, host, all, "newcomer", names) &&
        isAllowed(member, host, company, "resident", new Set(all.map((each) => each.name)))
      );
      assert.ok(!together, `${name}: ${id} would take it with ${[...names].join()}`);
    }
  }
}

/** Whoever is beside a unit that replaces it has nowhere to go, with those that must be where it is. */
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
        const takes = [...group].every((member) => {
          return isAllowed(member, cluster.machines.get(id)!, all, "newcomer", names);
        });
        assert.ok(!takes, `${victim.name} is beside ${replacer.name} on ${home}, and could be on ${id}`);
      }
    }
  }
}

/** Whoever has to leave a machine that is there does so for a reason that still holds once all is done. */
function checkNoHarm(before: Cluster, after: Cluster): void {
  const was = residents(before), is = residents(after);
  for (const [id, { jobs, all: beforehand }] of was) {
    const host = after.machines.get(id)!;
    const { jobs: now, all } = is.get(id)!;
    const left = jobs.filter((unit) => !now.includes(unit));
    for (const unit of left) {
      const changed = before.assignments.get(unit.name)?.hash !== unit.hash;
      const { refusals } = placement(unit, host, all, "resident");
      // A newcomer is no reason, nor is a global, unless the unit itself has changed, or needs one that it is against.
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
      assert.ok(reasons.length > 0 || followed || replaced, `${unit.name} had to leave ${id} for no reason`);
      if (replaced && !followed && isHostable(unit, host) && reasons.length === 0) {
        assert.ok(after.targets.has(unit.name), `${unit.name} was replaced and went nowhere`);
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

/** Schedules, checks the plan in every way, and carries it out. */
function scheduleAndCheck(story: Story, absentAreGone: boolean, memo: ScheduleCache): Plan {
  const before = story.cluster();
  const plan = schedule(before, { absentAreGone }, memo);
  assert.deepEqual(tellPlan(plan), tellPlan(schedule(before, { absentAreGone })), "a memo changes nothing");
  story.apply(plan.placements);
  const after = story.cluster();
  const again = schedule(after, { absentAreGone }, memo);
  assert.deepEqual(again.placements, [], "there is nothing left to do");
  assert.deepEqual([...again.waiting.keys()].sort(), [...plan.waiting.keys()].sort(), "the same units wait");
  assert.deepEqual(tellPlan(again), tellPlan(schedule(after, { absentAreGone })), "a memo changes nothing");
  checkConstraints(after);
  checkReplaced(after);
  checkNoHarm(before, after);
  if (absentAreGone) checkWaiting(after, plan);
  return plan;
}

/** What can be spoilt of a unit, or of a machine. */
const spoilable = fc.oneof(
  fc.tuple(fc.constantFrom("unit", "unit", "target", "orders"), fc.constantFrom(...unitNames)),
  fc.tuple(fc.constant("machine"), fc.constantFrom(...machineIds)),
);

function spoil(story: Story, kind: string, name: string): void {
  const { units, targets, machines, assignments } = story.cluster();
  const there = { unit: units, target: targets, orders: assignments, machine: machines }[kind];
  if (there?.has(name)) story.spoil(kind, name);
}

/** Whether somebody comes to a unit that he is against. */
function comesAgainst(unit: Unit, others: readonly Unit[]): boolean {
  return others.some(({ name, launchedAt, requirements }) =>
    conflict(unit, { name, launchedAt, requirements: { ...requirements, conflicts: [] } })
  );
}

Deno.test("any values that cannot be read: nobody who is placed moves or goes, nor does anybody come against them", () => {
  fc.assert(
    fc.property(population, fc.array(spoilable, { minLength: 1, maxLength: 20, size: "max" }), (events, spoilt) => {
      const story = storyOf(events);
      const memo = new ScheduleCache();
      scheduleAndCheck(story, true, memo);
      const before = residents(story.cluster());
      for (const [kind, name] of spoilt) spoil(story, kind, name);
      const { placements } = schedule(story.cluster(), { absentAreGone: true }, memo);
      for (const step of placements) {
        assert.ok(step.kind === "place" && (step.from?.machine ?? step.machine) === step.machine, JSON.stringify(step));
        if (!step.from) assert.ok(!comesAgainst(step.unit, before.get(step.machine)!.all), JSON.stringify(step));
      }
      story.apply(placements);
      assert.deepEqual(schedule(story.cluster(), { absentAreGone: true }, memo).placements, [], "and it is at rest");
    }),
    { numRuns: 500 },
  );
});

function storyOf(events: readonly Event[]): Story {
  const story = new Story();
  for (const each of events) happen(story, each);
  return story;
}

Deno.test("any plan: no constraint is broken, nobody waits without need, and what is done stays done", () => {
  fc.assert(
    fc.property(population, (events) => void scheduleAndCheck(storyOf(events), true, new ScheduleCache())),
    { numRuns: 300 },
  );
});

Deno.test("any plan: the order in which units and machines are listed does not matter", () => {
  fc.assert(
    fc.property(population, fc.array(event, { maxLength: 10 }), fc.array(fc.nat(99), { minLength: 1 }), (...given) => {
      const [events, later, order] = given;
      const story = storyOf(events);
      story.apply(schedule(story.cluster()).placements);
      for (const each of later) happen(story, each);
      const cluster = story.cluster();
      assert.deepEqual(tellPlan(schedule(shuffled(cluster, order))), tellPlan(schedule(cluster)));
    }),
    { numRuns: 200 },
  );
});

Deno.test("any events: after each, one plan settles all, and nobody moves who may stay", () => {
  const step = fc.record({ events: fc.array(event, { minLength: 1, maxLength: 3 }), grace: fc.boolean() });
  fc.assert(
    fc.property(population, fc.array(step, { maxLength: 12 }), (events, steps) => {
      const story = storyOf(events);
      const memo = new ScheduleCache();
      scheduleAndCheck(story, true, memo);
      for (const { events, grace } of steps) {
        for (const each of events) happen(story, each);
        scheduleAndCheck(story, !grace, memo);
      }
    }),
    { numRuns: 200 },
  );
});
