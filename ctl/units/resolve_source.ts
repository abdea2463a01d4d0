/**
 * Finds the content of a unit named on the command line: in the cluster, in a local file, or in a template of either.
 *
 * @module
 */

import type { UnitEntity, UnitOptionEntity } from "../../daemon/api/v1/types.ts";
import { instanceOptions } from "../../registry/deployment.ts";
import { serializeUnitFile, type UnitOption } from "../../systemd/unit_file.ts";
import { templateOf } from "../../systemd/unit_name.ts";
import type { ApiClient } from "../api/client.ts";
import { type Io, reasonOf } from "../terminal/port.ts";
import {
  beside,
  instanceFile,
  type LocalFile,
  LocalFileError,
  type NamedUnit,
  readLocalFile,
  unsupportedType,
} from "./local_file.ts";
import { whyNotFound } from "./not_found.ts";

/** The plan for one unit of a command line. */
export interface UnitPlan extends NamedUnit {
  /** The unit in the cluster; undefined if it does not exist there. */
  readonly existing?: UnitEntity;
  /** The content to upload; undefined to keep that of the cluster. */
  readonly options?: readonly UnitOption[];
  /** The local file of {@link options}. */
  readonly local?: LocalFile;
  /** The local template of an instance, which replaces that of the cluster. */
  readonly template?: LocalFile;
  readonly notes: readonly Note[];
  /** True if `--replace` does not replace it because of its state. */
  readonly isKept?: boolean;
}

/** A message that is printed with the other lines of the unit. */
export interface Note {
  readonly on: "out" | "err";
  readonly text: string;
}

/** A unit cannot be created. */
export class CreationError extends Error {
  override name = "CreationError";
  constructor(readonly reason: string, options?: ErrorOptions) {
    super(`Error creating units: ${reason}`, options);
  }
}

/** The places where content is searched, and their precedence. */
export interface Sourcing {
  readonly client: ApiClient;
  readonly io: Io;
  /** True if local content takes precedence over that of the cluster. */
  readonly replace: boolean;
  /** Desired states in which a unit may be replaced. */
  readonly replaceable: ReadonlySet<string>;
  /** Returns the plan of an earlier argument of the same command for that name. */
  readonly earlier: (name: string) => Promise<UnitPlan> | undefined;
}

/** Plans one unit. Throws {@link CreationError}. */
export async function planUnit(unit: NamedUnit, sourcing: Sourcing): Promise<UnitPlan> {
  let existing: UnitEntity | undefined;
  try {
    existing = await sourcing.client.unit(unit.name);
  } catch (cause) {
    throw new CreationError(`cannot retrieve unit ${unit.name}: ${reasonOf(cause)}`, { cause });
  }
  return existing ? await planExisting(unit, existing, sourcing) : { ...unit, ...await findContent(unit, sourcing) };
}

/** Returns the options of an API entity, which leaves out empty strings. */
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
  const local = await localContent(unit, sourcing.io).catch((error: CreationError) => {
    if (sourcing.replace) throw error;
    sourcing.io.log("WARN", `Unit ${unit.name} in the cluster cannot be compared: ${error.reason}`);
    return undefined;
  });
  if (!local) {
    if (!sourcing.replace) return keep();
    throw new CreationError(`cannot replace unit ${unit.name}: no local file ${unit.file}, nor one of its template`);
  }
  const { options } = local.file;
  const same = sameContent(options, optionsOf(existing.options));
  if (!sourcing.replace) return same ? keep() : keep(differs(unit.name, unit.file, local.template !== undefined));
  const template = local.template ? { template: local.template } : {};
  if (same) {
    return { ...keep({ on: "out", text: `Found same Unit(${unit.name}) in Registry, nothing to do` }), ...template };
  }
  const state = existing.desiredState ?? "inactive";
  if (sourcing.replaceable.has(state)) return { ...keep(), options, local: local.file, ...template };
  const text = `Warning: can not replace Unit(${unit.name}) in state '${state}', use the appropriate command`;
  return { ...keep({ on: "err", text: `${text}: ${replacing(state)}` }), isKept: true };
}

/** Returns the command that replaces a unit in a state. */
function replacing(state: string): string {
  return `fleetctl ${state === "launched" ? "start" : "load"} --replace`;
}

async function findContent(unit: NamedUnit, sourcing: Sourcing): Promise<Content> {
  const own = await readLocal(unit.file, sourcing.io);
  if (own) return contentOf(own);
  const template = templateOf(unit.name);
  if (template === undefined) {
    throw new CreationError(
      await unsupportedType(unit.argument, sourcing.io) ?? await whyNotFound(unit, sourcing),
    );
  }
  const submitted = await templateInCluster(template, sourcing);
  const local = await readLocal(beside(unit.file, template), sourcing.io);
  if (submitted && local && !sameContent(submitted, local.options)) {
    return sourcing.replace
      ? { ...contentOf(instanceFile(local)), template: local }
      : { options: instanceOptions(submitted), notes: [differs(template, unit.file, true)] };
  }
  if (submitted) return { options: instanceOptions(submitted), notes: [] };
  if (local) return contentOf(instanceFile(local));
  throw new CreationError(await whyNotFound(unit, sourcing));
}

function contentOf(local: LocalFile): Content {
  return { options: local.options, local, notes: [] };
}

async function templateInCluster(
  template: string,
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
    throw new CreationError(`cannot retrieve template ${template}: ${reasonOf(cause)}`, { cause });
  }
}

/** Reads the local file of a unit, or makes it of that of its template. */
async function localContent(
  unit: NamedUnit,
  io: Io,
): Promise<{ readonly file: LocalFile; readonly template?: LocalFile } | undefined> {
  const own = await readLocal(unit.file, io);
  if (own) return { file: own };
  const template = templateOf(unit.name);
  if (template === undefined) return undefined;
  const shared = await readLocal(beside(unit.file, template), io);
  return shared && { file: instanceFile(shared), template: shared };
}

async function readLocal(path: string, io: Io): Promise<LocalFile | undefined> {
  try {
    return await readLocalFile(path, io);
  } catch (cause) {
    const line = cause instanceof LocalFileError && cause.line !== undefined ? `line ${cause.line}: ` : "";
    throw new CreationError(`cannot use ${path}: ${line}${reasonOf(cause)}`, { cause });
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
