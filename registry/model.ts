/**
 * The data model of a cluster, shared by all folders. Values only. Pure.
 *
 * @module
 */

import type { UnitOption } from "../systemd/unit_file.ts";
import type { Requirements } from "./requirements.ts";

/** A full unit name, for example `hello@1.service`. */
export type UnitName = string;

/** The 32 hexadecimal digits of machine-id(5). */
export type MachineId = string;

/** A revision of the store, which increases with every transaction that writes (etcd's `revision`). 0 means "never". */
export type Revision = number;

/** The state of a unit that an operator has requested. */
export type DesiredState = "inactive" | "loaded" | "launched";

/** Every {@link DesiredState}, from least to most. */
export const desiredStates: readonly DesiredState[] = ["inactive", "loaded", "launched"];

/** A unit in the store, without the text of its file (see {@link UnitFileText}). */
export interface Unit {
  readonly name: UnitName;
  /** SHA-1 of the serialized unit file, 40 lower-case hexadecimal digits. Equal hashes mean equal files. */
  readonly hash: string;
  /** The options of its [X-Fleet] section, in order. */
  readonly fleetOptions: readonly UnitOption[];
  /** {@link fleetOptions}, parsed once. */
  readonly requirements: Requirements;
  readonly desiredState: DesiredState;
  /** Revision of the latest request for a restart; 0 if there was none. */
  readonly restart: Revision;
  /** True if the request at {@link restart} is for a start: a running unit is not restarted. */
  readonly startOnly?: true;
  /** Revision at which the desired state became `launched`; 0 while it is another one. */
  readonly launchedAt: Revision;
  /** Revision at which this record was last written. */
  readonly revision: Revision;
  /** The author of the last change, if known. */
  readonly changed?: Authorship;
  /** The files that the unit has had, newest last; see `versions.ts`. */
  readonly versions?: readonly UnitVersion[];
  readonly unknownFields?: UnknownFields;
  /**
   * Why the record cannot be decoded. The desired state is then unknown, and the unit is left unchanged: hash, options,
   * desired state and restart are those of its assignment, or empty.
   */
  readonly unreadable?: string;
}

/** A file that a unit has, or has had. */
export interface UnitVersion {
  /** 1 for the unit's first file, and one more for each file that replaces another. */
  readonly number: number;
  /** SHA-1 of the serialized file. */
  readonly hash: string;
  /** The author of the change that brought it, if known. */
  readonly changed?: Authorship;
}

/** Fields of a stored value that this version does not know, and keeps when it writes the value again. */
export type UnknownFields = Readonly<Record<string, unknown>>;

/** The author and the time of a change. */
export interface Authorship {
  /** A token, a certificate, a user or an address, for people to read. */
  readonly by: string;
  /** Wall clock of the daemon that received the request, milliseconds since the epoch. */
  readonly at_ms: number;
}

/** The serialized text of a unit file, stored once per hash. */
export interface UnitFileText {
  readonly hash: string;
  readonly text: string;
  /** Revision at which it was last written. */
  readonly revision: Revision;
}

/** The machine that the engine chose for a unit, and the reason. */
export interface Target {
  readonly unit: UnitName;
  readonly machine: MachineId;
  /** The reason, a sentence for people to read. */
  readonly why: string;
  /** Wall clock of the engine that decided, milliseconds since the epoch. */
  readonly since_ms: number;
  readonly revision: Revision;
  readonly unknownFields?: UnknownFields;
  /** The reason why the record cannot be decoded. `machine` is then the one of the unit's assignment; "" without one, or if it was not read. */
  readonly unreadable?: string;
}

/** The engine's instruction to one machine's agent about one unit. */
export interface Assignment {
  readonly unit: UnitName;
  readonly machine: MachineId;
  readonly hash: string;
  readonly desiredState: DesiredState;
  readonly restart: Revision;
  /** True if the request at {@link restart} is for a start: a running unit is not restarted. */
  readonly startOnly?: true;
  readonly revision: Revision;
  /** The reason why the record cannot be decoded. Only the unit and the machine are then known, from its key. */
  readonly unreadable?: string;
}

/** A machine's record, written by its daemon. */
export interface MachineRecord {
  readonly id: MachineId;
  /** Public address, or "" if unknown. */
  readonly ip: string;
  /** Base URL of this machine's API for other daemons, if it has one. */
  readonly apiAddress?: string;
  /** A random text, new at each boot: the same after a restart of the daemon, another one after a reboot. */
  readonly incarnation: string;
  /** Metadata of its configuration. */
  readonly staticMetadata: Readonly<Record<string, string>>;
  readonly capabilities: {
    readonly disableEngine: boolean;
    /** True if podman's generator is there, which makes services of Quadlet files. */
    readonly quadlet?: true;
  };
  /** TTL of the lease that the record is bound to, milliseconds; absent if its daemon does not know StopWhenDisconnected=. */
  readonly leaseTtl_ms?: number;
  readonly version: string;
}

/** A machine that is present: its daemon holds a lease. */
export interface Machine extends MachineRecord {
  /** Effective metadata: static overlaid with dynamic; a dynamic "" hides the key. */
  readonly metadata: Readonly<Record<string, string>>;
  /** The reason why the record cannot be decoded. The machine is present, and nothing else is known of it. */
  readonly unreadable?: string;
}

/** The state of one unit, published by a machine's agent and bound to the daemon's lease. */
export interface UnitState {
  readonly unit: UnitName;
  readonly machine: MachineId;
  /** Hash of the file that is on the machine's disk. */
  readonly hash: string;
  /** The agent's last command: `loaded` (the file is installed), `launched` (a start was issued), or `inactive` (neither succeeded). */
  readonly commanded: DesiredState;
  /** The last {@link Unit.restart} that was carried out; 0 if none. */
  readonly restart: Revision;
  /** The error of the latest command, if it failed. */
  readonly error?: string;
  /** True if the command fails again until the unit's file or the machine's configuration changes. Only with `error`. */
  readonly permanent?: true;
  /** The failed attempts at the command so far, if it is tried again. Only with `error`. */
  readonly tries?: number;
  /** Wall clock of the machine at the next attempt, milliseconds since the epoch. Only with `tries`. */
  readonly retryAt_ms?: number;
  /** systemd's `Result` property if it is not `success`, for example `exit-code`. */
  readonly result?: string;
  /** The result of the daemon's latest start job, for example `done`, if the unit is not active. */
  readonly job?: string;
  /** The number of automatic restarts by systemd since the service was last started; absent if none. */
  readonly restarts?: number;
  /** systemd's LoadState, ActiveState and SubState. */
  readonly load: string;
  readonly active: string;
  readonly sub: string;
  /** The time of the last change of state, milliseconds since the epoch (systemd's StateChangeTimestamp). */
  readonly since_ms: number;
}

/** The leader among the engines. */
export interface Leader {
  readonly machine: MachineId;
  readonly version: string;
  /** The reason why the record cannot be decoded. There is a leader, but it is unknown which machine it is. */
  readonly unreadable?: string;
}

/** The reason why a machine is not expected back: it was stopped in good order, or was given up after a {@link MassLoss}. */
export type Departure = "stopped" | "lost";

/** A loss of so many machines at once that the engine waits for them to come back, and moves no unit of absent machines. */
export interface MassLoss {
  /** The lost machines, in order; some may be back. */
  readonly machines: readonly MachineId[];
  /** Wall clock of the engine that began the wait, milliseconds since the epoch: its beginning, and its expected end. */
  readonly since_ms: number;
  readonly until_ms: number;
  /** True if the wait is over: the engine gives up the machines that are still missing. */
  readonly isOver: boolean;
  /** Revision of the record. */
  readonly revision: Revision;
}

/** All data of the store at one revision. Immutable. */
export interface Cluster {
  /** Random ID of the store, written by the first daemon that found it empty. */
  readonly id: string;
  readonly revision: Revision;
  /** Jobs and global units. */
  readonly units: ReadonlyMap<UnitName, Unit>;
  readonly files: ReadonlyMap<string, UnitFileText>;
  readonly targets: ReadonlyMap<UnitName, Target>;
  readonly assignments: ReadonlyMap<UnitName, Assignment>;
  readonly machines: ReadonlyMap<MachineId, Machine>;
  /** Machines that have left the cluster, and so get no grace period. Omitted if there are none. */
  readonly departed?: ReadonlyMap<MachineId, Departure>;
  /** Omitted if the engine does not wait for machines after a mass loss. */
  readonly massLoss?: MassLoss;
  /** Dynamic metadata, also of absent machines. */
  readonly dynamicMetadata: ReadonlyMap<MachineId, Readonly<Record<string, string>>>;
  readonly states: ReadonlyMap<UnitName, ReadonlyMap<MachineId, UnitState>>;
  readonly leader?: Leader;
}

/** The part of the store that concerns one machine's agent. Immutable. */
export interface MachineView {
  readonly id: string;
  readonly revision: Revision;
  readonly machine: MachineId;
  readonly assignments: ReadonlyMap<UnitName, Assignment>;
  readonly globals: ReadonlyMap<UnitName, Unit>;
  /**
   * Units whose desired state is unknown: their assignment or global record cannot be decoded, and they have no other one. Or
   * they were assigned to another machine while this one was cut off, and that one has not started them yet.
   */
  readonly unreadable: ReadonlySet<UnitName>;
  readonly dynamicMetadata: Readonly<Record<string, string>>;
}

/** Returns static metadata overlaid with dynamic metadata; an empty dynamic value hides the key. */
export function effectiveMetadata(
  staticMetadata: Readonly<Record<string, string>>,
  dynamic: Readonly<Record<string, string>>,
): Record<string, string> {
  const merged: Record<string, string> = Object.create(null);
  for (const source of [staticMetadata, dynamic]) {
    for (const [key, value] of Object.entries(source)) merged[key] = value;
  }
  for (const [key, value] of Object.entries(dynamic)) if (value === "") delete merged[key];
  return { ...merged };
}

/** Returns the state that a unit has reached on the machine of its target. */
export function currentState(
  target: Target | undefined,
  states: ReadonlyMap<MachineId, UnitState> | undefined,
): DesiredState {
  const state = target && states?.get(target.machine);
  return state ? state.commanded : "inactive";
}
