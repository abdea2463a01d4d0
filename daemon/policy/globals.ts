/**
 * The globals that run on a machine. Each agent decides by this rule for its own machine, and the engine predicts its
 * result.
 *
 * @module
 */

import type { Unit } from "../../registry/model.ts";
import { isTemplate } from "../../systemd/unit_name.ts";
import { isFeasible, type MachineTraits, type UnitTraits } from "./feasibility.ts";
import { precedence } from "./precedence.ts";

/** True for a unit that is to run or to be loaded: not inactive, not a template, and not one whose record cannot be read. */
export function isActive(unit: Unit): boolean {
  if (unit.unreadable !== undefined) return false;
  if (unit.desiredState === "inactive") return false;
  // The cheap test comes first: every change of the cluster has every unit tested.
  return !unit.name.includes("@.") || !isTemplate(unit.name);
}

/** True for an active global. */
export function isActiveGlobal(unit: Unit): boolean {
  return unit.requirements.global && isActive(unit);
}

/** True for an active unit for which the engine finds a machine. */
export function isActiveJob(unit: Unit): boolean {
  return !unit.requirements.global && isActive(unit);
}

/**
 * Returns the `globals` that run on `machine` beside `jobs`, which are there already. In order of precedence, each global
 * runs unless the machine, a job or a global before it rules it out. A job that has been placed never makes way for a
 * global. Globals that cannot be read may be on any machine, and rule out no other unit.
 */
export function globalsAmong(machine: MachineTraits, jobs: readonly UnitTraits[], globals: readonly Unit[]): Unit[] {
  const residents: UnitTraits[] = [...jobs];
  const chosen: Unit[] = [];
  for (const unit of [...globals].sort(precedence)) {
    const isReadable = unit.unreadable === undefined;
    if (isReadable && !isFeasible(unit, machine, residents)) continue;
    if (isReadable) residents.push(unit);
    chosen.push(unit);
  }
  return chosen;
}
