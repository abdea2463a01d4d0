/**
 * What is wrong, or probably wrong, with a unit file: one set of rules for submit, `verify` and `explain`. Pure.
 *
 * @module
 */

import { joinContinuedLines, type UnitOption } from "../systemd/unit_file.ts";
import {
  expandSpecifiers,
  isMalformedGlob,
  isTemplate,
  parseUnitName,
  quote,
  unrunnableType,
  validateUnitName,
} from "../systemd/unit_name.ts";
import {
  fleetSection,
  isKnownFleetOption,
  splitValues,
  truths,
  unrecognizedOption,
  untruths,
  validateFleetOptions,
} from "./requirements.ts";
import { nearest } from "./spelling.ts";

/** Something found in a unit file. */
export interface Finding {
  /**
   * - `invalid`: fleet refuses the unit
   * - `unknown`: probably misspelled, so that it would be ignored; fleetctl refuses it unless told to accept it
   * - `doubtful`: taken as it is, but probably not what was meant
   */
  readonly kind: "invalid" | "unknown" | "doubtful";
  readonly message: string;
  /** Which of the options it concerns, counted from 0; undefined if it is the unit as a whole. */
  readonly option?: number;
}

/** Checks the name and the options of a unit. The most severe findings come first. */
export function checkUnit(name: string, options: readonly UnitOption[]): Finding[] {
  const invalid = validateUnitName(name) ?? unrunnableType(name) ?? validateFleetOptions(name, options);
  return [
    ...invalid === undefined ? [] : [{ kind: "invalid" as const, message: invalid }],
    ...firstOfEach(options, misspelling).map((finding) => ({ kind: "unknown" as const, ...finding })),
    ...firstOfEach(options, (option) => ignoredSection(name, option)).map((finding) => ({
      kind: "doubtful" as const,
      ...finding,
    })),
    ...firstOfEach(options, swallowedHeader).map((finding) => ({ kind: "doubtful" as const, ...finding })),
    ...doubts(name, options).map((finding) => ({ kind: "doubtful" as const, ...finding })),
  ];
}

/** The `doubtful` values of the [X-Fleet] section, each as a sentence. */
export function doubtfulValues(name: string, options: readonly UnitOption[]): string[] {
  return doubts(name, options).map(({ message }) => message);
}

type Doubt = Pick<Finding, "message" | "option">;

/** Each message once, at the first option that it concerns. */
function firstOfEach(options: readonly UnitOption[], check: (option: UnitOption) => string | undefined): Doubt[] {
  const found = new Map<string, number>();
  for (const [index, option] of options.entries()) {
    const message = check(option);
    if (message !== undefined && !found.has(message)) found.set(message, index);
  }
  return [...found].map(([message, option]) => ({ message, option }));
}

/** Sections by the type of unit, see the manual pages; all types have the common ones. */
const commonSections = ["Unit", "Install", fleetSection];
const sectionsOfTypes: Readonly<Record<string, string>> = {
  service: "Service",
  socket: "Socket",
  timer: "Timer",
  path: "Path",
  mount: "Mount",
  automount: "Automount",
  swap: "Swap",
  slice: "Slice",
  scope: "Scope",
};
const knownSections = [...commonSections, ...Object.values(sectionsOfTypes)];

function misspelling({ section, name }: UnitOption): string | undefined {
  if (section === fleetSection) return isKnownFleetOption(name) ? undefined : unrecognizedOption(name);
  if (knownSections.includes(section)) return undefined;
  const meant = nearest(section, knownSections);
  return meant && `unrecognized section: ${quote(`[${section}]`)} (did you mean ${quote(`[${meant}]`)}?)`;
}

/** Why systemd and fleet ignore a section. Those that begin with X- are for other programs. */
function ignoredSection(name: string, { section }: UnitOption): string | undefined {
  const type = parseUnitName(name)?.type ?? "";
  const own = Object.hasOwn(sectionsOfTypes, type) ? sectionsOfTypes[type] : undefined;
  if (section === own || commonSections.includes(section) || section.startsWith("X-")) return undefined;
  if (knownSections.includes(section)) return `section ${quote(`[${section}]`)} is ignored in a unit of type ${type}`;
  if (nearest(section, knownSections) !== undefined) return undefined;
  return `section ${quote(`[${section}]`)} is unknown to systemd and ignored`;
}

/** A value whose last line was continued by mistake takes the next section's header for its own. */
function swallowedHeader({ name, value }: UnitOption): string | undefined {
  const header = /\n\s*(\[[^\]\n]+\])\s*(\n|$)/.exec(value)?.[1];
  return header && `${quote(header)} is part of the value of ${name}: the line before ends in a backslash`;
}

function doubts(name: string, options: readonly UnitOption[]): Doubt[] {
  const lastGlobal = options.findLastIndex((option) => option.section === fleetSection && option.name === "Global");
  const found: Doubt[] = [];
  for (const [index, option] of options.entries()) {
    if (option.section !== fleetSection || !isKnownFleetOption(option.name)) continue;
    if (option.name === "Global" && index !== lastGlobal) continue;
    for (const message of doubtsOfOption(name, option)) found.push({ message, option: index });
  }
  const ids = options.map(({ section, name, value }, index) => ({ section, name, value, index }))
    .filter((option) => option.section === fleetSection && option.name === "MachineID" && option.value !== "");
  if (new Set(ids.map(({ value }) => value)).size > 1) {
    found.push({ message: "only the first MachineID counts", option: ids[1]!.index });
  }
  return found;
}

function doubtsOfOption(name: string, option: UnitOption): string[] {
  const literal = takenLiterally(option);
  if (literal !== undefined) return [literal];
  const asWritten = splitValues(option);
  if (asWritten.every((value) => value === "")) return [`${option.name} is empty: it asks for nothing`];
  return asWritten.filter((value) => value !== "").flatMap((written) => {
    // What the specifiers of a template stand for is decided by its instances.
    if (isTemplate(name) && written.includes("%")) return [];
    const value = expandSpecifiers(written, name);
    const doubt = value === ""
      ? `${option.name}=${quote(written)} is empty: it asks for nothing`
      : doubtsOfValues[option.name.replace(/^X-(Condition)?/, "")]?.(value, option.name);
    return [doubt ?? []].flat();
  });
}

/** Text that other places of a unit file, or other programs, replace or leave out, but not the [X-Fleet] section. */
function takenLiterally({ name, value }: UnitOption): string | undefined {
  const joined = joinContinuedLines(value);
  const specifier = /%(?![nNpi])[A-Za-z%]/.exec(joined)?.[0];
  if (specifier !== undefined) return `${name} contains ${quote(specifier)}: only %n, %N, %p and %i are replaced`;
  const variable = /\$(\{[^}]*\}?|[A-Za-z_]\w*)/.exec(joined)?.[0];
  if (variable !== undefined) return `${name} contains ${quote(variable)}: variables are not replaced`;
  const comment = /(?<=\s)[#;].*/.exec(joined)?.[0];
  if (comment !== undefined) {
    return `${quote(comment)} is part of the value of ${name}: a comment needs a line of its own`;
  }
  if (splitValues({ section: fleetSection, name, value }).some((item) => /["“”]|^'/.test(item))) {
    return `the quotes in ${name}=${quote(joined)} are part of the value: write one value, or "value1" "value2"`;
  }
  return undefined;
}

type ValueCheck = (value: string, option: string) => string | string[] | undefined;

const doubtsOfValues: Readonly<Record<string, ValueCheck>> = {
  MachineID: machineIdDoubt,
  MachineBootID: machineIdDoubt,
  MachineOf(value, option) {
    if (isTemplate(value)) return `${option}=${quote(value)} names a template, which never runs`;
    const invalid = validateUnitName(value);
    return invalid &&
      `${option}=${quote(value)} names no unit, so that the unit waits for ever: ${separately(value, invalid)}`;
  },
  MachineMetadata(value, option) {
    const [key = "", wanted] = value.split("=", 2);
    if (wanted === "") return `${option}=${quote(value)} has no value behind =: it asks for nothing`;
    if (wanted === undefined || (key.trim() === key && wanted.trim() === wanted)) return undefined;
    return `the blanks in ${option}=${quote(value)} belong to key or value: write key=value`;
  },
  Conflicts: (value, option) =>
    value.split(/\s+/).filter((glob) => glob !== "").flatMap((glob) => patternDoubt(glob, option)),
  Replaces: patternDoubt,
  Global(value) {
    if ([...truths, ...untruths].includes(value.toLowerCase())) return undefined;
    const expected = `${truths.join(", ")}, or ${untruths.join(", ")}`;
    return `Global=${quote(value)} counts as no: expect ${expected}`;
  },
};

function machineIdDoubt(value: string, option: string): string | undefined {
  if (/^([0-9a-f]{8}|[0-9a-f]{32})$/.test(value)) return undefined;
  return `${option}=${quote(value)} is no machine ID: expect its 32 hexadecimal digits, or the first 8 of them`;
}

function patternDoubt(glob: string, option: string): string[] {
  if (isMalformedGlob(glob)) return [`malformed pattern ${quote(glob)} in ${option}: it matches no unit`];
  const strange = /[^A-Za-z0-9:\-_.\\@*?[\]^]/.exec(glob)?.[0];
  const why = strange !== undefined
    ? `no unit name contains ${quote(strange)}`
    : /[*?[\\]/.test(glob)
    ? undefined
    : validateUnitName(glob);
  return why === undefined ? [] : [`${option}=${quote(glob)} matches no unit: ${separately(glob, why)}`];
}

/** Adds how to write several values where one seems to be several. */
function separately(value: string, why: string): string {
  return /[\s,]/.test(value) ? `${why}; write each on a line of its own` : why;
}
