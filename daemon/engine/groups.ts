/**
 * Units that MachineOf ties together, and the machine that takes most of them.
 *
 * @module
 */

import type { MachineId, Unit, UnitName } from "../../registry/model.ts";
import { conflict, precedence } from "../placement.ts";
import type { Board } from "./board.ts";

/** `units` and all that `next` leads to, in order of precedence. */
export function closure(units: Iterable<Unit>, next: (unit: Unit) => Iterable<Unit>): Unit[] {
  const found = new Set(units);
  for (const member of found) for (const other of next(member)) found.add(other);
  return [...found].sort(precedence);
}

/** Units that look for a machine, and how they are tied to each other. */
export class Seekers {
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

/**
 * The machine for a group: of `order`, the first that takes all who are `tied`; else the first of those that take most of
 * them, provided that they take all who are `needed`. Undefined if none does.
 */
export function choose(
  board: Board,
  order: Iterable<MachineId>,
  needed: readonly Unit[],
  tied: readonly Unit[],
): Choice | undefined {
  let best: Choice | undefined;
  for (const machine of order) {
    const members = largestPart(board, machine, needed, tied);
    if (!members || best && best.members.length >= members.length) continue;
    best = { machine, members };
    if (members.length === tied.length) break;
  }
  return best;
}

/** As much of a group as a machine takes, with all who are `needed`; undefined if it does not take those. */
function largestPart(
  board: Board,
  machine: MachineId,
  needed: readonly Unit[],
  tied: readonly Unit[],
): readonly Unit[] | undefined {
  if (tied.length === 1) return board.allows(tied[0]!, machine) ? tied : undefined;
  let part = allowedTogether(board, machine, tied);
  const agreed: Unit[] = [];
  for (const unit of [...needed, ...part.filter((unit) => !needed.includes(unit))]) {
    if (!agreed.some((other) => conflict(unit, other))) agreed.push(unit);
  }
  if (agreed.length < part.length) part = allowedTogether(board, machine, agreed);
  return needed.every((unit) => part.includes(unit)) ? part : undefined;
}

/** Leaves out whom the machine refuses, and whose peers are left out. */
function allowedTogether(board: Board, machine: MachineId, units: readonly Unit[]): readonly Unit[] {
  for (;;) {
    const names = new Set(units.map((unit) => unit.name));
    const allowed = units.filter((unit) => board.allows(unit, machine, names));
    if (allowed.length === units.length) return units;
    units = allowed;
  }
}
