/**
 * Units that others on their machine replace, and where they go.
 *
 * @module
 */

import type { MachineId, Unit } from "../../registry/model.ts";
import { precedence, replaces } from "../policy/feasibility.ts";
import type { TrialState } from "./trial_state.ts";
import { closure, peersFirst } from "./groups.ts";
import { hasReplaced } from "./machine_units.ts";

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
export function moveReplaced(trial: TrialState): Removal[] {
  const removals: Removal[] = [];
  const ids = [...trial.machines].filter(([_, units]) => hasReplaced(units)).map(([id]) => id).sort();
  for (const from of ids) {
    // Units only leave this machine here, so that every pair there will be is among the first ones.
    let pairs = replacementsOn(trial, from);
    for (let pair = nextPair(pairs); pair; pair = nextPair(pairs)) {
      const { victim, replacer } = pair;
      const { jobs } = trial.units(from);
      const group = closure(
        [victim],
        (member) => jobs.filter((other) => other.requirements.machineOf.includes(member.name)),
      );
      const isStuck = group.includes(replacer) || group.some((unit) => unit.unreadable !== undefined);
      const to = isStuck ? undefined : moveGroup(trial, from, group);
      // A victim without another machine stays, whatever else leaves this one.
      const settled = new Set(to === undefined ? [victim] : group);
      pairs = pairs.filter((other) => !settled.has(other.victim) && (to === undefined || !settled.has(other.replacer)));
      if (to !== undefined) {
        for (const unit of peersFirst(group)) removals.push({ unit, from, to, victim, replacer });
      }
    }
  }
  return removals;
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

/** Moves a group to the least loaded machine that takes it; undefined, and nothing has changed, if none does. */
function moveGroup(trial: TrialState, from: MachineId, group: readonly Unit[]): MachineId | undefined {
  const names = new Set(group.map((unit) => unit.name));
  const before = trial.units(from);
  trial.remove(group, from);
  const to = leavesNobodyAlone(trial, from)
    ? trial.byLoad().find((id) =>
      id !== from && group.every((unit) => {
        if (!trial.allows(unit, id, names, true)) return false;
        return !trial.units(id).jobs.some((other) => replaces(unit, other));
      })
    )
    : undefined;
  if (to === undefined) trial.restore(before);
  else for (const unit of group) trial.place(unit, to);
  return to;
}

/** Whether those left behind still have the globals they follow: with a unit gone, other globals may come. */
function leavesNobodyAlone(trial: TrialState, id: MachineId): boolean {
  const { jobs, globals } = trial.units(id);
  const lacks = (peer: string) => trial.isGlobal(peer) && !globals.some((unit) => unit.name === peer);
  return !jobs.some((unit) => unit.requirements.machineOf.some(lacks));
}
