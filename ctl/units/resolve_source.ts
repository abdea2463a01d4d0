/**
 * Where the content of a unit named on the command line comes from: the cluster, a local file, or a template in either.
 *
 * @module
 */

import type { UnitEntity, UnitOptionEntity } from "../../daemon/api/v1/types.ts";
import { serializeUnitFile, type UnitOption } from "../../systemd/unit_file.ts";
import { templateOf } from "../../systemd/unit_name.ts";
import type { ApiClient } from "../api/client.ts";
import { type Io, reasonOf } from "../terminal/port.ts";
import {
  beside,
  type LocalFile,
  LocalFileError,
  type NamedUnit,
  readLocalFile,
  unsupportedType,
} from "./local_file.ts";
import { whyNotFound } from "./not_found.ts";

/** What is to be done about one unit. */
export interface UnitPlan extends NamedUnit {
  /** The unit as the cluster has it, if it has. */
  readonly existing?: UnitEntity;
  /** The content to put; undefined if the cluster's is to stay. */
  readonly options?: readonly UnitOption[];
  /** The file that {@link options} are from, if it is local. */
  readonly local?: LocalFile;
  /** The local template that an instance is to be made of, in place of what the cluster has. */
  readonly template?: LocalFile;
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
  readonly local?: LocalFile;
  readonly template?: LocalFile;
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
  const { options } = local.content;
  const same = sameContent(options, optionsOf(existing.options));
  if (!sourcing.replace) return same ? keep() : keep(differs(unit.name, unit.file, local.isTemplate));
  const template = local.isTemplate ? { template: local.content } : {};
  if (same) {
    return { ...keep({ on: "out", text: `Found same Unit(${unit.name}) in Registry, nothing to do` }), ...template };
  }
  const state = existing.desiredState ?? "inactive";
  if (sourcing.replaceable.has(state)) return { ...keep(), options, local: local.content, ...template };
  const text = `Warning: can not replace Unit(${unit.name}) in state '${state}', use the appropriate command`;
  return { ...keep({ on: "err", text: `${text}: ${replacing(state)}` }), isKept: true };
}

/** The command that replaces a unit in a state. */
function replacing(state: string): string {
  return `fleetctl ${state === "launched" ? "start" : "load"} --replace`;
}

async function findContent(unit: NamedUnit, sourcing: Sourcing): Promise<Content> {
  const own = await readLocal(unit.file, sourcing.io, `failed getting Unit(${unit.file}) from file`);
  if (own) return { options: own.options, local: own, notes: [] };
  const template = templateOf(unit.name);
  if (template === undefined) {
    throw new CreationError(
      await unsupportedType(unit.argument, sourcing.io) ?? await whyNotFound(unit, sourcing),
    );
  }
  const context = `failed getting Unit(${unit.file}) from template`;
  const submitted = await templateInCluster(template, context, sourcing);
  const local = await readLocal(
    beside(unit.file, template),
    sourcing.io,
    `${context}: unable to load template Unit(${template}) from file`,
  );
  if (submitted && local && !sameContent(submitted, local.options)) {
    return sourcing.replace
      ? { options: local.options, local, template: local, notes: [] }
      : { options: submitted, notes: [differs(template, unit.file, true)] };
  }
  if (submitted) return { options: submitted, notes: [] };
  if (local) return { options: local.options, local, notes: [] };
  throw new CreationError(await whyNotFound(unit, sourcing));
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
): Promise<{ content: LocalFile; isTemplate: boolean } | undefined> {
  const own = await readLocal(unit.file, io, `failed getting Unit(${unit.file}) from file`);
  if (own) return { content: own, isTemplate: false };
  const template = templateOf(unit.name);
  if (template === undefined) return undefined;
  const path = beside(unit.file, template);
  const shared = await readLocal(path, io, `failed getting Unit(${path}) from file`);
  return shared && { content: shared, isTemplate: true };
}

async function readLocal(path: string, io: Io, context: string): Promise<LocalFile | undefined> {
  try {
    return await readLocalFile(path, io);
  } catch (cause) {
    const line = cause instanceof LocalFileError && cause.line !== undefined ? `line ${cause.line}: ` : "";
    throw new CreationError(`${context}: ${line}${reasonOf(cause)}`, { cause });
  }
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
