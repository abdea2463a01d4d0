/**
 * Where the content of a unit named on the command line comes from: the cluster, a local file, or a template in either.
 *
 * @module
 */

import type { UnitEntity, UnitOptionEntity } from "../daemon/api/v1.ts";
import { parseUnitFile, serializeUnitFile, type UnitOption } from "../systemd/unit_file.ts";
import { mangleUnitName, templateOf } from "../systemd/unit_name.ts";
import type { ApiClient } from "./api.ts";
import { type Io, reasonOf } from "./io.ts";

/** A unit named on the command line. */
export interface NamedUnit {
  readonly name: string;
  /** The argument with a unit type at its end: where its file would be. */
  readonly file: string;
}

/** What is to be done about one unit. */
export interface UnitPlan extends NamedUnit {
  /** The unit as the cluster has it, if it has. */
  readonly existing?: UnitEntity;
  /** The content to put; undefined if the cluster's is to stay. */
  readonly options?: readonly UnitOption[];
  readonly notes: readonly Note[];
  /** True if it was to be replaced and, because of its state, is not. */
  readonly isKept?: boolean;
}

/** Something to tell the user when the unit's turn comes. */
export interface Note {
  readonly on: "out" | "err";
  readonly text: string;
}

/** A unit that cannot be created. The message follows `Error creating units: `. */
export class CreationError extends Error {
  override name = "CreationError";
}

/** How the content is to be found. */
export interface Sourcing {
  readonly client: ApiClient;
  readonly io: Io;
  /** True if local content wins over the cluster's. */
  readonly replace: boolean;
  /** Desired states in which a unit may be replaced. */
  readonly replaceable: ReadonlySet<string>;
  /** What an earlier argument of the same command is about to create under that name. */
  readonly earlier: (name: string) => Promise<UnitPlan> | undefined;
}

/** Reads an argument: the last part of its path is the name, and `.service` is meant where no unit type is given. */
export function namedUnit(argument: string): NamedUnit {
  const name = mangleUnitName(argument);
  const directory = argument.slice(0, argument.lastIndexOf("/") + 1);
  return { name, file: directory + name };
}

/** Finds out what is to be done about a unit. Throws {@link CreationError}. */
export async function planUnit(unit: NamedUnit, sourcing: Sourcing): Promise<UnitPlan> {
  let existing: UnitEntity | undefined;
  try {
    existing = await sourcing.client.unit(unit.name);
  } catch (cause) {
    throw new CreationError(`error retrieving Unit(${unit.name}) from Registry: ${reasonOf(cause)}`, { cause });
  }
  return existing ? await planExisting(unit, existing, sourcing) : { ...unit, ...await findContent(unit, sourcing) };
}

/** Options as the API tells them, with what it leaves out because it is empty. */
export function optionsOf(entities: readonly UnitOptionEntity[] | undefined): UnitOption[] {
  return (entities ?? []).map(({ section = "", name = "", value = "" }) => ({ section, name, value }));
}

interface Content {
  readonly options: readonly UnitOption[];
  readonly notes: readonly Note[];
}

async function planExisting(unit: NamedUnit, existing: UnitEntity, sourcing: Sourcing): Promise<UnitPlan> {
  const keep = (...notes: Note[]): UnitPlan => ({ ...unit, existing, notes });
  const local = await localContent(unit, sourcing.io).catch((error) => {
    if (sourcing.replace) throw error;
    sourcing.io.log("WARN", `Unit ${unit.name} in registry cannot be compared: ${reasonOf(error)}`);
    return undefined;
  });
  if (!local) {
    if (!sourcing.replace) return keep();
    throw new CreationError(
      `unable to replace Unit(${unit.name}): no local unit file ${unit.file}, nor one of its template`,
    );
  }
  const same = sameContent(local.options, optionsOf(existing.options));
  if (!sourcing.replace) return same ? keep() : keep(differs(unit.name, unit.file, local.isTemplate));
  if (same) return keep({ on: "out", text: `Found same Unit(${unit.name}) in Registry, nothing to do` });
  const state = existing.desiredState ?? "inactive";
  if (sourcing.replaceable.has(state)) return { ...unit, existing, options: local.options, notes: [] };
  const text = `Warning: can not replace Unit(${unit.name}) in state '${state}', use the appropriate command`;
  return { ...keep({ on: "err", text: `${text}: ${replacing(state)}` }), isKept: true };
}

/** The command that replaces a unit in a state. */
function replacing(state: string): string {
  return `fleetctl ${state === "launched" ? "start" : "load"} --replace`;
}

async function findContent(unit: NamedUnit, sourcing: Sourcing): Promise<Content> {
  const own = await readUnitFile(unit.file, sourcing.io, `failed getting Unit(${unit.file}) from file`);
  if (own) return { options: own, notes: [] };
  const template = templateOf(unit.name);
  if (template === undefined) throw new CreationError(`unable to find Unit(${unit.name}) in Registry or on filesystem`);
  const context = `failed getting Unit(${unit.file}) from template`;
  const submitted = await templateInCluster(template, context, sourcing);
  const local = await readUnitFile(
    beside(unit.file, template),
    sourcing.io,
    `${context}: unable to load template Unit(${template}) from file`,
  );
  if (submitted && local && !sameContent(submitted, local)) {
    // --replace asks for the local content; the template itself stays as it is.
    return sourcing.replace
      ? { options: local, notes: [] }
      : { options: submitted, notes: [differs(template, unit.file, true)] };
  }
  const options = submitted ?? local;
  if (!options) {
    throw new CreationError(`${context}: unable to find template Unit(${template}) in Registry or on filesystem`);
  }
  return { options, notes: [] };
}

async function templateInCluster(
  template: string,
  context: string,
  sourcing: Sourcing,
): Promise<readonly UnitOption[] | undefined> {
  const earlier = sourcing.earlier(template);
  if (earlier) {
    const plan = await earlier;
    return plan.options ?? optionsOf(plan.existing?.options);
  }
  try {
    const unit = await sourcing.client.unit(template);
    return unit && optionsOf(unit.options);
  } catch (cause) {
    throw new CreationError(
      `${context}: error retrieving template Unit(${template}) from Registry: ${reasonOf(cause)}`,
      { cause },
    );
  }
}

/** The local file of a unit, or of its template. */
async function localContent(
  unit: NamedUnit,
  io: Io,
): Promise<{ options: readonly UnitOption[]; isTemplate: boolean } | undefined> {
  const own = await readUnitFile(unit.file, io, `failed getting Unit(${unit.file}) from file`);
  if (own) return { options: own, isTemplate: false };
  const template = templateOf(unit.name);
  if (template === undefined) return undefined;
  const path = beside(unit.file, template);
  const shared = await readUnitFile(path, io, `failed getting Unit(${path}) from file`);
  return shared && { options: shared, isTemplate: true };
}

async function readUnitFile(path: string, io: Io, context: string): Promise<readonly UnitOption[] | undefined> {
  try {
    const text = await io.readFile(path);
    return text === undefined ? undefined : parseUnitFile(text);
  } catch (cause) {
    throw new CreationError(`${context}: ${reasonOf(cause)}`, { cause });
  }
}

function beside(file: string, name: string): string {
  return file.slice(0, file.lastIndexOf("/") + 1) + name;
}

function sameContent(a: readonly UnitOption[], b: readonly UnitOption[]): boolean {
  return serializeUnitFile(a) === serializeUnitFile(b);
}

function differs(name: string, file: string, isTemplate: boolean): Note {
  const kind = isTemplate ? "local template unit file" : "local unit file";
  return {
    on: "err",
    text: `WARNING: Unit ${name} in registry differs from ${kind} ${file}. Add --replace to override.`,
  };
}
