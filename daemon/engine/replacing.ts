/**
 * Units that others on their machine replace, and where they go.
 *
 * @module
 */

import type { MachineId, Unit } from "../../registry/model.ts";
import { precedence, replaces } from "../placement.ts";
import type { Board } from "./board.ts";
import { closure, peersFirst } from "./groups.ts";
import { hasReplaced } from "./seating.ts";

/** One unit that makes way. */
export interface Removal {
  readonly unit: Unit;
  readonly from: MachineId;
  readonly to: MachineId;
  /** Who is replaced: the unit itself, or one that it must be beside. */
  readonly victim: Unit;
  readonly replacer: Unit;
}

/**
 * Moves each unit that another on its machine replaces, with those that must be where it is, to a machine that takes them
 * all and where nobody has to make way for them. Where there is none all stay, since stopping the victim would help
 * nobody. So every move leaves fewer units beside one that replaces them, and none is ever undone. Units that cannot be read
 * neither make way nor are made way for.
 */
export function moveReplaced(board: Board): Removal[] {
  const removals: Removal[] = [];
  const ids = [...board.seats].filter(([_, seating]) => hasReplaced(seating)).map(([id]) => id).sort();
  for (const from of ids) {
    const stuck = new Set<Unit>();
    for (let pair = nextPair(board, from, stuck); pair; pair = nextPair(board, from, stuck)) {
      const { victim, replacer } = pair;
      const { jobs } = board.seating(from);
      const group = closure(
        [victim],
        (member) => jobs.filter((other) => other.requirements.machineOf.includes(member.name)),
      );
      const isStuck = group.includes(replacer) || group.some((unit) => unit.unreadable !== undefined);
      const to = isStuck ? undefined : moveGroup(board, from, group);
      if (to === undefined) stuck.add(victim);
      else for (const unit of peersFirst(group)) removals.push({ unit, from, to, victim, replacer });
    }
  }
  return removals;
}

/**
 * Who is to make way next on a machine, and for whom: first for those who need not make way themselves, since whoever
 * leaves replaces nobody any more. Those who are `stuck` stay.
 */
function nextPair(
  board: Board,
  id: MachineId,
  stuck: ReadonlySet<Unit>,
): { readonly victim: Unit; readonly replacer: Unit } | undefined {
  const jobs = [...board.seating(id).jobs].sort(precedence);
  const pairs = jobs.filter((unit) => !stuck.has(unit)).flatMap((victim) =>
    jobs.filter((other) => other.unreadable === undefined && replaces(other, victim)).map((replacer) => ({
      victim,
      replacer,
    }))
  );
  const victims = new Set(pairs.map(({ victim }) => victim));
  return pairs.find(({ replacer }) => !victims.has(replacer)) ?? pairs[0];
}

/** Moves a group to the least loaded machine that takes it; undefined, and nothing has changed, if none does. */
function moveGroup(board: Board, from: MachineId, group: readonly Unit[]): MachineId | undefined {
  const names = new Set(group.map((unit) => unit.name));
  const before = board.seating(from);
  board.remove(group, from);
  const to = leavesNobodyAlone(board, from)
    ? board.byLoad().find((id) =>
      id !== from && group.every((unit) => {
        if (!board.allows(unit, id, names, true)) return false;
        return !board.seating(id).jobs.some((other) => replaces(unit, other));
      })
    )
    : undefined;
  if (to === undefined) board.restore(before);
  else for (const unit of group) board.place(unit, to);
  return to;
}

/** Whether those left behind still have the globals they follow: with a unit gone, other globals may come. */
function leavesNobodyAlone(board: Board, id: MachineId): boolean {
  const { jobs, globals } = board.seating(id);
  const lacks = (peer: string) => board.isGlobal(peer) && !globals.some((unit) => unit.name === peer);
  return !jobs.some((unit) => unit.requirements.machineOf.some(lacks));
}
