/**
 * The format of backups: a directory with a unit file for each unit, and `backup.json` with everything else. Restores
 * compare it with the cluster.
 *
 * @module
 */

import type { BackupEntity, PlannedUnitEntity, UnitEntity } from "../../daemon/api/v1/types.ts";
import { type DesiredState, desiredStates } from "../../registry/model.ts";
import { serializeUnitFile, type UnitOption } from "../../systemd/unit_file.ts";
import { recognizedTypes, validateUnitName } from "../../systemd/unit_name.ts";
import { type Io, reasonOf } from "../terminal/port.ts";
import { LocalFileError, readLocalFile } from "./local_file.ts";
import { optionsOf } from "./resolve_source.ts";

/** The file that makes a directory a backup. It is written last. */
export const backupFile = "backup.json";

/** Raised when an older fleetctl must not restore a backup, since it would misread or leave out a part. */
const format = 1;

/** A unit of a backup. */
export interface SavedUnit {
  readonly name: string;
  readonly options: readonly UnitOption[];
  readonly desiredState: DesiredState;
}

/** Dynamic metadata of machines, by machine ID and key; an empty value hides a static key. */
type Metadata = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** A backup that was read, and the reasons why it cannot be used; none if it can. */
export interface Backup {
  /** In the order in which they are restored: launched units in the order of their launch. */
  readonly units: readonly SavedUnit[];
  readonly metadata: Metadata;
  /** Unit files that `backup.json` does not name. */
  readonly ignored: readonly string[];
  readonly errors: readonly string[];
}

/** Returns the files of a backup by name, and for each unit that cannot be saved its name and the reason. */
export function backupFiles(
  { units, metadata, revision }: BackupEntity,
  origin: { readonly fleet: string; readonly taken_ms: number },
): { readonly files: ReadonlyMap<string, string>; readonly skipped: ReadonlyMap<string, string> } {
  const files = new Map<string, string>();
  const skipped = new Map<string, string>();
  const saved: Record<string, { readonly desiredState: string }> = {};
  for (const { name, options, desiredState = "inactive", unreadable } of units) {
    const why = unreadable ?? validateUnitName(name) ?? (options?.length ? undefined : "the cluster has no file of it");
    if (why === undefined) {
      files.set(name, serializeUnitFile(optionsOf(options)));
      saved[name] = { desiredState };
    } else skipped.set(name, why);
  }
  const machines = Object.fromEntries(Object.entries(metadata).map(([id, metadata]) => [id, { metadata }]));
  const taken = new Date(origin.taken_ms).toISOString();
  const rest = { format, fleet: origin.fleet, taken, revision, units: saved, machines };
  files.set(backupFile, JSON.stringify(rest, undefined, 2) + "\n");
  return { files, skipped };
}

/** Reads a backup. */
export async function readBackup(io: Io, directory: string): Promise<Backup> {
  const below = (name: string) => `${directory.replace(/(.)\/+$/, "$1")}/${name}`;
  const refused = (error: string): Backup => ({ units: [], metadata: {}, ignored: [], errors: [error] });
  const path = below(backupFile);
  const text = await io.readFile(path).catch((error) => new Error(reasonOf(error)));
  if (text === undefined) return refused(`${directory}: there is no ${backupFile}: it is no backup, or incomplete`);
  if (text instanceof Error) return refused(`${path}: ${text.message}`);
  const manifest = readManifest(text);
  if (typeof manifest === "string") return refused(`${path}: ${manifest}`);
  const errors: string[] = [];
  const units: SavedUnit[] = [];
  for (const [name, desiredState] of manifest.units) {
    const file = await readLocalFile(below(name), io).catch((error) => {
      if (!(error instanceof LocalFileError)) throw error;
      return error;
    });
    if (file === undefined) errors.push(`${below(name)}: there is no such file, but ${backupFile} names it`);
    else if (file instanceof LocalFileError) errors.push(`${file.path}: ${file.message}`);
    else units.push({ name, options: file.options, desiredState });
  }
  const others = (await io.filesIn(directory)).filter((name) => !manifest.units.has(name) && isUnitFile(name));
  return { units, metadata: manifest.metadata, ignored: others.sort().map(below), errors };
}

function isUnitFile(name: string): boolean {
  return recognizedTypes.includes(/^[^.].*\.([^.]+)$/.exec(name)?.[1] ?? "");
}

type Manifest = { readonly units: ReadonlyMap<string, DesiredState>; readonly metadata: Metadata };

/** Parses `backup.json`, or returns why it cannot be used. Fields that a newer version has added are ignored. */
function readManifest(text: string): Manifest | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return `it is not JSON: ${reasonOf(error)}`;
  }
  const { format: found, units = {}, machines = {} } = objectOf(value);
  if (found !== format) {
    const known = `this fleetctl knows format ${format}`;
    return `its format is ${JSON.stringify(found)}, and ${known}: use the fleetctl that has written it, or a newer one`;
  }
  const states = new Map<string, DesiredState>();
  for (const [name, unit] of Object.entries(objectOf(units))) {
    const { desiredState } = objectOf(unit);
    const known = desiredStates.find((state) => state === desiredState);
    const wrong = validateUnitName(name) ??
      (known ? undefined : `its desiredState is ${JSON.stringify(desiredState)}: expect ${desiredStates.join(", ")}`);
    if (wrong !== undefined) return `unit ${JSON.stringify(name)}: ${wrong}`;
    states.set(name, known!);
  }
  const metadata: Record<string, Readonly<Record<string, string>>> = {};
  for (const [id, machine] of Object.entries(objectOf(machines))) {
    const values = objectOf(objectOf(machine)["metadata"]);
    const wrong = Object.entries(values).find(([, value]) => typeof value !== "string");
    if (wrong) return `machine ${JSON.stringify(id)}: metadata ${JSON.stringify(wrong[0])} is not text`;
    metadata[id] = values as Readonly<Record<string, string>>;
  }
  return { units: states, metadata };
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? value as Readonly<Record<string, unknown>> : {};
}

/** A label that a restore writes. `was`: the value in the cluster, if it has one. */
export interface LabelChange {
  readonly machine: string;
  readonly key: string;
  readonly value: string;
  readonly was?: string;
}

/** The difference between a backup and the cluster. */
export interface RestorePlan {
  /** Units of the backup, in its order: created, replaced, updated, or left as they are. */
  readonly units: readonly PlannedUnitEntity[];
  readonly labels: readonly LabelChange[];
  /** Units of the cluster that the backup does not have: they are left as they are. */
  readonly kept: readonly string[];
}

/** Compares a backup with the cluster. */
export function planRestore(
  { units, metadata }: Pick<Backup, "units" | "metadata">,
  cluster: BackupEntity,
): RestorePlan {
  const present = new Map(cluster.units.map((unit) => [unit.name, unit]));
  const names = new Set(units.map(({ name }) => name));
  const labels = Object.entries(metadata).flatMap(([machine, values]) => {
    const known = cluster.metadata[machine] ?? {};
    return Object.entries(values).filter(([key, value]) => known[key] !== value)
      .map(([key, value]) => ({ machine, key, value, ...known[key] !== undefined && { was: known[key] } }));
  });
  return {
    units: units.map((unit) => planUnit(unit, present.get(unit.name))),
    labels,
    kept: cluster.units.map(({ name }) => name).filter((name) => !names.has(name)),
  };
}

function planUnit({ name, options, desiredState }: SavedUnit, was: UnitEntity | undefined): PlannedUnitEntity {
  if (!was) return { name, change: "create", desiredState };
  const isSameFile = was.unreadable === undefined &&
    serializeUnitFile(optionsOf(was.options)) === serializeUnitFile(options);
  const change = !isSameFile ? "replace" : was.desiredState !== desiredState ? "update" : "none";
  return { name, change, desiredState, was };
}
