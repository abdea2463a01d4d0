/**
 * Groups of units that MachineOf ties together, and the choice of the machine that takes most of a group.
 *
 * @module
 */

import type { MachineId, Unit, UnitName } from "../../registry/model.ts";
import { topologicalSort } from "../../runtime/topological_sort.ts";
import { type Amounts, nothingNeeded, plus } from "../../registry/reservation.ts";
import { reservationOf } from "../policy/capacity.ts";
import { conflict } from "../policy/feasibility.ts";
import { precedence } from "../policy/precedence.ts";
import type { TrialState } from "./trial_state.ts";

/** Returns `units` and all units reached from them by `next`, in order of precedence. */
export function closure(units: Iterable<Unit>, next: (unit: Unit) => Iterable<Unit>): Unit[] {
  const found = new Set(units);
  for (const member of found) for (const other of next(member)) found.add(other);
  return [...found].sort(precedence);
}

/** Returns the units that name each unit in MachineOf. */
function followersOf(units: readonly Unit[]): ReadonlyMap<UnitName, readonly Unit[]> {
  const followers = new Map<UnitName, Unit[]>();
  for (const unit of units) {
    for (const peer of unit.requirements.machineOf) followers.getOrInsertComputed(peer, () => []).push(unit);
  }
  return followers;
}

/** Units that need a machine, with the MachineOf ties between them. */
export class UnplacedGroups {
  readonly #units: Map<UnitName, Unit>;
  readonly #followers: ReadonlyMap<UnitName, readonly Unit[]>;

  constructor(units: readonly Unit[]) {
    this.#units = new Map(units.map((unit) => [unit.name, unit]));
    this.#followers = followersOf(units);
  }

  has(unit: Unit): boolean {
    return this.#units.has(unit.name);
  }

  /** Removes units that have been given a machine. */
  remove(units: readonly Unit[]): void {
    for (const unit of units) this.#units.delete(unit.name);
  }

  /** Returns a unit with all units that it must share a machine with. */
  needed(unit: Unit): Unit[] {
    return unit.requirements.machineOf.length === 0 ? [unit] : closure([unit], (member) => this.#peers(member));
  }

  /** Returns all units that are tied to a unit, in either direction. */
  tied(unit: Unit): Unit[] {
    if (this.#followers.size === 0) return [unit];
    return closure([unit], (member) => [...this.#peers(member), ...this.#followersOf(member)]);
  }

  #peers(unit: Unit): Unit[] {
    return unit.requirements.machineOf.flatMap((peer) => this.#units.get(peer) ?? []);
  }

  #followersOf(unit: Unit): Unit[] {
    return (this.#followers.get(unit.name) ?? []).filter((other) => this.has(other));
  }
}

/** The machine that was chosen for a group, and the members that it takes. */
export interface Choice {
  readonly machine: MachineId;
  readonly members: readonly Unit[];
}

/** Returns the members in an order in which each follows the units that it names in MachineOf. Cycles are cut somewhere. */
export function peersFirst(members: readonly Unit[]): readonly Unit[] {
  const byName = new Map(members.map((unit) => [unit.name, unit]));
  return topologicalSort(
    members,
    (unit) => unit.requirements.machineOf.flatMap((name) => byName.get(name) ?? []).sort(precedence),
  );
}

/** Units that are tied to each other. A machine must take all `needed` ones, and may leave out the other `tied` ones. */
class Group {
  /** Units that are left out when the unit that is the key is. */
  readonly #followers: ReadonlyMap<UnitName, readonly Unit[]>;
  readonly #mayConflict: boolean;
  /** The sum of what the needed units reserve, if there are several: the check of a single one considers it. */
  readonly #reserved: Amounts;

  constructor(readonly needed: readonly Unit[], readonly tied: readonly Unit[]) {
    this.#followers = followersOf(tied);
    this.#mayConflict = tied.some((unit) => unit.requirements.conflicts.length > 0);
    this.#reserved = needed.length === 1 ? nothingNeeded : reservationOf(needed);
  }

  /** Returns the members that a machine takes, all needed ones among them; undefined if it does not take those. */
  partFor(trial: TrialState, machine: MachineId): readonly Unit[] | undefined {
    const { needed, tied } = this;
    const names = new Set(needed.map((unit) => unit.name));
    // The needed units depend on no other unit: if they are refused by themselves, they are refused with others as well.
    if (!needed.every((unit) => trial.allows(unit, machine, names))) return undefined;
    if (!trial.hasRoom(this.#reserved, machine)) return undefined;
    if (tied.length === needed.length && (!this.#mayConflict || tied.length === 1)) return tied;
    let part = this.#allowedTogether(trial, machine, tied);
    if (!this.#mayConflict && trial.hasRoom(reservationOf(part), machine)) return part;
    const compatible: Unit[] = [];
    let reserved = nothingNeeded;
    for (const unit of [...needed, ...part.filter((unit) => !names.has(unit.name))]) {
      if (this.#mayConflict && compatible.some((other) => conflict(unit, other))) continue;
      const sum = plus(reserved, unit.requirements.reservation ?? nothingNeeded);
      if (!trial.hasRoom(sum, machine)) continue;
      compatible.push(unit);
      reserved = sum;
    }
    if (compatible.length < part.length) part = this.#allowedTogether(trial, machine, compatible);
    const taken = new Set(part);
    return needed.every((unit) => taken.has(unit)) ? part : undefined;
  }

  /** Leaves out the units that the machine refuses, and those whose peers are left out. */
  #allowedTogether(trial: TrialState, machine: MachineId, units: readonly Unit[]): readonly Unit[] {
    const names = new Set(units.map((unit) => unit.name));
    const unchecked = new Set(units);
    for (const unit of unchecked) {
      unchecked.delete(unit);
      if (!names.has(unit.name) || trial.allows(unit, machine, names)) continue;
      names.delete(unit.name);
      for (const follower of this.#followers.get(unit.name) ?? []) unchecked.add(follower);
    }
    return names.size === units.length ? units : units.filter((unit) => names.has(unit.name));
  }
}

/**
 * Chooses the machine for a group: of `order`, the first that takes all `tied` units; else the first of those that take
 * most of them, provided that it takes all `needed` ones. Undefined if none does.
 */
export function choose(
  trial: TrialState,
  order: Iterable<MachineId>,
  needed: readonly Unit[],
  tied: readonly Unit[],
): Choice | undefined {
  let best: Choice | undefined;
  const group = new Group(needed, tied);
  for (const machine of order) {
    const members = group.partFor(trial, machine);
    if (!members || best && best.members.length >= members.length) continue;
    best = { machine, members };
    if (members.length === tied.length) break;
  }
  return best && { machine: best.machine, members: peersFirst(best.members) };
}
