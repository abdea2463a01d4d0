/**
 * The globals that run on a machine. Each agent decides by this rule for its own machine, and the engine predicts its
 * result.
 *
 * @module
 */

import type { MachineId, Unit } from "../../registry/model.ts";
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

/** The units with the next version in place of their own, by record, which never changes. */
const nextVersions = new WeakMap<Unit, Unit>();

/** Returns a unit as a machine is to run it: with its own file, or with the one that a roll-out has given to the machine. */
export function versionOn(unit: Unit, machine: MachineId): Unit {
  if (!unit.next?.machines.includes(machine)) return unit;
  return nextVersions.getOrInsertComputed(unit, ({ next, ...own }) => {
    const { hash, fleetOptions, requirements } = next!;
    return { ...own, hash, fleetOptions, requirements };
  });
}

/** Returns a unit without the file that some machines have. */
export function ownVersion({ next: _next, ...unit }: Unit): Unit {
  return unit;
}

/**
 * Returns the `globals`, each in its {@link versionOn} `machine`, that run there beside `jobs`, which are there already. In order of precedence, each global
 * runs unless the machine, a job or a global before it rules it out. A job that has been placed never makes way for a
 * global. Globals that cannot be read may be on any machine, and rule out no other unit.
 */
export function globalsAmong(machine: MachineTraits, jobs: readonly UnitTraits[], globals: readonly Unit[]): Unit[] {
  const residents: UnitTraits[] = [...jobs];
  const chosen: Unit[] = [];
  for (const each of [...globals].sort(precedence)) {
    const unit = versionOn(each, machine.id);
    const isReadable = unit.unreadable === undefined;
    if (isReadable && !isFeasible(unit, machine, residents)) continue;
    if (isReadable) residents.push(unit);
    chosen.push(unit);
  }
  return chosen;
}
