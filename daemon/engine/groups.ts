/**
 * Units that MachineOf ties together, and the machine that takes most of them.
 *
 * @module
 */

import type { MachineId, Unit, UnitName } from "../../registry/model.ts";
import { conflict, precedence } from "../policy/feasibility.ts";
import type { TrialState } from "./trial_state.ts";

/** `units` and all that `next` leads to, in order of precedence. */
export function closure(units: Iterable<Unit>, next: (unit: Unit) => Iterable<Unit>): Unit[] {
  const found = new Set(units);
  for (const member of found) for (const other of next(member)) found.add(other);
  return [...found].sort(precedence);
}

/** Units that look for a machine, and how they are tied to each other. */
export class UnplacedGroups {
  readonly #units: Map<UnitName, Unit>;
  readonly #followers = new Map<UnitName, Unit[]>();

  constructor(units: Iterable<Unit>) {
    this.#units = new Map();
    for (const unit of units) {
      this.#units.set(unit.name, unit);
      for (const peer of unit.requirements.machineOf) {
        const followers = this.#followers.get(peer);
        if (followers) followers.push(unit);
        else this.#followers.set(peer, [unit]);
      }
    }
  }

  has(unit: Unit): boolean {
    return this.#units.has(unit.name);
  }

  /** They look no longer. */
  found(units: readonly Unit[]): void {
    for (const unit of units) this.#units.delete(unit.name);
  }

  /** A unit with all that must come with it. */
  needed(unit: Unit): Unit[] {
    return unit.requirements.machineOf.length === 0 ? [unit] : closure([unit], (member) => this.#peers(member));
  }

  /** All that are tied to a unit, one way or the other. */
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

/** Where a group goes, and who of it. */
export interface Choice {
  readonly machine: MachineId;
  readonly members: readonly Unit[];
}

/** Members in an order in which each comes behind those it must be beside. Circles are cut somewhere. */
export function peersFirst(members: readonly Unit[]): readonly Unit[] {
  const byName = new Map(members.map((unit) => [unit.name, unit]));
  const ordered = new Set<Unit>();
  const begun = new Set<Unit>();
  for (const member of members) {
    // A list, not calls: a chain may be longer than a stack is deep.
    const open = [member];
    for (let unit = open.at(-1); unit; unit = open.at(-1)) {
      if (begun.has(unit)) {
        ordered.add(unit);
        open.pop();
        continue;
      }
      begun.add(unit);
      const peers = unit.requirements.machineOf.flatMap((name) => byName.get(name) ?? []).sort(precedence);
      open.push(...peers.filter((peer) => !begun.has(peer)).reverse());
    }
  }
  return [...ordered];
}

/** Units that are tied to each other, and whom of them each machine must take. */
class Group {
  /** Who is left out when a unit is. */
  readonly #followers = new Map<UnitName, Unit[]>();
  readonly #mayConflict: boolean;

  constructor(readonly needed: readonly Unit[], readonly tied: readonly Unit[]) {
    for (const unit of tied) {
      for (const peer of unit.requirements.machineOf) {
        const followers = this.#followers.get(peer);
        if (followers) followers.push(unit);
        else this.#followers.set(peer, [unit]);
      }
    }
    this.#mayConflict = tied.some((unit) => unit.requirements.conflicts.length > 0);
  }

  /** As much of the group as a machine takes, with all who are needed; undefined if it does not take those. */
  partFor(trial: TrialState, machine: MachineId): readonly Unit[] | undefined {
    const { needed, tied } = this;
    const names = new Set(needed.map((unit) => unit.name));
    // Those who are needed need nobody else: if they are not taken by themselves, they are not taken with others either.
    if (!needed.every((unit) => trial.allows(unit, machine, names))) return undefined;
    if (tied.length === needed.length && !this.#mayConflict) return tied;
    let part = this.#allowedTogether(trial, machine, tied);
    if (!this.#mayConflict) return part;
    const agreed: Unit[] = [];
    for (const unit of [...needed, ...part.filter((unit) => !names.has(unit.name))]) {
      if (!agreed.some((other) => conflict(unit, other))) agreed.push(unit);
    }
    if (agreed.length < part.length) part = this.#allowedTogether(trial, machine, agreed);
    const taken = new Set(part);
    return needed.every((unit) => taken.has(unit)) ? part : undefined;
  }

  /** Leaves out whom the machine refuses, and whose peers are left out. */
  #allowedTogether(trial: TrialState, machine: MachineId, units: readonly Unit[]): readonly Unit[] {
    const names = new Set(units.map((unit) => unit.name));
    const toAsk = new Set(units);
    for (const unit of toAsk) {
      toAsk.delete(unit);
      if (!names.has(unit.name) || trial.allows(unit, machine, names)) continue;
      names.delete(unit.name);
      for (const follower of this.#followers.get(unit.name) ?? []) toAsk.add(follower);
    }
    return names.size === units.length ? units : units.filter((unit) => names.has(unit.name));
  }
}

/**
 * The machine for a group: of `order`, the first that takes all who are `tied`; else the first of those that take most of
 * them, provided that they take all who are `needed`. Undefined if none does.
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
