/**
 * The record of a migration: a file with the units that left the old cluster, and their desired state and machine there,
 * and with the machines of the old cluster. The old cluster forgets each of that when a unit stops or a machine leaves, so
 * the record is written before: an interrupted move can be continued, and a finished one taken back.
 *
 * @module
 */

import type { MachineEntity } from "../../daemon/api/v1/types.ts";
import { type DesiredState, desiredStates } from "../../registry/model.ts";
import { machineIdLegend } from "../machines/format.ts";
import { type Io, reasonOf } from "../terminal/port.ts";

/** Raised when an older fleetctl would misread the record. */
const format = 2;

/** A unit as the old cluster had it. */
export interface MovedUnit {
  readonly desiredState: DesiredState;
  readonly machineID?: string;
  /** True once this cluster has accepted the unit's desired state: what happens to the unit here is no longer the move's business. */
  readonly hasMoved?: boolean;
}

/** The units that left the old cluster, or are about to, by name. */
export type MovedUnits = ReadonlyMap<string, MovedUnit>;

/** One of the two clusters, as it is now. */
export interface ClusterNow {
  /** The endpoint of its API, for messages. */
  readonly endpoint: string;
  readonly machines: readonly MachineEntity[];
}

/**
 * A record. It belongs to two clusters: each is recognized by its machines, of which at least one must be known, since the
 * address of an API says little (`127.0.0.1` at the end of a tunnel) and changes with the machine that serves it.
 */
export class MoveRecord {
  private constructor(
    private readonly io: Io,
    readonly path: string,
    /** The machines of the old cluster by ID, with those that have left it. */
    readonly oldMachines: ReadonlyMap<string, MachineEntity>,
    private readonly newMachineIds: ReadonlySet<string>,
    private units: MovedUnits,
  ) {}

  /** Reads a record; an empty one if there is no such file. Throws if the file is no record, or that of other clusters. */
  static async read(io: Io, path: string, old: ClusterNow, here: ClusterNow): Promise<MoveRecord> {
    const text = await io.readFile(path).catch((cause) => {
      throw new Error(`cannot read ${path}: ${reasonOf(cause)}`, { cause });
    });
    const file = text === undefined ? { format, oldMachines: {}, newMachines: [], units: {} } : parse(path, text);
    const newIds = file.newMachines.map((id) => `${id}`);
    if (text !== undefined) {
      checkCluster(path, "an old cluster", "--from", Object.keys(file.oldMachines), old);
      checkCluster(path, "a new cluster", "--endpoint or --context", newIds, here);
    }
    const oldMachines = new Map(Object.entries(file.oldMachines).map(([id, machine]) => [id, { ...machine, id }]));
    for (const machine of old.machines) oldMachines.set(machine.id, machine);
    const newMachineIds = new Set([...newIds, ...here.machines.map(({ id }) => id)]);
    return new MoveRecord(io, path, oldMachines, newMachineIds, unitsOf(path, file.units));
  }

  /** The units that left the old cluster, or are about to. */
  get moved(): MovedUnits {
    return this.units;
  }

  /** Writes other units, and the machines. Throws if the file cannot be written; the units in memory are then the new ones. */
  async write(units: MovedUnits): Promise<void> {
    this.units = units;
    const machines = [...this.oldMachines].map(([id, { primaryIP = "", metadata = {} }]) =>
      [id, { primaryIP, metadata }] as const
    );
    const file: RecordFile = {
      format,
      oldMachines: Object.fromEntries(machines),
      newMachines: [...this.newMachineIds],
      units: Object.fromEntries(units),
    };
    await this.io.replaceFile(this.path, JSON.stringify(file, undefined, 2) + "\n").catch((cause) => {
      throw new Error(`cannot write ${this.path}: ${reasonOf(cause)}`, { cause });
    });
  }
}

/** Locks a record until the returned function is called. Throws if another fleetctl has it. */
export async function lockRecord(io: Io, path: string): Promise<() => void> {
  const lock = `${path}.lock`;
  const release = await io.lockFile(lock).catch((cause) => {
    throw new Error(`cannot lock ${lock}: ${reasonOf(cause)}`, { cause });
  });
  if (release) return release;
  throw new Error(`another fleetctl import is running with ${path}: wait until it has ended`);
}

interface RecordFile {
  readonly format: number;
  readonly oldMachines: Readonly<Record<string, Pick<MachineEntity, "primaryIP" | "metadata">>>;
  readonly newMachines: readonly string[];
  readonly units: Readonly<Record<string, MovedUnit>>;
}

function parse(path: string, text: string): RecordFile {
  const isObject = (value: unknown) => typeof value === "object" && value !== null;
  try {
    const file = JSON.parse(text) as RecordFile;
    const { format: written, oldMachines, newMachines, units } = file;
    if (written === format && isObject(oldMachines) && Array.isArray(newMachines) && isObject(units)) return file;
  } catch {
    // Not written by fleetctl: refused below.
  }
  throw new Error(`${path} is no record of fleetctl import that this fleetctl can read: name another file by --record`);
}

function unitsOf(path: string, units: RecordFile["units"]): MovedUnits {
  const moved = new Map<string, MovedUnit>();
  for (const [name, unit] of Object.entries(units)) {
    const desiredState = desiredStates.find((state) => state === unit?.desiredState);
    if (!desiredState) {
      throw new Error(`${path}: the desired state of ${name} is ${JSON.stringify(unit?.desiredState)}`);
    }
    moved.set(name, {
      desiredState,
      ...typeof unit.machineID === "string" && { machineID: unit.machineID },
      ...unit.hasMoved === true && { hasMoved: true },
    });
  }
  return moved;
}

/** Throws if a cluster has none of the machines that the record knows of it. */
function checkCluster(
  path: string,
  which: string,
  flag: string,
  recorded: readonly string[],
  { endpoint, machines }: ClusterNow,
): void {
  if (recorded.length === 0 || machines.some(({ id }) => recorded.includes(id))) return;
  const list = (ids: readonly string[]) => ids.map((id) => machineIdLegend(id, false)).join(", ") || "no machine";
  throw new Error(
    `${path} is the record of ${which} with ${list(recorded)}, but ${endpoint} has ${
      list(machines.map(({ id }) => id))
    }: name the right cluster by ${flag}, or another file by --record`,
  );
}
