/**
 * Who is on one machine, and who of them may stay.
 *
 * @module
 */

import type { Machine, MachineId, Unit, UnitName } from "../../registry/model.ts";
import { globalsAmong } from "../policy/globals.ts";
import { conflict, isHostable, placement, precedence, replaces, type Verdict } from "../policy/feasibility.ts";

/** Who is on one machine. Never changed: whoever comes or goes makes another. */
export interface MachineUnits {
  readonly host: Machine;
  readonly jobs: readonly Unit[];
  /** The globals that run beside the jobs. */
  readonly globals: readonly Unit[];
  /** Jobs and globals. */
  readonly residents: readonly Unit[];
}

/** Makes a seating. */
export function machineUnits(host: Machine, jobs: readonly Unit[], globals: readonly Unit[]): MachineUnits {
  return { host, jobs, globals, residents: globals.length === 0 ? jobs : [...jobs, ...globals] };
}

/** Who stays on a machine, and which jobs may not, with every reason. */
export interface Eviction {
  readonly units: MachineUnits;
  readonly evicted: ReadonlyMap<UnitName, Verdict>;
}

/** What {@link evict} looks at. */
interface Occupancy {
  readonly host: Machine;
  /** In order of precedence. */
  readonly jobs: readonly Unit[];
  /** Jobs with a file that the machine has not been told of yet. */
  readonly changed: ReadonlySet<UnitName>;
  /** Every global that takes part, in order of precedence. */
  readonly globals: readonly Unit[];
}

/**
 * Who may stay of the jobs that are placed on a machine. In a conflict the one launched first stays, and with it the
 * peers it cannot do without, whenever those were launched. A global makes way for a job that was placed beside it; but a
 * job whose file has changed makes way for a global that was launched before it. A job that cannot be read stays, and nobody
 * has to leave because of it, nor because of a global that cannot be read; on a machine that cannot be read all stay.
 */
export function evict(occupancy: Occupancy): Eviction {
  const { host, jobs, globals } = occupancy;
  if (host.unreadable !== undefined) {
    return { units: machineUnits(host, jobs, globalsAmong(host, jobs, globals)), evicted: new Map() };
  }
  const out = new Set<UnitName>();
  let kept = compatibleJobs(occupancy, out);
  for (let loser = nextEvicted(occupancy, kept); loser; loser = nextEvicted(occupancy, kept)) {
    out.add(loser.name);
    kept = compatibleJobs(occupancy, out);
  }
  const units = machineUnits(host, kept, globalsAmong(host, kept, globals));
  const evicted = new Map<UnitName, Verdict>();
  if (kept.length === jobs.length) return { units, evicted };
  const staying = new Set(kept);
  for (const unit of jobs) {
    if (!staying.has(unit)) evicted.set(unit.name, placement(unit, host, units.residents, "resident"));
  }
  return { units, evicted };
}

/** The jobs that may stay together; those `out` may not. */
function compatibleJobs({ host, jobs, globals }: Occupancy, out: ReadonlySet<UnitName>): Unit[] {
  const able = new Map<UnitName, Unit>();
  for (const unit of jobs) if (!out.has(unit.name) && isHostable(unit, host)) able.set(unit.name, unit);
  const unreadable = jobs.filter((unit) => unit.unreadable !== undefined);
  for (const unit of unreadable) able.set(unit.name, unit);
  const kept = new Set(unreadable);
  const readable = new ConflictIndex();
  for (const unit of able.values()) {
    if (kept.has(unit)) continue;
    const group = withPeers(unit, able, globals, kept);
    if (!group) continue;
    if (group.some((member) => readable.conflictsWith(member) || group.some((other) => conflict(member, other)))) {
      continue;
    }
    for (const member of group) {
      kept.add(member);
      readable.add(member);
    }
  }
  return [...kept];
}

/**
 * Units that do not conflict with each other, so far. Most units have no Conflicts= at all: a newcomer without any is
 * compared only with the units that have some.
 */
class ConflictIndex {
  readonly #all: Unit[] = [];
  readonly #withConflicts: Unit[] = [];

  add(unit: Unit): void {
    this.#all.push(unit);
    if (unit.requirements.conflicts.length > 0) this.#withConflicts.push(unit);
  }

  /** Whether a unit conflicts with any of those that were added. */
  conflictsWith(unit: Unit): boolean {
    const candidates = unit.requirements.conflicts.length > 0 ? this.#all : this.#withConflicts;
    return candidates.some((other) => conflict(unit, other));
  }
}

/** A unit and all that must be where it is and is not `kept` already; undefined if one of those is not here. */
function withPeers(
  unit: Unit,
  able: ReadonlyMap<UnitName, Unit>,
  globals: readonly Unit[],
  kept: ReadonlySet<Unit>,
): readonly Unit[] | undefined {
  const group = new Set([unit]);
  for (const member of group) {
    for (const name of member.requirements.machineOf) {
      const peer = able.get(name);
      if (peer && kept.has(peer)) continue;
      if (peer) group.add(peer);
      else if (name !== member.name && !globals.some((other) => other.name === name)) return undefined;
    }
  }
  return [...group];
}

/** The first of the jobs that cannot stay because of the globals here, or because a global is not here. */
function nextEvicted({ host, changed, globals }: Occupancy, kept: readonly Unit[]): Unit | undefined {
  if (globals.length === 0) return undefined;
  const ordered = kept.filter((unit) => unit.unreadable === undefined).sort(precedence);
  for (const unit of ordered) {
    if (!changed.has(unit.name)) continue;
    const before = globals.filter((other) => other.unreadable === undefined && precedence(other, unit) < 0);
    if (!before.some((other) => conflict(unit, other))) continue;
    const others = kept.filter((other) => !changed.has(other.name) || precedence(other, unit) < 0);
    if (globalsAmong(host, others, before).some((other) => conflict(unit, other))) return unit;
  }
  const followers = ordered.filter((unit) => unit.requirements.machineOf.length > 0);
  if (followers.length === 0) return undefined;
  const here = new Set([...kept, ...globalsAmong(host, kept, globals)].map((unit) => unit.name));
  return followers.find((unit) => !unit.requirements.machineOf.every((peer) => here.has(peer)));
}

/** Whether somebody on the machine is replaced by somebody else there. */
export function hasReplaced(units: MachineUnits): boolean {
  let answer = replacedIn.get(units);
  if (answer === undefined) {
    const { jobs } = units;
    const replacers = jobs.filter((unit) => unit.requirements.replaces.length > 0);
    answer = replacers.some((unit) => jobs.some((other) => replaces(unit, other)));
    replacedIn.set(units, answer);
  }
  return answer;
}

const replacedIn = new WeakMap<MachineUnits, boolean>();

/** Settles machines, and remembers the latest settlement of each: one on which nothing has changed costs a comparison. */
export class EvictionCache {
  readonly #known = new Map<MachineId, { readonly occupancy: Occupancy; readonly settlement: Eviction }>();

  /** `jobs` in any order, which must be the same while nothing has changed. */
  of(occupancy: Occupancy): Eviction {
    const { host, jobs, changed, globals } = occupancy;
    const known = this.#known.get(host.id);
    if (
      known && known.occupancy.host === host && known.occupancy.globals === globals && changed.size === 0 &&
      sameUnits(known.occupancy.jobs, jobs)
    ) return known.settlement;
    const settlement = evict({ ...occupancy, jobs: [...jobs].sort(precedence) });
    if (changed.size === 0) this.#known.set(host.id, { occupancy, settlement });
    else this.#known.delete(host.id);
    return settlement;
  }

  /** Forgets machines that are gone. */
  keepOnly(machines: ReadonlyMap<MachineId, Machine>): void {
    for (const id of this.#known.keys()) if (!machines.has(id)) this.#known.delete(id);
  }
}

/** Whether two lists hold the same units in the same order. */
export function sameUnits(some: readonly Unit[], others: readonly Unit[]): boolean {
  return some === others || some.length === others.length && some.every((unit, index) => unit === others[index]);
}
