/**
 * Stand-ins for values that cannot be decoded, because they were edited by hand or written by a newer version. Pure.
 *
 * A corrupt value is never treated as a deletion, and carries no desired state. Its key identifies the object, and its
 * revision allows its writer to replace it. The other fields of a stand-in come from other keys, or are empty.
 *
 * @module
 */

import { optionsOf } from "../../systemd/unit_file.ts";
import type { Assignment, Machine, MachineId, Revision, Target, Unit, UnitName } from "../model.ts";
import { fleetOptionsOf, parseRequirements } from "../requirements.ts";

/** A value that cannot be decoded. */
export interface Unreadable {
  /** The revision at which it was written. */
  readonly revision: Revision;
  /** The reason, which names the key. */
  readonly why: string;
}

/** The last known desired state of a unit, from its assignment or its published state. */
export type LastKnown = Pick<Assignment, "hash" | "desiredState" | "restart">;

/** Returns a stand-in for a unit. `text`: the file with the hash of `lastKnown`. */
export function unreadableUnit(
  name: UnitName,
  isGlobal: boolean,
  { revision, why }: Unreadable,
  lastKnown?: LastKnown,
  text?: string,
): Unit {
  // A file that cannot be parsed has no requirements, as on its machine.
  const fleetOptions = fleetOptionsOf(name, optionsOf(text ?? ""));
  return {
    name,
    hash: lastKnown?.hash ?? "",
    fleetOptions,
    requirements: { ...parseRequirements(name, fleetOptions), global: isGlobal },
    desiredState: lastKnown?.desiredState ?? "inactive",
    restart: lastKnown?.restart ?? 0,
    launchedAt: 0,
    revision,
    unreadable: why,
  };
}

export function unreadableAssignment(
  unit: UnitName,
  machine: MachineId,
  { revision, why }: Unreadable,
): Assignment {
  return { unit, machine, hash: "", desiredState: "inactive", restart: 0, revision, unreadable: why };
}

/** Returns a stand-in for a target. `machine`: that of the unit's assignment; "" without one. */
export function unreadableTarget(unit: UnitName, machine: MachineId, { revision, why }: Unreadable): Target {
  return {
    unit,
    machine,
    why: `the machine of its target is uncertain: ${why}`,
    since_ms: 0,
    revision,
    unreadable: why,
  };
}

export function unreadableMachine(id: MachineId, { why }: Unreadable): Omit<Machine, "metadata"> {
  const nothing = { ip: "", incarnation: "", staticMetadata: {}, version: "" };
  return { id, ...nothing, capabilities: { disableEngine: false }, unreadable: why };
}
