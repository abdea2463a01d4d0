/**
 * The [X-Fleet] section: a unit's requirements of its machine. Pure.
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
import { expandSpecifiers, isTemplate, quote, templateOf, words } from "../systemd/unit_name.ts";
import { referencedQuadlets } from "../systemd/unit_quadlet.ts";
import { parseTimeSpan_ms } from "../systemd/unit_time_span.ts";
import { nearest } from "../runtime/spelling.ts";
import {
  listOptions,
  parsePlacementOptions,
  placementOptionNames,
  type PlacementOptions,
  serviceHints,
} from "./placement_options.ts";

/**
 * The requirements of a unit's [X-Fleet] section, with specifiers expanded and quotes removed. Every unit has every
 * property, in the same order: the engine reads them thousands of times, which is faster if all objects have one layout.
 */
export interface Requirements extends PlacementOptions {
  /** Full machine ID or its first 8 characters. */
  readonly machineId: string | undefined;
  /** Units that must be on the same machine. */
  readonly machineOf: readonly string[];
  /** The accepted values of each key. The machine must have one of them for every key. */
  readonly machineMetadata: ReadonlyMap<string, readonly string[]>;
  /** The preferred values of each key; undefined if there are none. A machine without them is not refused. */
  readonly prefer: ReadonlyMap<string, readonly string[]> | undefined;
  /** Globs over names of other units. */
  readonly conflicts: readonly string[];
  /** Globs over names of units that this unit replaces. */
  readonly replaces: readonly string[];
  readonly global: boolean;
  /** The time after which a machine that is cut off from the store stops the unit; undefined if it keeps running. */
  readonly stopWhenDisconnected_ms: number | undefined;
  /** True if only one copy of the unit may run while it moves. */
  readonly unique: boolean;
  /** True if the unit has attached files, see `attached_files.ts`. */
  readonly hasFiles: boolean;
  /** Unknown keys of the section, in order. */
  readonly unknown: readonly string[];
  /** Errors about values that cannot be parsed. A unit with such a value is never placed. */
  readonly malformed: readonly string[];
}

/** The name of fleet's section. It is case-sensitive. */
export const fleetSection = "X-Fleet";

/** Options of the section by their modern names, in the order of the documentation. */
export const fleetOptionNames: readonly string[] = [
  "MachineID",
  "MachineOf",
  "MachineMetadata",
  "Conflicts",
  "Replaces",
  "Global",
  "StopWhenDisconnected",
  ...placementOptionNames,
  "Instances",
  "Desired",
  "Unique",
  "File",
  "HealthCheck",
  "HealthTimeout",
  "HealthInterval",
  "MaxParallel",
  "HealthyDeadline",
  "MinHealthyTime",
];

/** Deprecated names of the options. For MachineID, of which only the first value counts, the modern name takes precedence. */
export const deprecatedNames: Readonly<Record<string, readonly string[]>> = {
  MachineID: ["X-ConditionMachineID", "X-ConditionMachineBootID"],
  MachineOf: ["X-ConditionMachineOf"],
  MachineMetadata: ["X-ConditionMachineMetadata"],
  Conflicts: ["X-Conflicts"],
};

/** Options that may be repeated. Of MachineID, the first value counts. */
const repeatable: ReadonlySet<string> = new Set([
  ...["MachineID", "MachineOf", "MachineMetadata", "Conflicts", "Replaces", "File"],
  ...listOptions,
]);

/** Options of which the last value counts, also if it is empty. */
export const lastValueCounts: ReadonlySet<string> = new Set(fleetOptionNames.filter((name) => !repeatable.has(name)));

const knownNames = new Set([...fleetOptionNames, ...Object.values(deprecatedNames).flat()]);

/**
 * The maximum number of peers and patterns of one unit: each pattern is matched against every peer, and against every
 * other unit of a machine.
 */
const maxRelations = 256;

/** The maximum number of metadata values of one unit: a refusal lists them one by one for each machine. */
const maxMetadata = 256;

/** True if a key is an option of the section, also by a deprecated name. */
export function isKnownFleetOption(key: string): boolean {
  return knownNames.has(key);
}

/**
 * Returns the options of a unit file that decide where the unit may run: those of its [X-Fleet] section, and the limits of
 * CPU and memory in its [Service] section, which are hints. A Quadlet file must be on the machine of the Quadlet files that
 * it refers to, as if it named them in MachineOf=; this does not apply to a global one.
 */
export function fleetOptionsOf(name: string, options: readonly UnitOption[]): readonly UnitOption[] {
  const own = options.filter(({ section }) => section === fleetSection);
  const { global, machineOf } = interpret(own, (value) => value, undefined);
  const peers = global ? [] : referencedQuadlets(name, options).filter((peer) => !machineOf.includes(peer));
  return [
    ...own,
    ...peers.map((value) => ({ section: fleetSection, name: "MachineOf", value })),
    ...serviceHints(options),
  ];
}

/** Parses the [X-Fleet] options among `options`. Never throws. */
export function parseRequirements(name: string, options: readonly UnitOption[]): Requirements {
  return interpret(options, (value) => expandSpecifiers(value, name), templateOf(name));
}

/** Interprets options. `template`: that of the unit, undefined if it is no instance. */
function interpret(
  options: readonly UnitOption[],
  expand: (value: string) => string,
  template: string | undefined,
): Requirements {
  const found = new Map<string, string[]>();
  for (const option of options) {
    if (option.section !== fleetSection) continue;
    // An empty value requires nothing. Of some options the last value counts, and an empty one resets them.
    const expanded = splitValues(option).map(expand);
    found.getOrInsertComputed(option.name, () => [])
      .push(...expanded.filter((value) => value !== "" || lastValueCounts.has(option.name)));
  }
  const named = (name: string) => found.get(name) ?? [];
  const values = (name: string) => [...deprecatedNames[name] ?? [], name].flatMap(named);
  const metadata = parseMetadata("MachineMetadata", values("MachineMetadata"));
  const prefer = parseMetadata("Prefer", named("Prefer"));
  const stop = parseStopWhenDisconnected(named("StopWhenDisconnected").at(-1) ?? "");
  const [machineId] = ["MachineID", ...deprecatedNames["MachineID"]!].flatMap(named);
  const placement = parsePlacementOptions(named, isTrue, options, template);
  const { reservation, expected, spread, pin, moveAfter } = placement.options;
  return {
    machineId,
    machineOf: shared(values("MachineOf")),
    machineMetadata: metadata.accepted.size > 0 ? metadata.accepted : noMetadata,
    prefer: prefer.accepted.size > 0 ? prefer.accepted : undefined,
    conflicts: shared(values("Conflicts").flatMap(words)),
    replaces: shared(values("Replaces")),
    global: isTrue(named("Global").at(-1)),
    stopWhenDisconnected_ms: typeof stop === "number" ? stop : undefined,
    unique: isTrue(named("Unique").at(-1)),
    reservation,
    expected,
    spread,
    pin,
    moveAfter,
    hasFiles: named("File").length > 0,
    unknown: shared([...found.keys()].filter((key) => !knownNames.has(key))),
    malformed: shared([
      ...metadata.malformed,
      ...prefer.malformed,
      ...typeof stop === "string" ? [stop] : [],
      ...placement.malformed,
    ]),
  };
}

const noMetadata: Requirements["machineMetadata"] = new Map();
const nothing: readonly string[] = [];

/** Returns one object for all empty lists: most units have nothing but empty lists, which the engine reads all the time. */
function shared(list: readonly string[]): readonly string[] {
  return list.length === 0 ? nothing : list;
}

/**
 * Returns the values of an option. A value that starts and ends with `"` is a list: quotes toggle, a space outside of
 * quotes separates values, and there are no escapes.
 */
export function splitValues(option: UnitOption): string[] {
  const value = joinContinuedLines(option.value);
  if (!value.startsWith('"') || !value.endsWith('"')) return [value];
  const items: string[] = [];
  let outside = true;
  let item = "";
  // Even pieces are outside of quotes, odd ones inside.
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

/** The accepted values of each key, and the errors of malformed pairs. */
interface MetadataValues {
  readonly accepted: ReadonlyMap<string, readonly string[]>;
  readonly malformed: readonly string[];
}

function parseMetadata(option: string, values: readonly string[]): MetadataValues {
  const accepted = new Map<string, string[]>();
  const malformed: string[] = [];
  for (const value of values) {
    const [key, wanted, more] = value.split("=", 3);
    if (key && wanted === "" && more === undefined) continue;
    if (!key || !wanted || more !== undefined) {
      malformed.push(
        `malformed ${option} ${quote(value)}: expect key=value, or several as "key1=value1" "key2=value2"`,
      );
      continue;
    }
    accepted.getOrInsertComputed(key, () => []).push(wanted);
  }
  return { accepted, malformed };
}

/** The shortest value of StopWhenDisconnected: the lease is renewed three times in it. */
const shortestDisconnection_ms = 1_000;

/** Returns the milliseconds of a StopWhenDisconnected value, undefined for "", or the error of a malformed one. */
function parseStopWhenDisconnected(value: string): number | string | undefined {
  if (value === "") return undefined;
  const span_ms = parseTimeSpan_ms(value);
  if (span_ms !== undefined && span_ms >= shortestDisconnection_ms) return span_ms;
  return `malformed StopWhenDisconnected ${quote(value)}: expect a time span of at least 1s, for example 10s`;
}

/** Values that mean yes, in any case. All others mean no. */
export const truths = ["true", "yes", "1", "on", "t"];
/** Values that clearly mean no. */
export const untruths = ["false", "no", "0", "off", "f"];

/** True for a value that means yes. */
export function isTrue(value: string | undefined): boolean {
  return value !== undefined && truths.includes(value.toLowerCase());
}

/** Returns the message about an unknown key, with the option of a similar name if there is one. */
export function unrecognizedOption(key: string): string {
  const meant = nearest(key, fleetOptionNames);
  return `unrecognized requirement in [X-Fleet] section: ${quote(key)}` +
    (meant ? ` (did you mean ${quote(meant)}?)` : "");
}

/**
 * Returns why a unit with these options must not be stored; undefined if it may. Peers are compared with the patterns of
 * Conflicts and Replaces before specifiers are expanded. Malformed metadata, which fleet 1.0 accepted and ignored, is
 * refused.
 */
export function validateFleetOptions(name: string, options: readonly UnitOption[]): string | undefined {
  try {
    const [ignored] = readUnitFile(serializeUnitFile(options)).ignored;
    if (ignored !== undefined) return ignored.message;
  } catch (error) {
    if (error instanceof UnitFileError) return error.message;
    throw error;
  }
  const requirements = interpret(options, (value) => value, name);
  if (requirements.machineOf.length + requirements.conflicts.length + requirements.replaces.length > maxRelations) {
    return `too many units named in [X-Fleet] section (max ${maxRelations})`;
  }
  const values = [...requirements.machineMetadata.values(), ...requirements.prefer?.values() ?? []]
    .reduce((sum, accepted) => sum + accepted.length, 0);
  if (values + requirements.malformed.length > maxMetadata) {
    return `too many values of MachineMetadata and Prefer in [X-Fleet] section (max ${maxMetadata})`;
  }
  // The instance name of a template is empty: the metadata of its instances is checked when they are stored.
  const { malformed } = isTemplate(name) ? requirements : parseRequirements(name, options);
  return unresolvable(requirements) ?? forbiddenPair(requirements) ?? malformed[0];
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

function forbiddenPair(requirements: Requirements): string | undefined {
  const given = {
    "MachineID=": requirements.machineId !== undefined,
    "MachineOf=": requirements.machineOf.length > 0,
    "Conflicts=": requirements.conflicts.length > 0,
    "Global=true": requirements.global,
    "Replaces=": requirements.replaces.length > 0,
    "Spread=": requirements.spread !== undefined,
    "Prefer=": requirements.prefer !== undefined,
    "OnFailure=move": requirements.moveAfter !== undefined,
  };
  const pairs = [
    ["MachineID=", "MachineOf="],
    ["MachineID=", "Conflicts="],
    ["MachineID=", "Global=true"],
    ["MachineID=", "Replaces="],
    ["Global=true", "MachineOf="],
    ["Global=true", "Replaces="],
    ["Conflicts=", "Replaces="],
    ["Global=true", "Spread="],
    ["Global=true", "Prefer="],
    ["Global=true", "OnFailure=move"],
  ] as const;
  const pair = pairs.find(([one, other]) => given[one] && given[other]);
  return pair && `${pair[0]} and ${pair[1]} exclude each other`;
}
