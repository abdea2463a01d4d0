/**
 * The units on one machine, and the decision which of them may stay.
 *
 * @module
 */

import type { Machine, MachineId, Unit, UnitName } from "../../registry/model.ts";
import { capacityRefusals, type Demand, demandOf, reservationOf, withUnit } from "../policy/capacity.ts";
import { globalsAmong, versionOn } from "../policy/globals.ts";
import { conflict, findRefusals, isFeasibleAlone, type Refusal, replaces } from "../policy/feasibility.ts";
import { precedence } from "../policy/precedence.ts";

/** The units on one machine. Immutable: a unit that is added or removed makes a new object. */
export class MachineUnits {
  /** Jobs and globals. */
  readonly residents: readonly Unit[];
  #demand: Demand | undefined;
  #hasReplaced: boolean | undefined;

  /** `globals`: those that run beside the jobs. `demand`: that of all units, if it is known. */
  constructor(
    readonly machine: Machine,
    readonly jobs: readonly Unit[],
    readonly globals: readonly Unit[],
    demand?: Demand,
  ) {
    this.residents = globals.length === 0 ? jobs : [...jobs, ...globals];
    this.#demand = demand;
  }

  /** The sum of what the residents need. Computed when first read: most plans place no unit with a reservation. */
  get demand(): Demand {
    return this.#demand ??= demandOf(this.residents);
  }

  /** True if a job on the machine is replaced by another job there. Computed when first read. */
  get hasReplaced(): boolean {
    return this.#hasReplaced ??= this.jobs.some((unit) =>
      unit.requirements.replaces.length > 0 && this.jobs.some((other) => replaces(unit, other))
    );
  }

  /** Returns the units with one more job. The globals stay. */
  withJob(unit: Unit): MachineUnits {
    const demand = this.#demand && withUnit(this.#demand, unit);
    return new MachineUnits(this.machine, [...this.jobs, unit], this.globals, demand);
  }
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
 * but a job whose file has changed makes way for a global that was launched before it. A job whose new file reserves more
 * than is left has to go. A job that cannot be read stays, and evicts no other job; nor does a global that cannot be read. On a machine whose record cannot be read all stay.
 */
export function evict(found: Occupancy): Eviction {
  const { machine, jobs } = found;
  const globals = found.globals.map((unit) => versionOn(unit, machine.id));
  const occupancy = { ...found, globals };
  if (machine.unreadable !== undefined) {
    return { units: new MachineUnits(machine, jobs, globalsAmong(machine, jobs, globals)), evicted: new Map() };
  }
  const out = new Set<UnitName>();
  let kept = compatibleJobs(occupancy, out);
  const outgrown = new Map<UnitName, readonly Refusal[]>();
  for (;;) {
    const tooLarge = nextOutgrown(occupancy, kept);
    if (tooLarge) outgrown.set(tooLarge.unit.name, tooLarge.refusals);
    const loser = tooLarge?.unit ?? nextEvicted(occupancy, kept);
    if (!loser) break;
    out.add(loser.name);
    kept = compatibleJobs(occupancy, out);
  }
  const units = new MachineUnits(machine, kept, globalsAmong(machine, kept, globals));
  const evicted = new Map<UnitName, readonly Refusal[]>();
  if (kept.length === jobs.length) return { units, evicted };
  const staying = new Set(kept);
  for (const unit of jobs) {
    if (staying.has(unit)) continue;
    const refusals = findRefusals(unit, machine, units.residents, "resident");
    evicted.set(unit.name, refusals.length > 0 ? refusals : outgrown.get(unit.name) ?? []);
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

/**
 * The first job whose new file reserves more than is left beside the other jobs, and beside the globals that were launched
 * before it. A job whose file has not changed stays, even on a machine that has become smaller.
 */
function nextOutgrown(
  { machine, changed, globals }: Occupancy,
  kept: readonly Unit[],
): { readonly unit: Unit; readonly refusals: readonly Refusal[] } | undefined {
  if (changed.size === 0) return undefined;
  const renewed = kept.filter((unit) => changed.has(unit.name) && unit.requirements.reservation !== undefined)
    .filter((unit) => unit.unreadable === undefined)
    .sort(precedence);
  const others = kept.filter((unit) => !renewed.includes(unit));
  for (const unit of renewed) {
    const before = globals.filter((other) => other.unreadable === undefined && precedence(other, unit) < 0);
    const reserved = reservationOf([...others, ...globalsAmong(machine, others, before)]);
    const refusals = [...capacityRefusals(unit.requirements.reservation!, machine, reserved)];
    if (refusals.length > 0) return { unit, refusals };
    others.push(unit);
  }
  return undefined;
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
