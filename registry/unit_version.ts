/**
 * The part of the data model about the files of a unit. Values only. Pure.
 *
 * @module
 */

import type { UnitOption } from "../systemd/unit_file.ts";
import type { Authorship, MachineId } from "./identifiers.ts";
import type { Requirements } from "./requirements.ts";

/** A file that a unit has, or has had. */
export interface UnitVersion {
  /** 1 for the unit's first file, and one more for each file that replaces another. */
  readonly number: number;
  /** SHA-1 of the serialized file. */
  readonly hash: string;
  /** The author of the change that brought it, if known. */
  readonly changed?: Authorship;
  /** The latest restarts that were requested while it was the unit's file, newest last. Omitted if there were none. */
  readonly restarts?: readonly Authorship[];
}

/**
 * The file that a roll-out gives to a global unit from machine to machine. All other machines run the unit's own file, which
 * is replaced at the end.
 */
export interface NextVersion {
  /** SHA-1 of the serialized file. */
  readonly hash: string;
  /** The options of its [X-Fleet] section, in order. */
  readonly fleetOptions: readonly UnitOption[];
  /** {@link fleetOptions}, parsed once. */
  readonly requirements: Requirements;
  /** The machines that run it. */
  readonly machines: readonly MachineId[];
  /** The machines that have changed their file lately, in either direction, and have not been seen healthy with it. */
  readonly unproven: readonly MachineId[];
}
