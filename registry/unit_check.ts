/**
 * Finds errors and probable errors in unit files, with one set of rules for submit, `verify` and `explain`. Pure.
 *
 * @module
 */

import { joinContinuedLines, type UnitOption } from "../systemd/unit_file.ts";
import { isMalformedGlob } from "../runtime/glob.ts";
import { generatedService, quadletSection } from "../systemd/unit_quadlet.ts";
import {
  expandSpecifiers,
  isTemplate,
  parseUnitName,
  quadletTypes,
  quote,
  templateOf,
  unrunnableName,
  unrunnableType,
  validateUnitName,
  words,
} from "../systemd/unit_name.ts";
import {
  fleetSection,
  isKnownFleetOption,
  lastValueCounts,
  parseRequirements,
  splitValues,
  truths,
  unrecognizedOption,
  untruths,
  validateFleetOptions,
} from "./requirements.ts";
import { attachmentProblem } from "./attached_files.ts";
import { deploymentProblem } from "./deployment.ts";
import { healthCheckProblem } from "./health_check.ts";
import { nearest } from "../runtime/spelling.ts";

/** An error or a probable error in a unit file. */
export interface Finding {
  /**
   * - `invalid`: fleet refuses the unit
   * - `unknown`: probably a misspelled name, which would be ignored; fleetctl refuses it by default
   * - `doubtful`: accepted, but probably not what the author means
   */
  readonly kind: "invalid" | "unknown" | "doubtful";
  readonly message: string;
  /** Index of the option that it concerns; undefined if it concerns the unit as a whole. */
  readonly option?: number;
  /** True if it concerns the header of that option's section. */
  readonly inHeader?: true;
}

/** Returns why a unit with a valid name must not be stored with these options; undefined if it may. */
export function whyInvalid(name: string, options: readonly UnitOption[]): string | undefined {
  return unrunnableType(name) ?? serviceProblem(name, options) ?? validateFleetOptions(name, options) ??
    deploymentProblem(name, options) ?? healthCheckProblem(name, options) ?? attachmentProblem(options);
}

/** Returns why systemd must not have a service that is made of a Quadlet file; undefined if it may. */
function serviceProblem(name: string, options: readonly UnitOption[]): string | undefined {
  const service = generatedService(name, options);
  if (service === name) return undefined;
  const why = validateUnitName(service) ?? unrunnableName(service);
  return why && `the service of ${name} would be ${JSON.stringify(service)}: ${why}`;
}

/** Checks the name and the options of a unit. The most severe findings come first. */
export function checkUnit(name: string, options: readonly UnitOption[]): Finding[] {
  const invalid = validateUnitName(name) ?? whyInvalid(name, options);
  return [
    ...invalid === undefined ? [] : [{ kind: "invalid" as const, message: invalid }],
    ...misspellings(options).map((finding) => ({ kind: "unknown" as const, ...finding })),
    ...[...ignoredSections(name, options), ...headersInValues(options), ...doubtfulOptions(name, options)]
      .map((finding) => ({ kind: "doubtful" as const, ...finding })),
  ];
}

/** Returns the messages about doubtful values of the [X-Fleet] section. */
export function doubtfulValues(name: string, options: readonly UnitOption[]): string[] {
  return doubtfulOptions(name, options).map(({ message }) => message);
}

type Warning = Pick<Finding, "message" | "option" | "inHeader">;

/** Returns the index of the first option of each section. */
function sectionsOf(options: readonly UnitOption[]): Map<string, number> {
  const first = new Map<string, number>();
  for (const [index, { section }] of options.entries()) if (!first.has(section)) first.set(section, index);
  return first;
}

/** The section of each unit type, see its manual page. All types have the common sections as well. */
const commonSections = ["Unit", "Install", fleetSection];
const typeSections = ["Service", "Socket", "Timer", "Path", "Mount", "Automount", "Swap", "Slice", "Scope"];
const quadletSections = quadletTypes.map(quadletSection);
const knownSections = [...commonSections, ...typeSections, ...quadletSections, "Quadlet"];

/** Returns the sections that only units of a type have. A Quadlet file has those of the service that is made of it. */
function ownSections(type: string): readonly string[] {
  if (quadletTypes.includes(type)) return [quadletSection(type), "Quadlet", "Service"];
  return typeSections.filter((section) => section.toLowerCase() === type);
}

function misspellings(options: readonly UnitOption[]): Warning[] {
  const keys = new Map<string, number>();
  for (const [index, { section, name }] of options.entries()) {
    if (section === fleetSection && !isKnownFleetOption(name) && !keys.has(name)) keys.set(name, index);
  }
  const sections = [...sectionsOf(options)].flatMap(([section, option]) => {
    const meant = knownSections.includes(section) ? undefined : nearest(section, knownSections);
    if (meant === undefined) return [];
    const message = `unrecognized section: ${quote(`[${section}]`)} (did you mean ${quote(`[${meant}]`)}?)`;
    return [{ message, option, inHeader: true as const }];
  });
  return [...sections, ...[...keys].map(([key, option]) => ({ message: unrecognizedOption(key), option }))]
    .sort((a, b) => a.option - b.option);
}

/** Sections that systemd and fleet ignore. Those that begin with X- are for other programs. */
function ignoredSections(name: string, options: readonly UnitOption[]): Warning[] {
  const type = parseUnitName(name)?.type ?? "";
  const own = ownSections(type);
  return [...sectionsOf(options)].flatMap(([section, option]) => {
    if (own.includes(section) || commonSections.includes(section) || section.startsWith("X-")) return [];
    const header = shown(`[${section}]`);
    if (knownSections.includes(section)) {
      return [{ message: `section ${header} is ignored in a unit of type ${type}`, option, inHeader: true }];
    }
    if (nearest(section, knownSections) !== undefined) return [];
    return [{ message: `section ${header} is unknown to systemd and ignored`, option, inHeader: true }];
  });
}

/** Values that contain the next section's header, because their last line ends in a backslash. */
function headersInValues(options: readonly UnitOption[]): Warning[] {
  return options.flatMap(({ name, value }, option) => {
    const header = /\n[ \t]*(\[[^\]\n]+\])[ \t]*(\n|$)/.exec(value)?.[1];
    if (header === undefined) return [];
    const message = `${shown(header)} is part of the value of ${name}: the line before ends in a backslash`;
    return [{ message, option }];
  });
}

/** Quotes a text, and cuts a long one. */
function shown(text: string): string {
  return text.length > 200 ? quote(`${text.slice(0, 200).toWellFormed()}…`) : quote(text);
}

function doubtfulOptions(name: string, options: readonly UnitOption[]): Warning[] {
  const last = new Map(options.map(({ section, name }, index) => [section === fleetSection ? name : "", index]));
  const found: Warning[] = [];
  for (const [index, option] of options.entries()) {
    if (option.section !== fleetSection || !isKnownFleetOption(option.name)) continue;
    if (lastValueCounts.has(option.name) && index !== last.get(option.name)) continue;
    for (const message of warningsOfOption(name, option)) found.push({ message, option: index });
  }
  const spread = last.get("Spread");
  if (spread !== undefined && !isTemplate(name) && templateOf(name) === undefined) {
    found.push({ message: "Spread has no effect in a unit that is not an instance of a template", option: spread });
  }
  const moveAfter = last.get("MoveAfter");
  if (moveAfter !== undefined && parseRequirements(name, options).moveAfter === undefined) {
    found.push({ message: "MoveAfter has no effect without OnFailure=move", option: moveAfter });
  }
  const ids = options.map(({ section, name, value }, index) => ({ section, name, value, index }))
    .filter((option) => option.section === fleetSection && option.name === "MachineID" && option.value !== "");
  if (new Set(ids.map(({ value }) => value)).size > 1) {
    found.push({ message: "only the first MachineID counts", option: ids[1]!.index });
  }
  return found;
}

function warningsOfOption(name: string, option: UnitOption): string[] {
  const literal = takenLiterally(option);
  if (literal !== undefined) return [literal];
  const asWritten = splitValues(option);
  if (asWritten.every((value) => value === "")) return [`${option.name} is empty and has no effect`];
  return asWritten.filter((value) => value !== "").flatMap((written) => {
    // The instances of a template decide the values of its specifiers.
    if (isTemplate(name) && written.includes("%")) return [];
    const value = expandSpecifiers(written, name);
    const warning = value === ""
      ? `${option.name}=${shown(written)} is empty and has no effect`
      : warningsOfValues[option.name.replace(/^X-(Condition)?/, "")]?.(value, option.name);
    return [warning ?? []].flat();
  });
}

/** Returns a warning about text that has a meaning elsewhere in unit files or in shells, but not in [X-Fleet]. */
function takenLiterally({ name, value }: UnitOption): string | undefined {
  const joined = joinContinuedLines(value);
  const specifier = /%(?![nNpi])[A-Za-z%]/.exec(joined)?.[0];
  if (specifier !== undefined) return `${name} contains ${shown(specifier)}: only %n, %N, %p and %i are replaced`;
  const variable = /\$(\{[^}]*\}?|[A-Za-z_]\w*)/.exec(joined)?.[0];
  if (variable !== undefined) return `${name} contains ${shown(variable)}: variables are not replaced`;
  const comment = /(?<=\s)[#;].*/.exec(joined)?.[0];
  if (comment !== undefined) {
    return `${shown(comment)} is part of the value of ${name}: a comment needs a line of its own`;
  }
  // Quotes group the words of a command.
  if (
    name !== "HealthCheck" && splitValues({ section: fleetSection, name, value }).some((item) => /["“”]|^'/.test(item))
  ) {
    return `the quotes in ${name}=${shown(joined)} are part of the value: write one value, or "value1" "value2"`;
  }
  return undefined;
}

type ValueCheck = (value: string, option: string) => string | string[] | undefined;

const warningsOfValues: Readonly<Record<string, ValueCheck>> = {
  MachineID: machineIdWarning,
  MachineBootID: machineIdWarning,
  MachineOf(value, option) {
    if (isTemplate(value)) return `${option}=${shown(value)} names a template, which never runs`;
    const invalid = validateUnitName(value);
    return invalid &&
      `${option}=${shown(value)} names no unit, so that the unit waits forever: ${separately(value, invalid)}`;
  },
  MachineMetadata: metadataWarning,
  Prefer: metadataWarning,
  Pin: truthWarning,
  Unique: truthWarning,
  Conflicts: (value, option) => words(value).flatMap((glob) => patternWarnings(glob, option)),
  Replaces: patternWarnings,
  Global: truthWarning,
};

function metadataWarning(value: string, option: string): string | undefined {
  const [key = "", wanted] = value.split("=", 2);
  if (wanted === "") return `${option}=${shown(value)} has no value after = and has no effect`;
  if (wanted === undefined || (key.trim() === key && wanted.trim() === wanted)) return undefined;
  return `the blanks in ${option}=${shown(value)} are part of the key or the value: write key=value`;
}

function truthWarning(value: string, option: string): string | undefined {
  if ([...truths, ...untruths].includes(value.toLowerCase())) return undefined;
  const expected = `${truths.join(", ")}, or ${untruths.join(", ")}`;
  return `${option}=${shown(value)} counts as no: expected ${expected}`;
}

function machineIdWarning(value: string, option: string): string | undefined {
  if (/^([0-9a-f]{8}|[0-9a-f]{32})$/.test(value)) return undefined;
  return `${option}=${shown(value)} is not a machine ID: expected 32 hexadecimal digits, or the first 8 of them`;
}

function patternWarnings(glob: string, option: string): string[] {
  if (isMalformedGlob(glob)) return [`malformed pattern ${shown(glob)} in ${option}: it matches no unit`];
  const strange = /[^A-Za-z0-9:\-_.\\@*?[\]^]/.exec(glob)?.[0];
  const why = strange !== undefined
    ? `no unit name contains ${shown(strange)}`
    : /[*?[\\]/.test(glob)
    ? undefined
    : validateUnitName(glob);
  return why === undefined ? [] : [`${option}=${shown(glob)} matches no unit: ${separately(glob, why)}`];
}

/** Adds advice to a message about a value that looks like several values. */
function separately(value: string, why: string): string {
  return /[\s,]/.test(value) ? `${why}; write each on a line of its own` : why;
}
