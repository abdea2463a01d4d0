/**
 * The scheduler: decides which machine runs each unit, and why a unit has none. It uses no clock, network or randomness:
 * the same cluster gives the same plan.
 *
 * Jobs are never moved for balance: a job that may stay stays. docs/internals/scheduling.md has the rules.
 *
 * @module
 */

import type { Cluster, MachineId, Target, Unit, UnitName } from "../../registry/model.ts";
import type { Placement } from "../../registry/mod.ts";
import type { FailedOn } from "../../registry/failed_on.ts";
import { failingUnits, moveAfterText } from "../policy/failing.ts";
import { globalsAmong } from "../policy/globals.ts";
import { precedence } from "../policy/precedence.ts";
import { TrialState } from "./trial_state.ts";
import { type Choice, choose, UnplacedGroups } from "./groups.ts";
import { ScheduleCache } from "./schedule_cache.ts";
import type { Plan, ScheduleOptions, UnplacedReason } from "./plan.ts";
import { moveFailing } from "./failure_moves.ts";
import { moveReplaced } from "./replacements.ts";
import { type Candidate, type Classification, classifyUnits, short } from "./classify.ts";
import { MachineUnits } from "./machine_units.ts";

export type { Plan, ScheduleOptions, UnplacedReason } from "./plan.ts";

/** The machine for a job, and the reason. */
interface Decision {
  readonly candidate: Candidate;
  readonly machine: MachineId;
  /** Made when it is read: most plans are not carried out. */
  readonly why: string;
  readonly failedOn?: FailedOn;
}

/** Plans all placements for a cluster. `cache` holds results for earlier views of it. */
export function schedule(
  cluster: Cluster,
  options: ScheduleOptions = { absentAreGone: true },
  cache: ScheduleCache = new ScheduleCache(),
): Plan {
  const known = cache.recall(cluster, options);
  if (known) return known;
  const classification = classifyUnits(cluster, options);
  const globals = cache.globals(classification.globals);
  const { staying, evicted } = evictFromMachines(cluster, classification, globals, cache);
  addSuccessors(cluster, staying, globals);
  const changed = cache.changedMachines(staying);
  const trial = new TrialState(staying, globals, (job) => cluster.targets.get(job)?.machine);
  const candidates = new Map<UnitName, Candidate>();
  const sorted = [...classification.unplaced, ...evicted].sort((a, b) => precedence(a.unit, b.unit));
  for (const candidate of sorted) candidates.set(candidate.unit.name, candidate);
  const decisions = new Map<UnitName, Decision>();
  const search: Search = { trial, candidates, decisions, cache, changed };
  do while (placeCandidates(search)); while (applyReplacements(cluster, search) || applyFailures(cluster, search));
  const unplaced = new Map<UnitName, UnplacedReason>();
  for (const candidate of candidates.values()) {
    unplaced.set(candidate.unit.name, refusedEverywhere(candidate, trial));
  }
  for (const { unit, because } of classification.awaitingMachine) {
    unplaced.set(unit.name, { summary: `${because}; ${waitText(cluster)}`, refusals: new Map() });
  }
  const plan = { placements: placementsOf(cluster, classification, evicted, decisions), unplaced };
  cache.keep(cluster, options, plan, trial.machines, [...candidates.values()].map(({ unit }) => unit));
  return plan;
}

/** Says for what the engine waits before it moves the units of an absent machine. */
function waitText({ massLoss, machines }: Cluster): string {
  if (!massLoss) return "the engine waits for it to come back";
  const missing = massLoss.machines.filter((id) => !machines.has(id)).length;
  return `${missing} of ${
    missing + machines.size
  } machines were lost at once, so that the engine waits for them until ` +
    `${new Date(massLoss.until_ms).toISOString()}, or until fleetctl accept-loss`;
}

/** Decides for every machine which units stay, and collects those that may not. */
function evictFromMachines(
  { machines, targets }: Cluster,
  { placed, changed }: Classification,
  globals: readonly Unit[],
  cache: ScheduleCache,
): { staying: Map<MachineId, MachineUnits>; evicted: Candidate[] } {
  const staying = new Map<MachineId, MachineUnits>();
  const evicted: Candidate[] = [];
  for (const machine of machines.values()) {
    const jobs = placed.get(machine.id) ?? noUnits;
    const eviction = cache.evictions.of({ machine, jobs, changed: changed.get(machine.id) ?? unchanged, globals });
    staying.set(machine.id, eviction.units);
    if (eviction.evicted.size === 0) continue;
    for (const unit of jobs) {
      const refusals = eviction.evicted.get(unit.name);
      if (!refusals) continue;
      const reasons = refusals.map((refusal) => refusal.reason).join("; ");
      const because = `machine ${short(machine.id)} is unable to run it: ${reasons}`;
      evicted.push({ unit, from: targets.get(unit.name)!, because });
    }
  }
  return { staying, evicted };
}

/** Adds the second copies of units that stay, and are about to move, to the machines where they run. */
function addSuccessors(cluster: Cluster, staying: Map<MachineId, MachineUnits>, globals: readonly Unit[]): void {
  for (const { unit: name, machine } of cluster.successors?.values() ?? []) {
    const target = cluster.targets.get(name);
    const unit = cluster.units.get(name);
    const there = staying.get(machine);
    if (!unit || !there || target?.successor !== machine) continue;
    if (!staying.get(target.machine)?.jobs.includes(unit)) continue;
    const jobs = [...there.jobs, unit];
    staying.set(machine, new MachineUnits(there.machine, jobs, globalsAmong(there.machine, jobs, globals)));
  }
}

const noUnits: readonly Unit[] = [];
const unchanged: ReadonlySet<UnitName> = new Set();

/** The state of the search for machines. */
interface Search {
  readonly trial: TrialState;
  /** Units without a machine, in order of precedence. */
  readonly candidates: Map<UnitName, Candidate>;
  readonly decisions: Map<UnitName, Decision>;
  readonly cache: ScheduleCache;
  /** See {@link ScheduleCache.changedMachines}. */
  changed: ReadonlySet<MachineId>;
}

/**
 * Places all candidates that a machine takes, and removes them from `candidates`. Returns true if a candidate is left that a
 * machine may take now: an instance that was placed makes room for others elsewhere, if they are spread evenly.
 */
function placeCandidates(search: Search): boolean {
  const { candidates } = search;
  const unplacedGroups = new UnplacedGroups([...candidates.values()].map(({ unit }) => unit));
  const refused = new Set<Unit>();
  let wasSpread = false;
  // Machines only gain units during the pass, so a refused unit stays refused, unless its spread is hard.
  for (const { unit } of [...candidates.values()]) {
    if (!unplacedGroups.has(unit)) continue;
    const needed = unplacedGroups.needed(unit);
    // A unit that needs a refused unit is refused as well. Of the units tied to it, as many as possible go along.
    const choice = needed.some((peer) => refused.has(peer))
      ? undefined
      : choose(search.trial, machinesFor(search, needed), needed, unplacedGroups.tied(unit));
    if (!choice) {
      refused.add(unit);
      continue;
    }
    unplacedGroups.remove(choice.members);
    commitChoice(search, choice);
    wasSpread ||= choice.members.some(hasHardSpread);
  }
  return wasSpread && [...refused].some(hasHardSpread);
}

function hasHardSpread({ requirements: { spread } }: Unit): boolean {
  return spread?.hard === true;
}

/** The machines to try for a group: those where its members were before, then the least loaded first. */
function machinesFor({ trial, candidates, cache, changed }: Search, group: readonly Unit[]): Iterable<MachineId> {
  let among: ReadonlySet<MachineId> | undefined;
  const only = (ids: ReadonlySet<MachineId>) => {
    among = among ? among.intersection(ids) : ids;
  };
  const names = new Set(group.map((unit) => unit.name));
  const previous: MachineId[] = [];
  for (const unit of group) {
    const { machineId, machineOf, machineMetadata } = unit.requirements;
    if (machineId !== undefined) only(new Set(trial.named(machineId)));
    if (machineMetadata.size > 0) only(trial.withMetadata(machineMetadata));
    for (const peer of machineOf) {
      if (names.has(peer) || trial.isGlobal(peer)) continue;
      const machine = trial.currentMachine(peer);
      only(new Set(machine === undefined ? [] : [machine]));
    }
    if (cache.wasRefused(unit)) only(changed);
    const { from, runsOn, successor, leavesFor } = candidates.get(unit.name)!;
    for (const id of [runsOn, successor]) if (id !== undefined && trial.machines.has(id)) previous.unshift(id);
    if (leavesFor) only(new Set(trial.machines.keys().filter((id) => id !== from?.machine && leavesFor(id))));
    else if (from !== undefined && trial.machines.has(from.machine)) previous.push(from.machine);
  }
  const order = trial.ranked(among, group);
  return previous.length === 0 ? order : concatenated(previous.filter((id) => !among || among.has(id)), order);
}

function* concatenated(...lists: readonly Iterable<MachineId>[]): Generator<MachineId> {
  for (const list of lists) yield* list;
}

/** Places a group on the machine that was chosen for it. */
function commitChoice({ trial, candidates, decisions }: Search, { machine, members }: Choice): void {
  for (const unit of members) {
    const candidate = candidates.get(unit.name)!;
    const rank = trial.rankText(unit, machine);
    decisions.set(unit.name, {
      candidate,
      machine,
      get why() {
        const { because, runsOn, successor } = candidate;
        if (runsOn === machine) return because;
        if (successor === machine) return `${because}; a second copy of it runs there already`;
        return because === "" ? rank() : `${because}; ${rank()}`;
      },
    });
    candidates.delete(unit.name);
    trial.place(unit, machine);
  }
}

/** Moves replaced units for which there is another machine. Returns true if any was moved. */
function applyReplacements({ targets }: Cluster, search: Search): boolean {
  const { trial, decisions } = search;
  const moves = moveReplaced(trial);
  for (const { unit, from, to, victim, replacer } of moves) {
    const prefix = unit === victim ? "" : `goes with ${victim.name}, which is `;
    const why = `${prefix}replaced by ${replacer.name} on machine ${short(from)}`;
    const target = targets.get(unit.name);
    const candidate = decisions.get(unit.name)?.candidate ?? { unit, ...(target && { from: target }), because: "" };
    decisions.set(unit.name, { candidate, machine: to, why });
  }
  noteLeft(search, moves);
  return moves.length > 0;
}

/** Moves units that keep failing, if there is another machine for them. Returns true if any was moved. */
function applyFailures(cluster: Cluster, search: Search): boolean {
  const { trial, decisions } = search;
  const failing = failingUnits(cluster);
  if (failing.size === 0) return false;
  const moves = moveFailing(trial, failing, new Set(decisions.keys()));
  for (const { unit, from, to, failing: { unit: cause, failedOn } } of moves) {
    const failed = `failed ${moveAfterText(cause.requirements.moveAfter!)} on machine ${short(from)}`;
    const why = unit === cause ? `it ${failed}` : `goes with ${cause.name}, which ${failed}`;
    const candidate = { unit, from: cluster.targets.get(unit.name)!, because: "" };
    decisions.set(unit.name, { candidate, machine: to, why, ...unit === cause && { failedOn } });
  }
  noteLeft(search, moves);
  return moves.length > 0;
}

/** Notes that units have left machines: those may take units that they refused before. */
function noteLeft(search: Search, moves: readonly { readonly from: MachineId }[]): void {
  if (moves.length > 0) search.changed = search.changed.union(new Set(moves.map(({ from }) => from)));
}

/** Returns the reason of a unit that no machine takes. The refusals are computed when first read. */
function refusedEverywhere({ unit, because }: Candidate, trial: TrialState): UnplacedReason {
  const { size } = trial.machines;
  const none = size === 0
    ? "there are no machines"
    : size === 1
    ? "the only machine will not take it"
    : `none of ${size} machines will take it`;
  let refusals: UnplacedReason["refusals"] | undefined;
  return {
    summary: because === "" ? none : `${because}; ${none}`,
    get refusals() {
      return refusals ??= new Map([...trial.machines.keys()].sort().map((id) => [id, trial.refusals(unit, id)]));
    },
  };
}

const keptReason = "the unit stays on its machine; the reason why it was placed there cannot be read";

/** All changes, in order: units that lose their machine, new assignments, moves, new placements, unused files. */
function placementsOf(
  cluster: Cluster,
  { leftovers, stale }: Classification,
  evicted: readonly Candidate[],
  decisions: ReadonlyMap<UnitName, Decision>,
): Placement[] {
  const placements: Placement[] = [];
  for (const from of leftovers) {
    const why = cluster.units.has(from.unit)
      ? "it is inactive, a template or global, so that the engine finds no machine for it"
      : "it was destroyed";
    placements.push({ kind: "unplace", unit: from.unit, from, why });
  }
  const gone = new Set<UnitName>();
  for (const { unit, from, because } of [...evicted].sort((a, b) => precedence(a.unit, b.unit))) {
    if (decisions.has(unit.name)) continue;
    gone.add(unit.name);
    placements.push({ kind: "unplace", unit: unit.name, from: from!, why: because });
  }
  const reassign = (unit: Unit, from: Target) =>
    placements.push({
      kind: "place",
      unit,
      machine: from.machine,
      from,
      why: from.unreadable === undefined ? from.why : keptReason,
      ...from.failedOn && { failedOn: from.failedOn },
    });
  const staleNames = new Set(stale.map((unit) => unit.name));
  for (const unit of stale) {
    if (!gone.has(unit.name) && !decisions.has(unit.name)) reassign(unit, cluster.targets.get(unit.name)!);
  }
  const arrivals: Placement[] = [];
  for (const decision of decisions.values()) {
    const { candidate: { unit, from }, machine, failedOn = from?.failedOn } = decision;
    if (from?.machine === machine) {
      if (staleNames.has(unit.name)) reassign(unit, from);
      continue;
    }
    const leaves = from && cluster.machines.has(from.machine);
    (leaves ? placements : arrivals).push({
      kind: "place",
      unit,
      machine,
      ...(from && { from }),
      get why() {
        return decision.why;
      },
      ...failedOn && { failedOn },
    });
  }
  return [...placements, ...arrivals, ...unusedFiles(cluster)];
}

/**
 * Files that no unit has or has had, and no assignment, roll-out or version of an app refers to. A record that cannot be read
 * may refer to any file.
 */
function unusedFiles({ units, assignments, files, apps, rollouts }: Cluster): Placement[] {
  if (files.size === 0) return [];
  const records = [units, assignments, ...apps ? [apps] : [], ...rollouts ? [rollouts] : []];
  for (const map of records) {
    for (const record of map.values()) if (record.unreadable !== undefined) return [];
  }
  // Written as plain loops: a large cluster has some ten thousand units with ten versions each.
  const used = new Set<string>();
  for (const { hash } of assignments.values()) used.add(hash);
  for (const { hash, next, versions = [] } of units.values()) {
    used.add(hash);
    if (next) used.add(next.hash);
    for (const version of versions) used.add(version.hash);
  }
  const deltas = [
    ...[...rollouts?.values() ?? []].flatMap(({ steps }) => steps),
    ...[...apps?.values() ?? []].flatMap(({ versions }) => versions.flatMap(({ units }) => units)),
  ];
  for (const { before, after } of deltas) for (const spec of [before, after]) if (spec) used.add(spec.hash);
  const unused = [];
  for (const file of files.values()) if (!used.has(file.hash)) unused.push(file);
  return unused.sort((a, b) => a.hash < b.hash ? -1 : 1)
    .map((file) => ({ kind: "forget", hash: file.hash, revision: file.revision }));
}
