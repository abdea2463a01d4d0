/**
 * The [X-Fleet] section of a unit file: what the unit asks of its machine.
 *
 * @module
 */

import { parseUnitFile, serializeUnitFile, UnitFileError, type UnitOption } from "../systemd/unit_file.ts";
import { expandSpecifiers, globMatch } from "../systemd/unit_name.ts";

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

/** Name of the section. */
export const fleetSection = "X-Fleet";

/** Each option with its deprecated names, which mean the same. */
const names = {
  MachineID: ["MachineID", "X-ConditionMachineID", "X-ConditionMachineBootID"],
  MachineOf: ["MachineOf", "X-ConditionMachineOf"],
  MachineMetadata: ["MachineMetadata", "X-ConditionMachineMetadata"],
  Conflicts: ["Conflicts", "X-Conflicts"],
  Replaces: ["Replaces"],
  Global: ["Global"],
} as const;

/** The names that are not deprecated. */
export const fleetOptionNames: readonly string[] = Object.keys(names);

const known = new Set<string>(Object.values(names).flat());
const truthy = new Set(["true", "yes", "1", "on", "t"]);

/** Parses the [X-Fleet] options among `options`; those of other sections are passed over. Never throws. */
export function parseRequirements(name: string, options: readonly UnitOption[]): Requirements {
  const ours = options.filter((option) => option.section === fleetSection);
  return collect(ours, (value) => expandSpecifiers(value, name));
}

function collect(ours: readonly UnitOption[], expand: (value: string) => string): Requirements {
  const values = (option: keyof typeof names) =>
    names[option].flatMap((key) => ours.filter((one) => one.name === key).flatMap((one) => splitQuoted(one.value)))
      .map(expand);
  const machineMetadata = new Map<string, string[]>();
  const malformed: string[] = [];
  for (const pair of values("MachineMetadata")) {
    const [key = "", value = "", ...more] = pair.split("=");
    if (key === "" || value === "" || more.length > 0) malformed.push(malformedMetadata(pair));
    else machineMetadata.set(key, [...machineMetadata.get(key) ?? [], value]);
  }
  const machineId = values("MachineID")[0];
  return {
    ...(machineId !== undefined && { machineId }),
    machineOf: values("MachineOf"),
    machineMetadata,
    conflicts: values("Conflicts").flatMap((value) => value.split(/\s+/).filter((glob) => glob !== "")),
    replaces: values("Replaces"),
    global: truthy.has((values("Global").at(-1) ?? "").toLowerCase()),
    unknown: ours.map((option) => option.name).filter((key) => !known.has(key)),
    malformed,
  };
}

function malformedMetadata(pair: string): string {
  return `MachineMetadata "${pair}" is not of the form key=value; several go in quotes: "a=b" "c=d"`;
}

/** A value that starts and ends with `"` holds several, separated by spaces outside quotes. */
function splitQuoted(value: string): string[] {
  if (value.length < 2 || !value.startsWith('"') || !value.endsWith('"')) return [value];
  const items = [""];
  let quoted = false;
  for (const char of value) {
    if (char === '"') quoted = !quoted;
    else if (char === " " && !quoted) items.push("");
    else items.push(items.pop()! + char);
  }
  return items;
}

/** Why a unit's options are refused; undefined if they are accepted. Specifiers are not expanded here. */
export function validateFleetOptions(_name: string, options: readonly UnitOption[]): string | undefined {
  try {
    parseUnitFile(serializeUnitFile(options));
  } catch (error) {
    if (error instanceof UnitFileError) return error.message;
    throw error;
  }
  const asked = collect(options.filter((option) => option.section === fleetSection), (value) => value);
  for (const peer of asked.machineOf) {
    const conflict = asked.conflicts.find((glob) => globMatch(glob, peer));
    if (conflict !== undefined) return `unresolvable requirements: peer "${peer}" matches conflict "${conflict}"`;
    const replace = asked.replaces.find((glob) => globMatch(glob, peer));
    if (replace !== undefined) return `unresolvable requirements: peer "${peer}" matches replace "${replace}"`;
  }
  return forbiddenCombination(asked) ?? asked.malformed[0];
}

function forbiddenCombination(asked: Requirements): string | undefined {
  const has = {
    MachineID: asked.machineId !== undefined,
    Peers: asked.machineOf.length > 0,
    Conflicts: asked.conflicts.length > 0,
    Global: asked.global,
    Replaces: asked.replaces.length > 0,
  };
  const pairs: readonly (readonly [keyof typeof has, keyof typeof has])[] = [
    ["MachineID", "Peers"],
    ["MachineID", "Conflicts"],
    ["MachineID", "Global"],
    ["MachineID", "Replaces"],
    ["Global", "Peers"],
    ["Global", "Replaces"],
    ["Conflicts", "Replaces"],
  ];
  const clash = pairs.find(([a, b]) => has[a] && has[b]);
  return clash && `${clash[0]} cannot be used with ${clash[1]}`;
}
