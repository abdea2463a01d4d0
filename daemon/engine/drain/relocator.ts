/**
 * Decides the steps of moves that operators have requested. A unit that allows it runs on its new machine, and is healthy
 * there, before it stops on the old one. No effects; the cluster holds everything but the times that a leader observes, so
 * that any leader goes on.
 *
 * docs/internals/scheduling.md has the rules, and ADR 18 their reasons.
 *
 * @module
 */

import { rolloutOptionsOf } from "../../../registry/deployment.ts";
import type { Assignment, Cluster, Drain, MachineId, Unit, UnitName } from "../../../registry/model.ts";
import type { FailedMove } from "../../../registry/failed_on.ts";
import { successorOf } from "../../../registry/model.ts";
import type { EngineStep } from "../../../registry/mod.ts";
import { findRefusals, type Rule } from "../../policy/feasibility.ts";
import { globalsAmong, isActiveGlobal, isActiveJob } from "../../policy/globals.ts";
import { type Health, healthOn } from "../../policy/health.ts";
import { short } from "../classify.ts";
import type { ScheduleOptions } from "../plan.ts";
import { Budgets } from "./budgets.ts";
import { allKnowCopies, copyFailure, soleCopyReason } from "./copies.ts";
import { Destinations } from "./destinations.ts";
import { type MovePlan, type MoveProgress, noMoves } from "./move_plan.ts";
import { notLongEnough, Observations } from "./observations.ts";
import { drainSteps, rebalanceSteps } from "./progress.ts";
import { hasRequests, type MoveRequest, moveRequests, requestedGroups } from "./requests.ts";

/** The wall clock and the monotonic clock. */
export interface Times {
  readonly wall_ms: number;
  readonly monotonic_ms: number;
}

/** True if a newer view may make a step possible that the view before did not. */
export function movesMayAdvance(before: Cluster, after: Cluster): boolean {
  if (before.drains !== after.drains || before.rebalance !== after.rebalance) return true;
  return hasRequests(after) && (before.states !== after.states || before.rollouts !== after.rollouts);
}

/** Plans for successive views of one cluster, as long as one engine leads. */
export class Relocator {
  readonly #observed: Observations;
  readonly #search = new Destinations();
  /** Units that stopped first and are not healthy on their new machine yet, with both machines. */
  readonly #arriving = new Map<UnitName, { readonly from: MachineId; readonly to: MachineId }>();
  #hasBegun = false;

  /** `isLeader` is false for a view that others carry out: it knows nothing of the past, and a healthy unit counts at once. */
  constructor(private readonly options: { readonly isLeader: boolean } = { isLeader: true }) {
    this.#observed = new Observations(options.isLeader);
  }

  /** The units that have left a machine, and were not healthy on another one at the latest {@link plan}. */
  get arriving(): ReadonlySet<UnitName> {
    return new Set(this.#arriving.keys());
  }

  /** Returns the next steps. To be called only while the scheduler itself has nothing to do. */
  plan(cluster: Cluster, options: ScheduleOptions, times: Times): MovePlan {
    this.#observed.begin();
    if (!this.#hasBegun) this.#adoptArrivals(cluster, times.wall_ms);
    this.#hasBegun = true;
    // A drain may end before the units that it has moved are healthy.
    if (!hasRequests(cluster) && this.#arriving.size === 0) return noMoves;
    const requests = moveRequests(cluster);
    this.#observed.keepFailures(requests);
    const arriving = this.#arriving.size;
    this.#watchArrivals(cluster, times.monotonic_ms);
    // Roll-outs, which were decided before, may wait for a unit that was forgotten now.
    const soon_ms = this.#arriving.size < arriving ? 0 : Infinity;
    // After a mass loss nothing is moved: what is left may be overloaded, and the lost machines may come back.
    if (!hasRequests(cluster) || cluster.massLoss) {
      return { ...noMoves, left_ms: Math.min(soon_ms, this.#observed.left_ms) };
    }
    const plan = new Round(cluster, requests, options, times, this.#observed, this.#arriving, this.#search).run();
    return { ...plan, left_ms: Math.min(soon_ms, plan.left_ms) };
  }

  /** Counts the units that the leader before has placed lately, maybe for a drain, as if they had left a machine now. */
  #adoptArrivals(cluster: Cluster, wall_ms: number): void {
    if (cluster.drains === undefined || !this.options.isLeader) return;
    for (const { unit: name, machine, since_ms } of cluster.targets.values()) {
      const unit = cluster.units.get(name);
      if (unit?.desiredState !== "launched" || unit.unreadable !== undefined) continue;
      if (wall_ms - since_ms >= rolloutOptionsOf(unit.fleetOptions).healthyDeadline_ms) continue;
      if (healthOn(cluster, unit, machine).kind !== "waiting") continue;
      this.#arriving.set(name, { from: "", to: machine });
    }
  }

  /** Forgets the units that have arrived, or will not soon. */
  #watchArrivals(cluster: Cluster, now_ms: number): void {
    for (const [name, { to }] of this.#arriving) {
      const unit = cluster.units.get(name);
      const isThere = unit && isActiveJob(unit) && cluster.targets.get(name)?.machine === to;
      if (isThere && this.#observed.health(cluster, unit, to, now_ms).kind === "waiting") {
        if (!this.#observed.isOverdue(unit, to, now_ms)) continue;
      }
      this.#arriving.delete(name);
    }
  }
}

/** One round of a {@link Relocator}. */
class Round {
  readonly #steps: EngineStep[] = [];
  readonly #units = new Map<UnitName, MoveProgress>();
  readonly #budgets: Budgets;
  readonly #knowsCopies: boolean;

  constructor(
    private readonly cluster: Cluster,
    private readonly requests: ReadonlyMap<UnitName, MoveRequest>,
    private readonly options: ScheduleOptions,
    private readonly times: Times,
    private readonly observed: Observations,
    private readonly arriving: Map<UnitName, { readonly from: MachineId; readonly to: MachineId }>,
    private readonly search: Destinations,
  ) {
    this.#budgets = new Budgets(
      cluster,
      (unit, machine) => observed.health(cluster, unit, machine, times.monotonic_ms),
      arriving,
    );
    this.#knowsCopies = allKnowCopies(cluster);
  }

  run(): MovePlan {
    const { cluster, requests } = this;
    this.#endStrayCopies();
    const rest = new Map<UnitName, MoveRequest>();
    for (const [name, request] of requests) {
      const copy = successorOf(cluster, name);
      if (copy) this.#continueMove(request, copy);
      else rest.set(name, request);
    }
    if (rest.size > 0) this.#beginMoves(rest);
    this.#steps.push(...drainSteps(cluster), ...rebalanceSteps(cluster, this.#units));
    const deadlines = [...cluster.drains?.values() ?? []].flatMap(({ deadlineAt_ms, status }) =>
      deadlineAt_ms !== undefined && status === "moving" ? [deadlineAt_ms - this.times.wall_ms] : []
    );
    const left_ms = Math.min(this.observed.left_ms, ...deadlines.filter((each) => each > 0));
    return { steps: this.#steps, units: this.#units, left_ms };
  }

  /** Ends second copies that no request is about any more. Those of absent machines may be needed. */
  #endStrayCopies(): void {
    const { units, targets, machines, successors } = this.cluster;
    for (const { unit: name, machine, revision } of successors?.values() ?? []) {
      const target = targets.get(name);
      if (target?.successor !== machine || !units.has(name)) {
        this.#steps.push({ kind: "withdraw", unit: name, machine, revision });
      } else if (!this.requests.has(name) && machines.has(target.machine)) {
        this.#steps.push({ kind: "abandon", unit: name, from: target, why: "its move is no longer requested" });
      }
    }
  }

  /** Decides about a unit that runs on both machines. */
  #continueMove(request: MoveRequest, copy: Assignment): void {
    const { unit, target, drain, why } = request;
    const to = copy.machine;
    const abandon = (why: string, failedMove?: FailedMove) => {
      this.#steps.push({ kind: "abandon", unit: unit.name, from: target, why, ...failedMove && { failedMove } });
      this.#units.set(unit.name, { request, state: "waiting", why });
    };
    const broken = this.#brokenReason(request, copy);
    if (broken !== undefined) return abandon(broken);
    const health = this.#copyHealth(unit, copy);
    const state = this.cluster.states.get(unit.name)?.get(to);
    const failure = state && this.observed.isOfCopy(state) ? copyFailure(unit, health, state) : undefined;
    const isLate = this.#isLate(drain);
    const isUp = healthOn(this.cluster, unit, to).kind === "healthy";
    const isOverdue = this.observed.isOverdue(unit, to, this.times.monotonic_ms, isUp);
    if (health.kind === "healthy" || isLate) {
      const how = health.kind === "healthy" ? "it was healthy there first" : "the deadline of the drain is over";
      this.#steps.push({ kind: "place", unit, machine: to, from: target, why: `${why}; ${how}` });
    } else if (isOverdue || failure !== undefined) {
      this.observed.failed(unit.name, to, this.times.monotonic_ms);
      const why = failure ?? health.why;
      return abandon(`its second copy is not healthy: it ${why}`, why);
    }
    const what = health.kind === "healthy" ? {} : { why: `its second copy ${health.why}` };
    this.#units.set(unit.name, { request, state: "moving", to, ...what });
    this.#budgets.moves(unit, drain);
  }

  /** True if the deadline of a drain is over. */
  #isLate(drain: Drain | undefined): boolean {
    return drain?.deadlineAt_ms !== undefined && drain.deadlineAt_ms <= this.times.wall_ms;
  }

  /** Returns the health of a second copy, for whose duration its machine vouches. */
  #copyHealth(unit: Unit, { machine, revision }: Assignment): Health {
    const health = healthOn(this.cluster, unit, machine);
    const { settled } = this.cluster.states.get(unit.name)?.get(machine) ?? {};
    if (health.kind !== "healthy" || settled === revision) return health;
    return { kind: "waiting", why: notLongEnough(machine) };
  }

  /** Returns why a second copy cannot take the place of the first; undefined if it can. */
  #brokenReason({ unit }: MoveRequest, copy: Assignment): string | undefined {
    const machine = this.cluster.machines.get(copy.machine);
    if (!machine) return `machine ${short(copy.machine)}, which ran its second copy, went away`;
    // Cordoned since the copy was started: the unit would arrive on a machine that is to become empty.
    if (machine.cordon) return `machine ${short(copy.machine)} takes no new units any more`;
    const { hash, restart, desiredState } = copy;
    if (copy.unreadable !== undefined) return `the record of its second copy cannot be read: ${copy.unreadable}`;
    if (hash !== unit.hash || restart !== unit.restart) return "the unit has changed";
    if (desiredState !== unit.desiredState) return "the unit has changed";
    const sole = soleCopyReason(unit);
    if (sole !== undefined) return `only one copy of it may run (${sole})`;
    const [refusal] = findRefusals(unit, machine, this.#residentsOf(copy.machine), "resident");
    return refusal && `machine ${short(copy.machine)} cannot keep its second copy: ${refusal.reason}`;
  }

  #residentsOf(id: MachineId) {
    const { units, targets, machines } = this.cluster;
    const jobs = [...targets.values()].filter(({ machine }) => machine === id)
      .flatMap(({ unit }) => units.get(unit) ?? []).filter(isActiveJob);
    return [...jobs, ...globalsAmong(machines.get(id)!, jobs, [...units.values()].filter(isActiveGlobal))];
  }

  /** Has the scheduler search machines for units that are to leave theirs. */
  #search(rest: ReadonlyMap<UnitName, MoveRequest>) {
    const { cluster, options, observed } = this;
    const plan = this.search.plan(cluster, options, rest, (unit) => observed.failedMachines(unit));
    const destinations = new Map<UnitName, MachineId>();
    for (const step of plan.placements) {
      if (step.kind !== "place" || !rest.has(step.unit.name) || step.from?.machine === step.machine) continue;
      destinations.set(step.unit.name, step.machine);
    }
    return { plan, destinations };
  }

  /** Begins as many moves as the limits allow. */
  #beginMoves(rest: ReadonlyMap<UnitName, MoveRequest>): void {
    const { cluster, observed } = this;
    let { plan, destinations } = this.#search(rest);
    const failed = [...rest.keys()].filter((name) => !destinations.has(name) && observed.failedMachines(name).size > 0);
    if (failed.length > 0) {
      // A machine that takes the unit, and did not get it healthy, is tried again: the unit is not one that fits nowhere.
      for (const name of failed) observed.forgetMachines(name);
      ({ plan, destinations } = this.#search(rest));
    }
    for (const group of requestedGroups(cluster, rest)) {
      if (group.every(({ unit }) => destinations.has(unit.name))) this.#beginGroup(group, destinations);
      else {
        for (const request of group) {
          const { unit, target } = request;
          const reason = plan.unplaced.get(unit.name);
          const refusals = new Map([...reason?.refusals ?? []].filter(([id]) => id !== target.machine));
          const why = reason?.summary ?? "units that it must share a machine with fit on no other machine";
          this.#units.set(unit.name, { request, state: "blocked", why, refusals });
        }
      }
    }
    this.#stopBlocked(destinations);
  }

  /** Begins the move of units that share a machine, or says what they wait for. */
  #beginGroup(group: readonly MoveRequest[], destinations: ReadonlyMap<UnitName, MachineId>): void {
    const { cluster } = this;
    const [{ drain }] = group as [MoveRequest];
    const isLate = this.#isLate(drain);
    const stopsFirst = this.#stopsFirstReason(group);
    const units = group.map(({ unit }) => unit);
    const wait = isLate ? undefined : this.#pauseOf(group) ?? this.#roomReason(group, destinations) ??
      this.#budgets.waitReason(units, drain, stopsFirst === undefined);
    if (wait === undefined) this.#budgets.begin(units, drain, stopsFirst === undefined);
    // Peers come before the units that follow them, as the scheduler ordered them.
    const order = [...destinations.keys()];
    const sorted = [...group].sort((a, b) => order.indexOf(a.unit.name) - order.indexOf(b.unit.name));
    for (const request of sorted) {
      const { unit, target, why } = request;
      const to = destinations.get(unit.name)!;
      // Only the leader knows which machines did not get the unit healthy.
      const isKnown = this.observed.isLeader || request.failedMove === undefined;
      this.#units.set(unit.name, {
        ...{ request, state: wait === undefined && stopsFirst === undefined ? "moving" : "waiting" },
        ...isKnown && { to },
        ...stopsFirst !== undefined && { stopsFirst },
        ...wait !== undefined && { why: wait },
      });
      if (wait !== undefined) continue;
      if (stopsFirst === undefined && !isLate) {
        this.#steps.push({ kind: "prepare", unit, machine: to, from: target, why });
        const state = cluster.states.get(unit.name)?.get(to);
        this.observed.begins(unit.name, to, state, this.times.monotonic_ms);
      } else {
        this.#steps.push({ kind: "place", unit, machine: to, from: target, why });
        if (cluster.machines.has(to)) this.arriving.set(unit.name, { from: target.machine, to });
      }
    }
  }

  /** Returns why units cannot go to their new machines yet: the search supposes that other units have left. */
  #roomReason(group: readonly MoveRequest[], destinations: ReadonlyMap<UnitName, MachineId>): string | undefined {
    const { targets, successors, units, machines } = this.cluster;
    const names = new Set(group.map(({ unit }) => unit.name));
    for (const { unit } of group) {
      const to = destinations.get(unit.name)!;
      const there = [...targets.values(), ...successors?.values() ?? []].filter(({ machine }) => machine === to)
        .flatMap((each) => units.get(each.unit) ?? []);
      const refusal = findRefusals(unit, machines.get(to)!, there, "newcomer", names)
        .find(({ rule }) => rule === "Conflicts" || rule === "Replaces" || isCapacityRule(rule));
      if (refusal) return `it waits until other units have left machine ${short(to)}: ${refusal.reason}`;
    }
    return undefined;
  }

  /** Returns why units stop before they start on their new machine; undefined if they start there first. */
  #stopsFirstReason(group: readonly MoveRequest[]): string | undefined {
    if (group.length > 1) return "it moves together with other units (MachineOf=)";
    const [{ unit }] = group as [MoveRequest];
    const sole = soleCopyReason(unit);
    if (sole !== undefined) return sole;
    if (!this.#knowsCopies) return "a machine runs an older version of fleet";
    return this.#budgets.isUp(unit) ? undefined : "it does not run where it is";
  }

  #pauseOf(group: readonly MoveRequest[]): string | undefined {
    for (const { unit, target, failedMove } of group) {
      // Without a report it is unknown whether the unit runs, and so whether it may stop first.
      const isKnown = unit.desiredState !== "launched" || this.cluster.states.get(unit.name)?.has(target.machine);
      if (!isKnown) return `machine ${short(target.machine)} has not reported it yet`;
      const pause_ms = this.observed.pause_ms(unit.name, this.times.monotonic_ms);
      const what = failedMove === undefined ? "" : `: its second copy ${failedMove}`;
      if (pause_ms > 0) return `its last move failed, and is tried again in ${Math.ceil(pause_ms / 1000)} s${what}`;
      // Only the leader knows when.
      if (what !== "" && !this.observed.isLeader) return `its last move failed, and is tried again${what}`;
      for (const { app, status, steps } of this.cluster.rollouts?.values() ?? []) {
        if (status !== "running" && status !== "rolling-back") continue;
        const step = steps.find((step) => step.unit === unit.name);
        if (step?.state === "changing" || step?.state === "undoing") return `the roll-out of app ${app} is changing it`;
      }
    }
    return undefined;
  }

  /** Stops units that fit nowhere, if their drain says so and nothing else of it is left. */
  #stopBlocked(destinations: ReadonlyMap<UnitName, MachineId>): void {
    // A machine that has just lost its lease is probably back in a moment, and may take them.
    if ((this.options.vanished?.size ?? 0) > 0) return;
    const busy = new Set<MachineId>();
    for (const { state, request } of this.#units.values()) if (state !== "blocked") busy.add(request.target.machine);
    // A unit that cannot be read does not move: to stop the others by force would not empty the machine.
    for (const { unit, machine } of this.cluster.targets.values()) {
      if (this.cluster.units.get(unit)?.unreadable !== undefined) busy.add(machine);
    }
    for (const [name, { state, request }] of this.#units) {
      const { drain, target, why } = request;
      if (state !== "blocked" || !drain || destinations.has(name) && !drain.force) continue;
      const isLate = this.#isLate(drain);
      if (!isLate && (!drain.force || busy.has(target.machine))) continue;
      this.#steps.push({ kind: "unplace", unit: name, from: target, why: `${why}, and no other machine takes it` });
    }
  }
}

function isCapacityRule(rule: Rule): boolean {
  return rule === "MemoryReserve" || rule === "CPUReserve" || rule === "Resources";
}
