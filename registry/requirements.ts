import type { UnitOption } from "../systemd/unit_file.ts";

/** What a unit's [X-Fleet] section asks of its machine; specifiers expanded, quotes gone. */
export interface Requirements {
  /** Full machine ID or its first 8 characters. */
  readonly machineId?: string;
  /** Units that must be on the same machine. */
  readonly machineOf: readonly string[];
  /** For each key, the values that will do: keys are ANDed, values of one key ORed. */
  readonly machineMetadata: ReadonlyMap<string, readonly string[]>;
  /** Globs over names of other units. */
  readonly conflicts: readonly string[];
  /** Globs over names of units to be moved away. */
  readonly replaces: readonly string[];
  readonly global: boolean;
  /** Keys of the section that fleet does not know, in order. */
  readonly unknown: readonly string[];
  /** Values that could not be understood, each as a sentence; such a unit is never placed. */
  readonly malformed: readonly string[];
}

/** Parses the [X-Fleet] options among `options`. Never throws. */
export declare function parseRequirements(name: string, options: readonly UnitOption[]): Requirements;
