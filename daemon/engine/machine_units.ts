/**
 * The units on one machine, and the decision which of them may stay.
 *
 * @module
 */

import type { Machine, MachineId, Unit, UnitName } from "../../registry/model.ts";
import { globalsAmong } from "../policy/globals.ts";
import { conflict, findRefusals, isFeasibleAlone, type Refusal, replaces } from "../policy/feasibility.ts";
import { precedence } from "../policy/precedence.ts";

/** The units on one machine. Immutable: a unit that is added or removed makes a new object. */
export interface MachineUnits {
  readonly machine: Machine;
  readonly jobs: readonly Unit[];
  /** The globals that run beside the jobs. */
  readonly globals: readonly Unit[];
  /** Jobs and globals. */
  readonly residents: readonly Unit[];
}

/** Makes the units of a machine from its jobs and globals. */
export function machineUnits(machine: Machine, jobs: readonly Unit[], globals: readonly Unit[]): MachineUnits {
  return { machine, jobs, globals, residents: globals.length === 0 ? jobs : [...jobs, ...globals] };
}

/** The units that stay on a machine, and the jobs that may not, with every reason. */
export interface Eviction {
  readonly units: MachineUnits;
  readonly evicted: ReadonlyMap<UnitName, readonly Refusal[]>;
}

/** The input of {@link evict}. */
interface Occupancy {
  readonly machine: Machine;
  /** In order of precedence. */
  readonly jobs: readonly Unit[];
  /** Jobs with a file that the machine's assignments do not name yet. */
  readonly changed: ReadonlySet<UnitName>;
  /** Every active global, in order of precedence. */
  readonly globals: readonly Unit[];
}

/**
 * Decides which of the jobs that are placed on a machine may stay. In a conflict the job launched first stays, together
 * with the peers that it requires, whenever those were launched. A global makes way for a job that was placed beside it;
 * but a job whose file has changed makes way for a global that was launched before it. A job that cannot be read stays,
 * and evicts no other job; nor does a global that cannot be read. On a machine whose record cannot be read all stay.
 */
export function evict(occupancy: Occupancy): Eviction {
  const { machine, jobs, globals } = occupancy;
  if (machine.unreadable !== undefined) {
    return { units: machineUnits(machine, jobs, globalsAmong(machine, jobs, globals)), evicted: new Map() };
  }
  const out = new Set<UnitName>();
  let kept = compatibleJobs(occupancy, out);
  for (let loser = nextEvicted(occupancy, kept); loser; loser = nextEvicted(occupancy, kept)) {
    out.add(loser.name);
    kept = compatibleJobs(occupancy, out);
  }
  const units = machineUnits(machine, kept, globalsAmong(machine, kept, globals));
  const evicted = new Map<UnitName, readonly Refusal[]>();
  if (kept.length === jobs.length) return { units, evicted };
  const staying = new Set(kept);
  for (const unit of jobs) {
    if (!staying.has(unit)) evicted.set(unit.name, findRefusals(unit, machine, units.residents, "resident"));
  }
  return { units, evicted };
}

/** The jobs that may stay together. Jobs in `out` are evicted already. */
function compatibleJobs({ machine, jobs, globals }: Occupancy, out: ReadonlySet<UnitName>): Unit[] {
  const able = new Map<UnitName, Unit>();
  for (const unit of jobs) if (!out.has(unit.name) && isFeasibleAlone(unit, machine)) able.set(unit.name, unit);
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
 * Units that do not conflict with each other. Most units have no Conflicts= at all: a new unit without any is compared
 * only with the units that have some.
 */
class ConflictIndex {
  readonly #all: Unit[] = [];
  readonly #withConflicts: Unit[] = [];

  add(unit: Unit): void {
    this.#all.push(unit);
    if (unit.requirements.conflicts.length > 0) this.#withConflicts.push(unit);
  }

  /** True if a unit conflicts with any unit that was added. */
  conflictsWith(unit: Unit): boolean {
    const candidates = unit.requirements.conflicts.length > 0 ? this.#all : this.#withConflicts;
    return candidates.some((other) => conflict(unit, other));
  }
}

/**
 * A unit with all peers that must share its machine and are not `kept` already; undefined if one of those is not on the
 * machine.
 */
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

/** The first job that cannot stay because of the globals on the machine, or because a global that it follows is not there. */
function nextEvicted({ machine, changed, globals }: Occupancy, kept: readonly Unit[]): Unit | undefined {
  if (globals.length === 0) return undefined;
  const ordered = kept.filter((unit) => unit.unreadable === undefined).sort(precedence);
  for (const unit of ordered) {
    if (!changed.has(unit.name)) continue;
    const before = globals.filter((other) => other.unreadable === undefined && precedence(other, unit) < 0);
    if (!before.some((other) => conflict(unit, other))) continue;
    const others = kept.filter((other) => !changed.has(other.name) || precedence(other, unit) < 0);
    if (globalsAmong(machine, others, before).some((other) => conflict(unit, other))) return unit;
  }
  const followers = ordered.filter((unit) => unit.requirements.machineOf.length > 0);
  if (followers.length === 0) return undefined;
  const here = new Set([...kept, ...globalsAmong(machine, kept, globals)].map((unit) => unit.name));
  return followers.find((unit) => !unit.requirements.machineOf.every((peer) => here.has(peer)));
}

/** True if a job on the machine is replaced by another job there. */
export function hasReplaced(units: MachineUnits): boolean {
  return replacedIn.getOrInsertComputed(units, ({ jobs }) => {
    const replacers = jobs.filter((unit) => unit.requirements.replaces.length > 0);
    return replacers.some((unit) => jobs.some((other) => replaces(unit, other)));
  });
}

const replacedIn = new WeakMap<MachineUnits, boolean>();

/** Caches the latest eviction of each machine: one on which nothing has changed costs a comparison. */
export class EvictionCache {
  readonly #known = new Map<MachineId, { readonly occupancy: Occupancy; readonly eviction: Eviction }>();

  /** Returns the eviction of a machine. `jobs`: in any order, which must be the same while nothing has changed. */
  of(occupancy: Occupancy): Eviction {
    const { machine, jobs, changed, globals } = occupancy;
    const known = this.#known.get(machine.id);
    if (
      known && known.occupancy.machine === machine && known.occupancy.globals === globals && changed.size === 0 &&
      sameUnits(known.occupancy.jobs, jobs)
    ) return known.eviction;
    const eviction = evict({ ...occupancy, jobs: [...jobs].sort(precedence) });
    if (changed.size === 0) this.#known.set(machine.id, { occupancy, eviction });
    else this.#known.delete(machine.id);
    return eviction;
  }

  /** Drops machines that are gone. */
  keepOnly(machines: ReadonlyMap<MachineId, Machine>): void {
    for (const id of this.#known.keys()) if (!machines.has(id)) this.#known.delete(id);
  }
}

/** True if two lists hold the same units in the same order. */
export function sameUnits(some: readonly Unit[], others: readonly Unit[]): boolean {
  return some === others || some.length === others.length && some.every((unit, index) => unit === others[index]);
}
