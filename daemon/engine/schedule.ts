/**
 * Decides who runs where, and why not. No clock, no network, no randomness: the same cluster gives the same plan.
 *
 * Jobs are never moved for balance: what may stay, stays.
 *
 * @module
 */

import type { Cluster, MachineId, Target, Unit, UnitName } from "../../registry/model.ts";
import type { Placement } from "../../registry/mod.ts";
import { isTemplate } from "../../systemd/unit_name.ts";
import { precedence, type Refusal, replaces } from "../placement.ts";
import { Board, type Evicted } from "./board.ts";

/** What the engine would do, and what it cannot do. */
export interface Plan {
  /** In an order in which they may be carried out. */
  readonly placements: readonly Placement[];
  /** Units that are wanted and have no machine, each with why. */
  readonly waiting: ReadonlyMap<UnitName, Waiting>;
}

/** Why a unit has no machine. */
export interface Waiting {
  /** One sentence. */
  readonly summary: string;
  /** For each machine that is present, every reason it will not do. */
  readonly refusals: ReadonlyMap<MachineId, readonly Refusal[]>;
}

/** What the engine knows beside the cluster. */
export interface ScheduleOptions {
  /** False while machines that are not there may just be late to rejoin: their units are left alone. */
  readonly absentAreGone: boolean;
}

/** A job that needs a machine. */
interface Candidate {
  readonly unit: Unit;
  readonly from?: Target;
  /** Why it cannot be where it was; "" if it was nowhere. */
  readonly because: string;
}

/** Decides every placement for a cluster. */
export function schedule(cluster: Cluster, options: ScheduleOptions = { absentAreGone: true }): Plan {
  const board = new Board(cluster.machines, cluster.units.values());
  const placements: Placement[] = [];
  const waiting = new Map<UnitName, Waiting>();
  const { candidates, refresh } = seatEveryone(cluster, board, options, placements, waiting);
  moveReplaced(cluster, board, placements);
  for (const unit of refresh) {
    const target = cluster.targets.get(unit.name)!;
    if (!board.jobs(target.machine).includes(unit)) continue;
    placements.push({ kind: "place", unit, machine: target.machine, from: target, why: target.why });
  }
  placeCandidates(board, candidates, placements);
  for (const candidate of candidates.values()) {
    waiting.set(candidate.unit.name, refusalsEverywhere(board, candidate));
    const { from, unit } = candidate;
    if (from && cluster.machines.has(from.machine)) {
      placements.push({ kind: "unplace", unit: unit.name, from, why: candidate.because });
    }
  }
  return { placements: [...placements, ...forgotten(cluster)], waiting };
}

/** Puts every placed job where it is, and collects those that need another machine or new orders. */
function seatEveryone(
  cluster: Cluster,
  board: Board,
  options: ScheduleOptions,
  placements: Placement[],
  waiting: Map<UnitName, Waiting>,
): { candidates: Map<UnitName, Candidate>; refresh: Unit[] } {
  const candidates = new Map<UnitName, Candidate>();
  const here = new Map<MachineId, Unit[]>();
  const refresh: Unit[] = [];
  for (const from of cluster.targets.values()) {
    const unit = cluster.units.get(from.unit);
    if (unit && isWantedJob(unit)) continue;
    const why = !unit ? "it was destroyed" : "it is not to be placed: inactive, a template or global";
    placements.push({ kind: "unplace", unit: from.unit, from, why });
  }
  for (const unit of [...cluster.units.values()].filter(isWantedJob).sort(precedence)) {
    const from = cluster.targets.get(unit.name);
    if (!from) candidates.set(unit.name, { unit, because: "" });
    else if (cluster.machines.has(from.machine)) {
      here.set(from.machine, [...here.get(from.machine) ?? [], unit]);
      if (ordersDiffer(cluster, unit)) refresh.push(unit);
    } else if (options.absentAreGone) {
      candidates.set(unit.name, { unit, from, because: `machine ${short(from.machine)} went away` });
    } else {
      const summary = `machine ${short(from.machine)} is away; it is given time to come back`;
      waiting.set(unit.name, { summary, refusals: new Map() });
    }
  }
  for (const id of cluster.machines.keys()) {
    const jobs = here.get(id) ?? [];
    addEvicted(cluster, jobs, board.seat(id, jobs), candidates);
  }
  return { candidates, refresh };
}

function addEvicted(
  cluster: Cluster,
  jobs: readonly Unit[],
  evicted: Evicted,
  candidates: Map<UnitName, Candidate>,
): void {
  for (const unit of jobs) {
    const verdict = evicted.get(unit.name);
    if (!verdict) continue;
    const from = cluster.targets.get(unit.name)!;
    const reasons = verdict.refusals.map((refusal) => refusal.reason).join("; ");
    candidates.set(unit.name, {
      unit,
      from,
      because: `machine ${short(from.machine)} is unable to run it: ${reasons}`,
    });
  }
}

/** Whether the machine has been told something else than what is wanted now. */
function ordersDiffer(cluster: Cluster, unit: Unit): boolean {
  const orders = cluster.assignments.get(unit.name);
  return !orders || orders.hash !== unit.hash || orders.desiredState !== unit.desiredState ||
    orders.restart !== unit.restart;
}

/**
 * Moves each unit that another on its machine replaces, with those that must be where it is, if some other machine will
 * take them; else all stay, since stopping the victim would help nobody.
 */
function moveReplaced(cluster: Cluster, board: Board, placements: Placement[]): void {
  for (const home of cluster.machines.keys()) {
    for (const victim of [...board.jobs(home)].sort(precedence)) {
      if (victim.requirements.machineOf.length > 0) continue;
      const replacer = board.jobs(home).find((other) => replaces(other, victim));
      if (!replacer) continue;
      const neighbours = board.jobs(home);
      const group = closure(
        victim,
        (member) => neighbours.filter((other) => other.requirements.machineOf.includes(member.name)),
      );
      if (group.includes(replacer)) continue;
      for (const unit of group) board.remove(unit, home);
      const machine = chooseMachine(board, group, home);
      for (const unit of group) board.place(unit, machine ?? home);
      if (machine === undefined) continue;
      for (const unit of group) {
        const why = `replaced by ${replacer.name} on machine ${short(home)}`;
        placements.push({ kind: "place", unit, machine, from: cluster.targets.get(unit.name)!, why });
      }
    }
  }
}

/** Places what can be placed, and takes it out of `candidates`. */
function placeCandidates(board: Board, candidates: Map<UnitName, Candidate>, placements: Placement[]): void {
  const followersOf = new Map<UnitName, Unit[]>();
  for (const { unit } of candidates.values()) {
    for (const peer of unit.requirements.machineOf) followersOf.set(peer, [...followersOf.get(peer) ?? [], unit]);
  }
  // Each further round serves units that wait for a peer which the round before has placed.
  for (let placedOne = true; placedOne;) {
    placedOne = false;
    for (const { unit } of [...candidates.values()]) {
      if (!candidates.has(unit.name)) continue;
      for (const group of groupsOf(unit, candidates, followersOf)) {
        const machine = chooseMachine(board, group);
        if (machine === undefined) continue;
        for (const member of group) {
          placements.push(placed(board, candidates.get(member.name)!, machine));
          board.place(member, machine);
          candidates.delete(member.name);
        }
        placedOne = followersOf.size > 0;
        break;
      }
    }
  }
}

function placed(board: Board, { unit, from, because }: Candidate, machine: MachineId): Placement {
  const load = board.load(machine);
  const choice = `least loaded machine that will take it, with ${load} unit${load === 1 ? "" : "s"}`;
  const why = because === "" ? choice : `${because}; ${choice}`;
  return { kind: "place", unit, machine, ...(from && { from }), why };
}

/** The groups to try for a unit, largest first: with all that are tied to it by MachineOf, then with what it needs. */
function groupsOf(
  unit: Unit,
  candidates: ReadonlyMap<UnitName, Candidate>,
  followersOf: ReadonlyMap<UnitName, readonly Unit[]>,
): Unit[][] {
  const peers = (member: Unit) => member.requirements.machineOf.flatMap((peer) => candidates.get(peer)?.unit ?? []);
  const waitingFollowers = (member: Unit) =>
    (followersOf.get(member.name) ?? []).filter((other) => candidates.has(other.name));
  const needed = closure(unit, peers);
  const all = closure(unit, (member) => [...peers(member), ...waitingFollowers(member)]);
  return all.length > needed.length ? [all, needed] : [needed];
}

/** `unit` and all that `next` leads to, in order of precedence. */
function closure(unit: Unit, next: (unit: Unit) => readonly Unit[]): Unit[] {
  const found = new Set([unit]);
  for (const member of found) for (const other of next(member)) found.add(other);
  return [...found].sort(precedence);
}

/** The least loaded machine that will take the whole group; undefined if none will. */
function chooseMachine(board: Board, group: readonly Unit[], except?: MachineId): MachineId | undefined {
  return board.byLoad().find((id) =>
    id !== except && group.every((unit) => board.verdict(unit, id, group).refusals.length === 0)
  );
}

function refusalsEverywhere(board: Board, { unit, because }: Candidate): Waiting {
  const refusals = new Map<MachineId, readonly Refusal[]>();
  for (const id of board.machines.keys()) refusals.set(id, board.verdict(unit, id).refusals);
  const none = board.machines.size === 0
    ? "there are no machines"
    : `none of ${board.machines.size} machine${board.machines.size === 1 ? "" : "s"} will take it`;
  return { summary: because === "" ? none : `${because}; ${none}`, refusals };
}

/** Texts that neither a unit nor an agent's orders refer to. */
function forgotten(cluster: Cluster): Placement[] {
  const used = new Set<string>();
  for (const unit of cluster.units.values()) used.add(unit.hash);
  for (const orders of cluster.assignments.values()) used.add(orders.hash);
  return [...cluster.files.values()].filter((file) => !used.has(file.hash))
    .map((file) => ({ kind: "forget", hash: file.hash, revision: file.revision }));
}

function isWantedJob(unit: Unit): boolean {
  return !unit.requirements.global && unit.desiredState !== "inactive" && !isTemplate(unit.name);
}

function short(id: MachineId): string {
  return `${id.slice(0, 8)}...`;
}
