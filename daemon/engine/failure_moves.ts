/**
 * Moves units that keep failing on their machine.
 *
 * @module
 */

import type { MachineId, Unit, UnitName } from "../../registry/model.ts";
import { avoided, type FailingUnit, whyStuck } from "../policy/failing.ts";
import { precedence } from "../policy/precedence.ts";
import { closure, peersFirst } from "./groups.ts";
import { moveGroup } from "./replacements.ts";
import type { TrialState } from "./trial_state.ts";

/** The move of a unit that keeps failing, or of one that must share its machine. */
export interface FailureMove {
  readonly unit: Unit;
  readonly from: MachineId;
  readonly to: MachineId;
  readonly failing: FailingUnit;
}

/**
 * Moves each failing unit, with the units that must share its machine, to a machine on which it has not failed. If there is
 * no such machine it stays: it is tried again when something changes. A unit that follows another one stays with it.
 * `settled`: units that the plan has decided about already.
 */
export function moveFailing(
  trial: TrialState,
  failing: ReadonlyMap<UnitName, FailingUnit>,
  settled: ReadonlySet<UnitName>,
): FailureMove[] {
  const moves: FailureMove[] = [];
  for (const each of [...failing.values()].sort((a, b) => precedence(a.unit, b.unit))) {
    const { unit, target: { machine: from } } = each;
    if (whyStuck(each) !== undefined || settled.has(unit.name) || trial.currentMachine(unit.name) !== from) continue;
    const { jobs } = trial.units(from);
    const followers = (member: Unit) => jobs.filter((other) => other.requirements.machineOf.includes(member.name));
    const group = closure([unit], followers);
    const isTied = group.some((member) => settled.has(member.name));
    const to = isTied ? undefined : moveGroup(trial, from, group, avoided(each));
    if (to === undefined) continue;
    for (const member of peersFirst(group)) moves.push({ unit: member, from, to, failing: each });
  }
  return moves;
}
