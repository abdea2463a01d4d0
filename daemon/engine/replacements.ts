/**
 * Moves units that are replaced by another unit on their machine.
 *
 * @module
 */

import type { MachineId, Unit } from "../../registry/model.ts";
import { reservationOf } from "../policy/capacity.ts";
import { replaces } from "../policy/feasibility.ts";
import { precedence } from "../policy/precedence.ts";
import type { TrialState } from "./trial_state.ts";
import { closure, peersFirst } from "./groups.ts";

/** The move of one unit that makes way for a unit that replaces it. */
export interface ReplacementMove {
  readonly unit: Unit;
  readonly from: MachineId;
  readonly to: MachineId;
  /** The replaced unit: the moved unit itself, or one that it must share a machine with. */
  readonly victim: Unit;
  readonly replacer: Unit;
}

/**
 * Moves each replaced unit, with the units that must share its machine, to a machine that takes them all and where no unit
 * has to make way for them. If there is no such machine all stay: a stop of the replaced unit would serve no purpose. So
 * every move leaves fewer units beside one that replaces them, and no move is ever undone. Units that cannot be read
 * neither replace nor are replaced.
 */
export function moveReplaced(trial: TrialState): ReplacementMove[] {
  const moves: ReplacementMove[] = [];
  const ids = [...trial.machines].filter(([_, { hasReplaced }]) => hasReplaced).map(([id]) => id).sort();
  for (const from of ids) {
    // Units only leave this machine, so that no pair is added later.
    let pairs = replacementsOn(trial, from);
    for (let pair = nextPair(pairs); pair; pair = nextPair(pairs)) {
      const { victim, replacer } = pair;
      const { jobs } = trial.units(from);
      const group = closure(
        [victim],
        (member) => jobs.filter((other) => other.requirements.machineOf.includes(member.name)),
      );
      const to = group.includes(replacer) ? undefined : moveGroup(trial, from, group);
      // A victim without another machine stays, whichever other units leave this one.
      const settled = new Set(to === undefined ? [victim] : group);
      pairs = pairs.filter((other) => !settled.has(other.victim) && (to === undefined || !settled.has(other.replacer)));
      if (to !== undefined) {
        for (const unit of peersFirst(group)) moves.push({ unit, from, to, victim, replacer });
      }
    }
  }
  return moves;
}

/** One job on a machine that another job there replaces. */
interface Replacement {
  readonly victim: Unit;
  readonly replacer: Unit;
}

/** Every pair of a replaced job and its replacer on a machine, by precedence of the victim, then of the replacer. */
function replacementsOn(trial: TrialState, id: MachineId): readonly Replacement[] {
  const jobs = [...trial.units(id).jobs].sort(precedence);
  const replacers = jobs.filter((unit) => unit.unreadable === undefined && unit.requirements.replaces.length > 0);
  return jobs.flatMap((victim) =>
    replacers.filter((replacer) => replaces(replacer, victim)).map((replacer) => ({ victim, replacer }))
  );
}

/** The next pair to resolve: one whose replacer is not replaced itself comes first, since a replacer that leaves replaces nothing. */
function nextPair(pairs: readonly Replacement[]): Replacement | undefined {
  const victims = new Set(pairs.map(({ victim }) => victim));
  return pairs.find(({ replacer }) => !victims.has(replacer)) ?? pairs[0];
}

/**
 * Moves a group to the first machine that takes it, in the order in which machines are tried, except for the `avoided` ones.
 * Undefined, and nothing has changed, if none does. A unit that cannot be read may conflict with the group or follow it:
 * nothing moves from or to its machine.
 */
export function moveGroup(
  trial: TrialState,
  from: MachineId,
  group: readonly Unit[],
  avoided: ReadonlySet<MachineId> = new Set(),
): MachineId | undefined {
  const names = new Set(group.map((unit) => unit.name));
  const reserved = reservationOf(group);
  const before = trial.units(from);
  const isKnown = (id: MachineId) => trial.units(id).residents.every(({ unreadable }) => unreadable === undefined);
  if (!isKnown(from)) return undefined;
  trial.remove(group, from);
  const to = keepsGlobals(trial, from)
    ? Iterator.from(trial.ranked(undefined, group)).find((id) =>
      id !== from && !avoided.has(id) && isKnown(id) && trial.hasRoom(reserved, id) && group.every((unit) => {
        if (!trial.allows(unit, id, names, true)) return false;
        return !trial.units(id).jobs.some((other) => replaces(unit, other));
      })
    )
    : undefined;
  if (to === undefined) trial.restore(before);
  else for (const unit of group) trial.place(unit, to);
  return to;
}

/** True if the remaining units still have the globals they follow: with a unit gone, other globals may run here. */
function keepsGlobals(trial: TrialState, id: MachineId): boolean {
  const { jobs, globals } = trial.units(id);
  const lacks = (peer: string) => trial.isGlobal(peer) && !globals.some((unit) => unit.name === peer);
  return !jobs.some((unit) => unit.requirements.machineOf.some(lacks));
}
