/**
 * Decides who runs where, and why not. No clock, no network, no randomness: the same cluster gives the same plan.
 *
 * Jobs are never moved for balance: what may stay, stays. docs/internals/scheduling.md tells the rules.
 *
 * @module
 */

import type { Cluster, MachineId, Target, Unit, UnitName } from "../../registry/model.ts";
import type { Placement } from "../../registry/mod.ts";
import { precedence, type Refusal } from "../policy/feasibility.ts";
import { TrialState } from "./trial_state.ts";
import { type Choice, choose, UnplacedGroups } from "./groups.ts";
import { ScheduleCache } from "./schedule_cache.ts";
import type { Plan, ScheduleOptions, Waiting } from "./plan.ts";
import { moveReplaced } from "./replacements.ts";
import { type Candidate, type Classification, classifyUnits, short } from "./classify.ts";
import type { MachineUnits } from "./machine_units.ts";

export type { Plan, ScheduleOptions, Waiting } from "./plan.ts";

/** Where a job goes, and why. */
interface Decision {
  readonly candidate: Candidate;
  readonly machine: MachineId;
  readonly why: string;
}

/** Decides every placement for a cluster. `memo` saves what was worked out for earlier views of it. */
export function schedule(
  cluster: Cluster,
  options: ScheduleOptions = { absentAreGone: true },
  cache: ScheduleCache = new ScheduleCache(),
): Plan {
  const known = cache.recall(cluster, options);
  if (known) return known;
  const classification = classifyUnits(cluster, options);
  const globals = cache.globals(classification.globals);
  const { seats, evicted } = settleMachines(cluster, classification, globals, cache);
  const fresh = cache.fresh(seats);
  const trial = new TrialState(seats, globals, (job) => cluster.targets.get(job)?.machine);
  const candidates = new Map<UnitName, Candidate>();
  const sorted = [...classification.unplaced, ...evicted].sort((a, b) => precedence(a.unit, b.unit));
  for (const candidate of sorted) candidates.set(candidate.unit.name, candidate);
  const decisions = new Map<UnitName, Decision>();
  const search = { trial, candidates, decisions, cache, fresh };
  do placeCandidates(search); while (moveAside(cluster, search));
  const waiting = new Map<UnitName, Waiting>();
  for (const candidate of candidates.values()) waiting.set(candidate.unit.name, new Refused(candidate, trial));
  for (const { unit, because } of classification.late) {
    waiting.set(unit.name, { summary: `${because}; it is given time to come back`, refusals: new Map() });
  }
  const plan = { placements: placementsOf(cluster, classification, evicted, decisions), waiting };
  cache.keep(cluster, options, plan, trial.machines, [...candidates.values()].map(({ unit }) => unit));
  return plan;
}

/** Settles every machine, and collects those who may not stay. */
function settleMachines(
  { machines, targets }: Cluster,
  { here, changed }: Classification,
  globals: readonly Unit[],
  cache: ScheduleCache,
): { seats: Map<MachineId, MachineUnits>; evicted: Candidate[] } {
  const seats = new Map<MachineId, MachineUnits>();
  const evicted: Candidate[] = [];
  for (const host of machines.values()) {
    const jobs = here.get(host.id) ?? noUnits;
    const settlement = cache.settlements.of({ host, jobs, changed: changed.get(host.id) ?? unchanged, globals });
    seats.set(host.id, settlement.units);
    if (settlement.evicted.size === 0) continue;
    for (const unit of jobs) {
      const verdict = settlement.evicted.get(unit.name);
      if (!verdict) continue;
      const reasons = verdict.refusals.map((refusal) => refusal.reason).join("; ");
      const because = `machine ${short(host.id)} is unable to run it: ${reasons}`;
      evicted.push({ unit, from: targets.get(unit.name)!, because });
    }
  }
  return { seats, evicted };
}

const noUnits: readonly Unit[] = [];
const unchanged: ReadonlySet<UnitName> = new Set();

/** What the search for machines works on. */
interface Search {
  readonly trial: TrialState;
  /** Those without a machine, in order of precedence. */
  readonly candidates: Map<UnitName, Candidate>;
  readonly decisions: Map<UnitName, Decision>;
  readonly cache: ScheduleCache;
  /** See {@link ScheduleCache.fresh}. */
  readonly fresh: Set<MachineId>;
}

/** Places what can be placed, and takes it out of `candidates`. */
function placeCandidates(search: Search): void {
  const { candidates } = search;
  const unplacedGroups = new UnplacedGroups([...candidates.values()].map(({ unit }) => unit));
  const refused = new Set<Unit>();
  // One round is enough: who cannot be placed with all it needs cannot be placed behind those either.
  for (const { unit } of [...candidates.values()]) {
    if (!unplacedGroups.has(unit)) continue;
    const needed = unplacedGroups.needed(unit);
    // Nor can who needs it, since a machine that has only got more units does not take it after all.
    const choice = needed.some((peer) => refused.has(peer))
      ? undefined
      : searchFor(search, unplacedGroups, unit, needed);
    if (!choice) {
      refused.add(unit);
      continue;
    }
    unplacedGroups.found(choice.members);
    commitChoice(search, choice);
  }
}

/** The machine for a unit with all it needs and as many as possible of those that are tied to it. */
function searchFor(
  search: Search,
  unplacedGroups: UnplacedGroups,
  unit: Unit,
  needed: readonly Unit[],
): Choice | undefined {
  return choose(search.trial, machinesFor(search, needed), needed, unplacedGroups.tied(unit));
}

/** So few machines are sorted out rather than all tried in the order of load. */
const maxSortedOut = 20;

/** Machines worth trying for a group: where its members were before, then the least loaded first. */
function machinesFor({ trial, candidates, cache, fresh }: Search, group: readonly Unit[]): Iterable<MachineId> {
  let among: ReadonlySet<MachineId> | undefined;
  const only = (ids: Iterable<MachineId>) => {
    const set = new Set(ids);
    among = among ? among.intersection(set) : set;
  };
  const names = new Set(group.map((unit) => unit.name));
  const homes: MachineId[] = [];
  for (const unit of group) {
    const { machineId, machineOf, machineMetadata } = unit.requirements;
    if (machineId !== undefined) only(trial.named(machineId));
    if (machineMetadata.size > 0) {
      const machines = trial.withMetadata(machineMetadata);
      // Of many one is soon found without sorting out the others.
      if (machines.size <= maxSortedOut) only(machines);
    }
    for (const peer of machineOf) {
      if (names.has(peer) || trial.isGlobal(peer)) continue;
      const home = trial.homeOf(peer);
      only(home === undefined ? [] : [home]);
    }
    if (cache.wasRefused(unit)) only(fresh);
    const home = candidates.get(unit.name)?.from?.machine;
    if (home !== undefined && trial.machines.has(home)) homes.push(home);
  }
  const order = trial.byLoad(among);
  return homes.length === 0 ? order : [...homes.filter((id) => !among || among.has(id)), ...order];
}

/** Puts a group where it was decided to go. */
function commitChoice({ trial, candidates, decisions }: Search, { machine, members }: Choice): void {
  for (const unit of members) {
    const candidate = candidates.get(unit.name)!;
    const load = trial.load(machine);
    const choice = `least loaded machine that will take it, with ${load} unit${load === 1 ? "" : "s"}`;
    const why = candidate.because === "" ? choice : `${candidate.because}; ${choice}`;
    decisions.set(unit.name, { candidate, machine, why });
    candidates.delete(unit.name);
    trial.place(unit, machine);
  }
}

/** Moves units that others replace, if a machine can be found for them. Whether any was moved. */
function moveAside({ targets }: Cluster, { trial, decisions, fresh }: Search): boolean {
  const moves = moveReplaced(trial);
  for (const { unit, from, to, victim, replacer } of moves) {
    const company = unit === victim ? "" : `goes with ${victim.name}, which is `;
    const why = `${company}replaced by ${replacer.name} on machine ${short(from)}`;
    const target = targets.get(unit.name);
    const candidate = decisions.get(unit.name)?.candidate ?? { unit, ...(target && { from: target }), because: "" };
    decisions.set(unit.name, { candidate, machine: to, why });
    fresh.add(from);
  }
  return moves.length > 0;
}

/** Why no machine takes a unit; the reasons are collected when somebody asks for them. */
class Refused implements Waiting {
  readonly summary: string;
  readonly #unit: Unit;
  readonly #trial: TrialState;
  #refusals: ReadonlyMap<MachineId, readonly Refusal[]> | undefined;

  constructor({ unit, because }: Candidate, trial: TrialState) {
    const { size } = trial.machines;
    const none = size === 0
      ? "there are no machines"
      : size === 1
      ? "the only machine will not take it"
      : `none of ${size} machines will take it`;
    this.summary = because === "" ? none : `${because}; ${none}`;
    this.#unit = unit;
    this.#trial = trial;
  }

  get refusals(): ReadonlyMap<MachineId, readonly Refusal[]> {
    return this.#refusals ??= new Map(
      [...this.#trial.machines.keys()].sort().map((id) => [id, this.#trial.verdict(this.#unit, id).refusals]),
    );
  }
}

const kept = "it was there already; why cannot be read any more";

/** Everything to be done: what goes away, what is told, what moves, what comes. */
function placementsOf(
  cluster: Cluster,
  { leftovers, stale }: Classification,
  evicted: readonly Candidate[],
  decisions: ReadonlyMap<UnitName, Decision>,
): Placement[] {
  const placements: Placement[] = [];
  for (const from of leftovers) {
    const why = cluster.units.has(from.unit)
      ? "it is not to be placed: inactive, a template or global"
      : "it was destroyed";
    placements.push({ kind: "unplace", unit: from.unit, from, why });
  }
  const gone = new Set<UnitName>();
  for (const { unit, from, because } of [...evicted].sort((a, b) => precedence(a.unit, b.unit))) {
    if (decisions.has(unit.name)) continue;
    gone.add(unit.name);
    placements.push({ kind: "unplace", unit: unit.name, from: from!, why: because });
  }
  const tell = (unit: Unit, from: Target) =>
    placements.push({
      kind: "place",
      unit,
      machine: from.machine,
      from,
      why: from.unreadable === undefined ? from.why : kept,
    });
  const staleNames = new Set(stale.map((unit) => unit.name));
  for (const unit of stale) {
    if (!gone.has(unit.name) && !decisions.has(unit.name)) tell(unit, cluster.targets.get(unit.name)!);
  }
  const arrivals: Placement[] = [];
  for (const { candidate: { unit, from }, machine, why } of decisions.values()) {
    if (from?.machine === machine) {
      if (staleNames.has(unit.name)) tell(unit, from);
      continue;
    }
    const leaves = from && cluster.machines.has(from.machine);
    (leaves ? placements : arrivals).push({ kind: "place", unit, machine, ...(from && { from }), why });
  }
  return [...placements, ...arrivals, ...forgotten(cluster)];
}

/** Texts that neither a unit nor an agent's orders refer to. What cannot be read may refer to any. */
function forgotten({ units, assignments, files }: Cluster): Placement[] {
  const used = new Set<string>();
  for (const record of [...units.values(), ...assignments.values()]) {
    if (record.unreadable !== undefined) return [];
    used.add(record.hash);
  }
  return [...files.values()].filter((file) => !used.has(file.hash))
    .sort((a, b) => a.hash < b.hash ? -1 : 1)
    .map((file) => ({ kind: "forget", hash: file.hash, revision: file.revision }));
}
