/**
 * What stands in for a value that cannot be read: somebody edited it by hand, or a newer version wrote it. Pure.
 *
 * It is no deletion, and says nothing of what is wanted. Its key still tells what it is about, and its revision lets it be
 * written anew by whoever may. What else a stand-in holds comes from other keys, or says nothing.
 *
 * @module
 */

import { parseUnitFile, UnitFileError, type UnitOption } from "../../systemd/unit_file.ts";
import { decodeTarget, decodeUnit } from "./codec.ts";
import { messageOf } from "../../runtime/log.ts";
import type { Assignment, Machine, MachineId, Revision, Target, Unit, UnitName } from "../model.ts";
import { fleetSection, parseRequirements } from "../requirements.ts";
import type { KeyValue } from "../store/port.ts";

/** A value that cannot be read. */
export interface Unreadable {
  /** Revision at which it was written. */
  readonly revision: Revision;
  /** Names the key. */
  readonly why: string;
}

/** A unit, or what stands in for it. `isGlobal`: the key is below `global/`. */
export function readUnit(name: UnitName, kv: KeyValue, isGlobal: boolean): Unit {
  try {
    return decodeUnit(name, kv);
  } catch (error) {
    return unreadableUnit(name, isGlobal, { revision: kv.modRevision, why: messageOf(error) });
  }
}

/** A target, or what stands in for it. */
export function readTarget(name: UnitName, kv: KeyValue): Target {
  try {
    return decodeTarget(name, kv);
  } catch (error) {
    return unreadableTarget(name, "", { revision: kv.modRevision, why: messageOf(error) });
  }
}

/** What a machine was told of a unit last, as its orders or its own words have it. */
export type LastKnown = Pick<Assignment, "hash" | "desiredState" | "restart">;

/** `text` is the file that was told of. */
export function unreadableUnit(
  name: UnitName,
  isGlobal: boolean,
  { revision, why }: Unreadable,
  lastKnown?: LastKnown,
  text?: string,
): Unit {
  const fleetOptions = text === undefined ? [] : fleetOptionsOf(text);
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

function fleetOptionsOf(text: string): readonly UnitOption[] {
  try {
    return parseUnitFile(text).filter(({ section }) => section === fleetSection);
  } catch (error) {
    // What cannot be parsed asks for nothing, here as on its machine.
    if (error instanceof UnitFileError) return [];
    throw error;
  }
}

export function unreadableAssignment(
  unit: UnitName,
  machine: MachineId,
  { revision, why }: Unreadable,
): Assignment {
  return { unit, machine, hash: "", desiredState: "inactive", restart: 0, revision, unreadable: why };
}

/** `machine`: the one that has orders for the unit; "" if there is none. */
export function unreadableTarget(unit: UnitName, machine: MachineId, { revision, why }: Unreadable): Target {
  return { unit, machine, why: `its place is not known for sure: ${why}`, since_ms: 0, revision, unreadable: why };
}

export function unreadableMachine(id: MachineId, { why }: Unreadable): Omit<Machine, "metadata"> {
  const nothing = { ip: "", incarnation: "", staticMetadata: {}, version: "" };
  return { id, ...nothing, capabilities: { disableEngine: false }, unreadable: why };
}
