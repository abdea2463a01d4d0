/**
 * The [X-Fleet] section: what a unit asks of its machine. Pure.
 *
 * @module
 */

import {
  joinContinuedLines,
  readUnitFile,
  serializeUnitFile,
  UnitFileError,
  type UnitOption,
} from "../systemd/unit_file.ts";
import { globMatch } from "../runtime/glob.ts";
import { expandSpecifiers, isTemplate, quote } from "../systemd/unit_name.ts";
import { nearest } from "../runtime/spelling.ts";

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

/** The section whose options are fleet's, exactly so written. */
export const fleetSection = "X-Fleet";

/** Options of the section by their modern names, in the order of the documentation. */
export const fleetOptionNames: readonly string[] = [
  "MachineID",
  "MachineOf",
  "MachineMetadata",
  "Conflicts",
  "Replaces",
  "Global",
];

/** What older units call them; where only the first value counts, the modern name's is asked for first. */
export const deprecatedNames: Readonly<Record<string, readonly string[]>> = {
  MachineID: ["X-ConditionMachineID", "X-ConditionMachineBootID"],
  MachineOf: ["X-ConditionMachineOf"],
  MachineMetadata: ["X-ConditionMachineMetadata"],
  Conflicts: ["X-Conflicts"],
};

const knownNames = new Set([...fleetOptionNames, ...Object.values(deprecatedNames).flat()]);

/**
 * How many peers and patterns one unit may name: each pattern is held against every peer, and against every other unit of
 * a machine.
 */
const maxRelations = 256;

/** How many values of metadata one unit may ask for: what each machine has against them is told one by one. */
const maxMetadata = 256;

/** Whether fleet knows a key of its section, by its modern or its older name. */
export function isKnownFleetOption(key: string): boolean {
  return knownNames.has(key);
}

/** Parses the [X-Fleet] options among `options`. Never throws. */
export function parseRequirements(name: string, options: readonly UnitOption[]): Requirements {
  return interpret(options, (value) => expandSpecifiers(value, name));
}

function interpret(options: readonly UnitOption[], expand: (value: string) => string): Requirements {
  const found = new Map<string, string[]>();
  for (const option of options) {
    if (option.section !== fleetSection) continue;
    const values = found.get(option.name) ?? [];
    // An empty value asks for nothing. Of Global the last one counts, and an empty one is a no.
    const expanded = splitValues(option).map(expand);
    values.push(...expanded.filter((value) => value !== "" || option.name === "Global"));
    found.set(option.name, values);
  }
  const named = (name: string) => found.get(name) ?? [];
  const values = (name: string) => [...deprecatedNames[name] ?? [], name].flatMap(named);
  const [machineId] = ["MachineID", ...deprecatedNames["MachineID"]!].flatMap(named);
  return {
    ...(machineId === undefined ? {} : { machineId }),
    machineOf: values("MachineOf"),
    ...parseMetadata(values("MachineMetadata")),
    conflicts: values("Conflicts").flatMap(words),
    replaces: values("Replaces"),
    global: isTrue(named("Global").at(-1)),
    unknown: [...found.keys()].filter((key) => !knownNames.has(key)),
  };
}

/**
 * The values of an option: one that starts and ends with `"` is several. Quotes toggle, a space outside them separates;
 * nothing escapes.
 */
export function splitValues(option: UnitOption): string[] {
  const value = joinContinuedLines(option.value);
  if (!value.startsWith('"') || !value.endsWith('"')) return [value];
  const items: string[] = [];
  let outside = true;
  let item = "";
  // Even pieces stand outside of quotes, odd ones inside.
  for (const piece of value.split('"')) {
    const parts = outside ? piece.split(/[ \t]/) : [piece];
    item += parts.shift();
    for (const part of parts) {
      items.push(item);
      item = part;
    }
    outside = !outside;
  }
  items.push(item);
  return items;
}

function parseMetadata(values: readonly string[]): Pick<Requirements, "machineMetadata" | "malformed"> {
  const machineMetadata = new Map<string, string[]>();
  const malformed: string[] = [];
  for (const value of values) {
    const [key, wanted, more] = value.split("=", 3);
    if (key && wanted === "" && more === undefined) continue;
    if (!key || !wanted || more !== undefined) {
      malformed.push(
        `malformed MachineMetadata ${quote(value)}: expect key=value, or several as "key1=value1" "key2=value2"`,
      );
      continue;
    }
    const accepted = machineMetadata.get(key) ?? [];
    accepted.push(wanted);
    machineMetadata.set(key, accepted);
  }
  return { machineMetadata, malformed };
}

function words(value: string): string[] {
  return value.split(/\s+/).filter((word) => word !== "");
}

/** What counts as a yes, in any case. Everything else counts as a no. */
export const truths = ["true", "yes", "1", "on", "t"];
/** What is clearly meant as a no. */
export const untruths = ["false", "no", "0", "off", "f"];

function isTrue(value: string | undefined): boolean {
  return value !== undefined && truths.includes(value.toLowerCase());
}

/** What to say of a key that fleet does not know: the nearest that it does, if one is near. */
export function unrecognizedOption(key: string): string {
  const meant = nearest(key, fleetOptionNames);
  return `unrecognized requirement in [X-Fleet] section: ${quote(key)}` +
    (meant ? ` (did you mean ${quote(meant)}?)` : "");
}

/**
 * Why a unit of these options must not be stored; undefined if it may. Patterns and names are
 * compared with their specifiers as written. What fleet 1.0 took and then ignored, malformed metadata, is refused.
 */
export function validateFleetOptions(name: string, options: readonly UnitOption[]): string | undefined {
  try {
    const [ignored] = readUnitFile(serializeUnitFile(options)).ignored;
    if (ignored !== undefined) return ignored.message;
  } catch (error) {
    if (error instanceof UnitFileError) return error.message;
    throw error;
  }
  const asked = interpret(options, (value) => value);
  if (asked.machineOf.length + asked.conflicts.length + asked.replaces.length > maxRelations) {
    return `too many units named in [X-Fleet] section (max ${maxRelations})`;
  }
  const values = [...asked.machineMetadata.values()].reduce((sum, accepted) => sum + accepted.length, 0);
  if (values + asked.malformed.length > maxMetadata) {
    return `too many values of MachineMetadata in [X-Fleet] section (max ${maxMetadata})`;
  }
  // A template's instance is empty, which only its instances' metadata can be judged by.
  const { malformed } = isTemplate(name) ? asked : parseRequirements(name, options);
  return unresolvable(asked) ?? forbiddenPair(asked) ?? malformed[0];
}

function unresolvable({ machineOf, conflicts, replaces }: Requirements): string | undefined {
  for (const peer of machineOf) {
    for (const [kind, globs] of [["conflict", conflicts], ["replace", replaces]] as const) {
      const glob = globs.find((glob) => globMatch(glob, peer));
      if (glob !== undefined) return `unresolvable requirements: peer ${quote(peer)} matches ${kind} ${quote(glob)}`;
    }
  }
  return undefined;
}

/** Options as a unit file has them. */
const writtenAs = {
  MachineID: "MachineID=",
  Peers: "MachineOf=",
  Conflicts: "Conflicts=",
  Global: "Global=true",
  Replaces: "Replaces=",
} as const;

function forbiddenPair(asked: Requirements): string | undefined {
  const given = {
    MachineID: asked.machineId !== undefined,
    Peers: asked.machineOf.length > 0,
    Conflicts: asked.conflicts.length > 0,
    Global: asked.global,
    Replaces: asked.replaces.length > 0,
  };
  const pairs = [
    ["MachineID", "Peers"],
    ["MachineID", "Conflicts"],
    ["MachineID", "Global"],
    ["MachineID", "Replaces"],
    ["Global", "Peers"],
    ["Global", "Replaces"],
    ["Conflicts", "Replaces"],
  ] as const;
  const pair = pairs.find(([one, other]) => given[one] && given[other]);
  return pair && `${writtenAs[pair[0]]} and ${writtenAs[pair[1]]} exclude each other`;
}
