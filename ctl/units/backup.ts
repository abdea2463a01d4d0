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
import { attachedFiles } from "../../registry/attached_files.ts";
import { inParallel } from "../../runtime/parallel.ts";
import type { ApiClient } from "../api/client.ts";
import type { Contents } from "../../registry/attach_contents.ts";
import { storedContent } from "./attached_contents.ts";
import { type Io, reasonOf } from "../terminal/port.ts";
import { LocalFileError, readLocalFile } from "./local_file.ts";
import { optionsOf } from "./resolve_source.ts";

/** The file that makes a directory a backup. It is written last. */
export const backupFile = "backup.json";

/**
 * Raised when an older fleetctl must not restore a backup, since it would misread or leave out a part. A backup without
 * attached files has format 1.
 */
const format = 2;

/** A unit of a backup. */
export interface SavedUnit {
  readonly name: string;
  readonly options: readonly UnitOption[];
  readonly desiredState: DesiredState;
  /** The application that owns it. */
  readonly app?: string;
}

/** Dynamic metadata of machines, by machine ID and key; an empty value hides a static key. */
type Metadata = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** A backup that was read, and the reasons why it cannot be used; none if it can. */
export interface Backup {
  /** In the order in which they are restored: launched units in the order of their launch. */
  readonly units: readonly SavedUnit[];
  readonly metadata: Metadata;
  /** Machines that take no new units, by ID, with the reason or "". */
  readonly cordons: ReadonlyMap<string, string>;
  /** The contents that the units name. */
  readonly contents: Contents;
  /** Unit files that `backup.json` does not name. */
  readonly ignored: readonly string[];
  readonly errors: readonly string[];
}

/** Returns the contents that the units of a backup name. Throws if the cluster does not have one. */
export async function savedContents(client: ApiClient, { units }: BackupEntity): Promise<Contents> {
  const files = units.flatMap(({ options }) => attachedFiles(optionsOf(options)));
  const byHash = new Map(files.flatMap((file) => file.content ? [[file.content.hash, file] as const] : []));
  const contents = await inParallel(
    [...byHash],
    async ([hash, file]) => [hash, await storedContent(client, file)] as const,
  );
  return new Map(contents);
}

/** Returns the files of a backup by name, and for each unit that cannot be saved its name and the reason. */
export function backupFiles(
  { units, metadata, cordons = [], revision }: BackupEntity,
  contents: Contents,
  origin: { readonly fleet: string; readonly taken_ms: number },
): { readonly files: ReadonlyMap<string, string>; readonly skipped: ReadonlyMap<string, string> } {
  const files = new Map<string, string>();
  const skipped = new Map<string, string>();
  const saved: Record<string, { readonly desiredState: string; readonly app?: string }> = {};
  for (const { name, options, desiredState = "inactive", unreadable, app } of units) {
    const why = unreadable ?? validateUnitName(name) ?? (options?.length ? undefined : "the cluster has no file of it");
    if (why === undefined) {
      files.set(name, serializeUnitFile(optionsOf(options)));
      saved[name] = { desiredState, ...app !== undefined && { app } };
    } else skipped.set(name, why);
  }
  const machines: Record<string, unknown> = {};
  for (const [id, values] of Object.entries(metadata)) machines[id] = { metadata: values };
  for (const { machineID: id, why = "" } of cordons) {
    machines[id] = { metadata: metadata[id] ?? {}, cordon: { why } };
  }
  const taken = new Date(origin.taken_ms).toISOString();
  const encoded = Object.fromEntries([...contents].map(([hash, bytes]) => [hash, bytes.toBase64()]));
  const head = { format: contents.size === 0 ? 1 : format, fleet: origin.fleet, taken, revision };
  const rest = { ...head, units: saved, machines, ...contents.size > 0 && { contents: encoded } };
  files.set(backupFile, JSON.stringify(rest, undefined, 2) + "\n");
  return { files, skipped };
}

/** Reads a backup. */
export async function readBackup(io: Io, directory: string): Promise<Backup> {
  const below = (name: string) => `${directory.replace(/(.)\/+$/, "$1")}/${name}`;
  const refused = (error: string): Backup => ({
    units: [],
    metadata: {},
    cordons: new Map(),
    contents: new Map(),
    ignored: [],
    errors: [error],
  });
  const path = below(backupFile);
  const text = await io.readFile(path).catch((error) => new Error(reasonOf(error)));
  if (text === undefined) {
    return refused(`${directory}: there is no ${backupFile}: it is not a backup, or it is incomplete`);
  }
  if (text instanceof Error) return refused(`${path}: ${text.message}`);
  const manifest = readManifest(text);
  if (typeof manifest === "string") return refused(`${path}: ${manifest}`);
  const errors: string[] = [];
  const units: SavedUnit[] = [];
  for (const [name, saved] of manifest.units) {
    const file = await readLocalFile(below(name), io).catch((error) => {
      if (!(error instanceof LocalFileError)) throw error;
      return error;
    });
    if (file === undefined) errors.push(`${below(name)}: there is no such file, but ${backupFile} names it`);
    else if (file instanceof LocalFileError) errors.push(`${file.path}: ${file.message}`);
    else units.push({ name, options: file.options, ...saved });
  }
  const names = await io.filesIn(directory) ?? [];
  const others = names.filter((name) => !manifest.units.has(name) && isUnitFile(name));
  const { metadata, cordons, contents } = manifest;
  return { units, metadata, cordons, contents, ignored: others.sort().map(below), errors };
}

function isUnitFile(name: string): boolean {
  return recognizedTypes.includes(/^[^.].*\.([^.]+)$/.exec(name)?.[1] ?? "");
}

interface Manifest {
  readonly units: ReadonlyMap<string, Pick<SavedUnit, "desiredState" | "app">>;
  readonly metadata: Metadata;
  readonly cordons: ReadonlyMap<string, string>;
  readonly contents: Contents;
}

/** Parses `backup.json`, or returns why it cannot be used. Fields that a newer version has added are ignored. */
function readManifest(text: string): Manifest | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return `it is not JSON: ${reasonOf(error)}`;
  }
  const { format: found, units = {}, machines = {}, contents: encoded = {} } = objectOf(value);
  if (typeof found !== "number" || found < 1 || found > format) {
    const known = `this fleetctl knows format ${format}`;
    return `its format is ${JSON.stringify(found)}, and ${known}: use the fleetctl that has written it, or a newer one`;
  }
  const states = new Map<string, Pick<SavedUnit, "desiredState" | "app">>();
  for (const [name, unit] of Object.entries(objectOf(units))) {
    const { desiredState, app } = objectOf(unit);
    const known = desiredStates.find((state) => state === desiredState);
    const wrong = validateUnitName(name) ??
      (known ? undefined : `its desiredState is ${JSON.stringify(desiredState)}: expect ${desiredStates.join(", ")}`);
    if (wrong !== undefined) return `unit ${JSON.stringify(name)}: ${wrong}`;
    states.set(name, { desiredState: known!, ...typeof app === "string" && { app } });
  }
  const metadata: Record<string, Readonly<Record<string, string>>> = {};
  const cordons = new Map<string, string>();
  for (const [id, machine] of Object.entries(objectOf(machines))) {
    const values = objectOf(objectOf(machine)["metadata"]);
    const wrong = Object.entries(values).find(([, value]) => typeof value !== "string");
    if (wrong) return `machine ${JSON.stringify(id)}: metadata ${JSON.stringify(wrong[0])} is not text`;
    if (Object.keys(values).length > 0) metadata[id] = values as Readonly<Record<string, string>>;
    const { cordon } = objectOf(machine);
    if (cordon !== undefined) cordons.set(id, String(objectOf(cordon)["why"] ?? ""));
  }
  const contents = new Map<string, Uint8Array>();
  for (const [hash, base64] of Object.entries(objectOf(encoded))) {
    try {
      contents.set(hash, Uint8Array.fromBase64(base64 as string));
    } catch {
      return `content ${JSON.stringify(hash)} is not base64`;
    }
  }
  return { units: states, metadata, cordons, contents };
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
  /** Machines that are cordoned in the backup and not in the cluster, with the reason or "". */
  readonly cordons: readonly { readonly machine: string; readonly why: string }[];
  /** Units of the cluster that the backup does not have: they are left as they are. */
  readonly kept: readonly string[];
}

/** Compares a backup with the cluster. */
export function planRestore(
  { units, metadata, cordons }: Pick<Backup, "units" | "metadata" | "cordons">,
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
    cordons: [...cordons].filter(([id]) => !cluster.cordons?.some(({ machineID }) => machineID === id))
      .map(([machine, why]) => ({ machine, why })),
    kept: cluster.units.map(({ name }) => name).filter((name) => !names.has(name)),
  };
}

function planUnit({ name, options, desiredState, app }: SavedUnit, was: UnitEntity | undefined): PlannedUnitEntity {
  if (!was) return { name, change: "create", desiredState };
  const isSameFile = was.unreadable === undefined &&
    serializeUnitFile(optionsOf(was.options)) === serializeUnitFile(options);
  const isSame = was.desiredState === desiredState && (app === undefined || was.app === app);
  const change = !isSameFile ? "replace" : isSame ? "none" : "update";
  return { name, change, desiredState, was };
}
