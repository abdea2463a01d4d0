/**
 * The data model of a cluster, shared by all folders. Values only. Pure.
 *
 * @module
 */

import type { UnitOption } from "../systemd/unit_file.ts";
import type { ContentName } from "./attached_files.ts";
import type { FailedMove, FailedOn } from "./failed_on.ts";
import type { Placed } from "./past.ts";
import type { Authorship, MachineId, Revision, UnitName } from "./identifiers.ts";
import { type Cordon, type Departure, type Drain, type MassLoss, type Rebalance, successorId } from "./maintenance.ts";
import type { Requirements } from "./requirements.ts";
import type { Capacity } from "./reservation.ts";
import type { NextVersion, UnitVersion } from "./unit_version.ts";

export type { Authorship, MachineId, Revision, UnitName } from "./identifiers.ts";
export * from "./maintenance.ts";
export type { NextVersion, UnitVersion } from "./unit_version.ts";

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
  /** The app that the unit belongs to; absent if it belongs to none. */
  readonly app?: AppName;
  /** The placements of a unit that was taken from its machine by a change, newest last. Its next target goes on with them. */
  readonly past?: readonly Placed[];
  /** The file that some machines run in place of {@link hash}. Only of a global unit; omitted if there is none. */
  readonly next?: NextVersion;
  readonly unknownFields?: UnknownFields;
  /**
   * The reason why the record cannot be decoded. The desired state is then unknown, and the unit is left unchanged: hash, options,
   * desired state and restart are those of its assignment, or empty.
   */
  readonly unreadable?: string;
}

/** Fields of a stored value that this version does not know, and keeps when it writes the value again. */
export type UnknownFields = Readonly<Record<string, unknown>>;

/** The name of an app: units that are deployed together. `apps.ts` says which names are valid. */
export type AppName = string;

/** An app and its history. Its units name it in {@link Unit.app}. */
export interface App {
  readonly name: AppName;
  /** The changes of its latest roll-outs, newest last; see `apps.ts`. */
  readonly versions: readonly AppVersion[];
  readonly revision: Revision;
  readonly unknownFields?: UnknownFields;
  /** The reason why the record cannot be decoded. The versions are then unknown. */
  readonly unreadable?: string;
}

/** The changes of one roll-out. */
export interface AppVersion {
  /** 1 for the first roll-out of the app that changed anything, and one more for each one after it. */
  readonly number: number;
  readonly what: RolloutPurpose;
  /** The author of the roll-out, if known. */
  readonly changed?: Authorship;
  readonly units: readonly UnitDelta[];
}

/** The file and the desired state of a unit. */
export interface UnitSpec {
  /** SHA-1 of the serialized unit file. */
  readonly hash: string;
  readonly desiredState: DesiredState;
}

/** The difference that a roll-out makes to one unit. */
export interface UnitDelta {
  readonly unit: UnitName;
  /** Absent if the unit does not exist before. */
  readonly before?: UnitSpec;
  /** Absent if the unit does not exist afterwards. */
  readonly after?: UnitSpec;
}

/** Every command that begins a roll-out. */
export const rolloutPurposes = ["apply", "scale", "rollback"] as const;
export type RolloutPurpose = (typeof rolloutPurposes)[number];

/**
 * The states of a roll-out. The leader works on `running` and `rolling-back` ones. `preparing`: its files are still being
 * written. An ended one never changes again: `done`; `failed`, which leaves units as they are; `rolled-back`, after which
 * all units are as before; `aborted` by an operator, which leaves units as they are, too.
 */
export const rolloutStatuses = [
  "preparing",
  "running",
  "paused",
  "rolling-back",
  "done",
  "failed",
  "rolled-back",
  "aborted",
] as const;
export type RolloutStatus = (typeof rolloutStatuses)[number];

/**
 * The progress of one step. `changing` and `undoing`: the unit is written, and not yet healthy. `healthy` and `undone`: the
 * step, or its way back, is complete. `failed`: the unit did not become healthy. `staging` and `unstaging`: a global unit
 * gets its file, or goes back to the one before, from machine to machine (see {@link NextVersion}).
 */
export const stepStates = [
  ...["pending", "changing", "healthy", "failed", "undoing", "undone"] as const,
  ...["staging", "unstaging"] as const,
] as const;
export type StepState = (typeof stepStates)[number];

/** The change of one unit by a roll-out, and its progress. */
export interface RolloutStep extends UnitDelta {
  /** Revision of the unit that the roll-out was planned on; 0 if it did not exist. */
  readonly planned: Revision;
  readonly state: StepState;
  /** Revision of the roll-out's latest write of the unit; 0 if it has not written the unit yet. */
  readonly written: Revision;
}

/** A change of many units of one app, carried out by the leader in steps. The store keeps the latest one of each app. */
export interface Rollout {
  readonly app: AppName;
  /** Random text: another roll-out of the app has another one. */
  readonly id: string;
  readonly what: RolloutPurpose;
  /** The author, if known. */
  readonly changed?: Authorship;
  /** The number of instances of a template, or of machines of a global unit, that are changed at once; absent: as `MaxParallel=` of each says. */
  readonly maxParallel?: number;
  /** True if a failure changes the units back. */
  readonly rollback: boolean;
  /** True if it takes back the roll-out before it, as an operator has requested. */
  readonly isUndo?: true;
  /** In the order in which they are carried out. */
  readonly steps: readonly RolloutStep[];
  readonly status: RolloutStatus;
  /** The reason why it has failed, goes back or is paused, for people to read. */
  readonly reason?: string;
  /** Revision of its latest progress. */
  readonly revision: Revision;
  /** The reason why its record cannot be decoded. It counts as failed, without steps. */
  readonly unreadable?: string;
}

/** The serialized text of a unit file, stored once per hash. */
export interface UnitFileText {
  readonly hash: string;
  readonly text: string;
  /** Revision at which it was last written. */
  readonly revision: Revision;
}

/** The content of attached files, without its bytes. */
export interface StoredContent extends ContentName {
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
  readonly failedOn?: FailedOn;
  /** The earlier placements of the unit, newest last. Omitted if there are none. */
  readonly past?: readonly Placed[];
  /** The machine of a second copy (see {@link Cluster.successors}); absent unless the unit is about to move. */
  readonly successor?: MachineId;
  readonly failedMove?: FailedMove;
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
    /** True if its daemon delivers the attached files of units. */
    readonly files?: true;
    /** True if its engine carries out roll-outs, and keeps their files. */
    readonly rollouts?: true;
    /** True if its agent starts a copy of a unit that is to replace the one on another machine. */
    readonly successors?: true;
    /** True if its engine changes global units from machine to machine, and its agent runs a {@link NextVersion}. */
    readonly stagedGlobals?: true;
    /** True if podman's generator is there, which makes services of Quadlet files. */
    readonly quadlet?: true;
  };
  /** TTL of the lease that the record is bound to, milliseconds; absent if its daemon does not know StopWhenDisconnected=. */
  readonly leaseTtl_ms?: number;
  /** Its capacity for units; absent if its daemon does not know reservations. */
  readonly capacity?: Capacity;
  readonly version: string;
}

/** A machine that is present: its daemon holds a lease. */
export interface Machine extends MachineRecord {
  /** Effective metadata: static overlaid with dynamic; a dynamic "" hides the key. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Omitted while the machine takes new units. */
  readonly cordon?: Cordon;
  /** True while a {@link Drain} keeps global units off the machine. */
  readonly stopsGlobals?: true;
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
  /** The failures of a unit with OnFailure=move that systemd has given up on, within the time of its MoveAfter=; absent if none. */
  readonly failures?: number;
  /** The outcome of the unit's latest health check; absent without a check, before the first, and while it is not active. */
  readonly health?: "passing" | "failing";
  /** The reason why the check fails. Only with `failing`. */
  readonly healthReason?: string;
  /** Wall clock of the machine when `health` became what it is, milliseconds since the epoch. Only with `health`. */
  readonly healthSince_ms?: number;
  /**
   * Set once a unit that is waited for has been healthy here for `MinHealthyTime=`: the {@link Assignment.revision} of a second
   * copy, the {@link Unit.launchedAt} of a global unit among {@link NextVersion.unproven}.
   */
  readonly settled?: Revision;
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

/** All data of the store at one revision. Immutable. */
export interface Cluster {
  /** Random ID of the store, written by the first daemon that found it empty. */
  readonly id: string;
  readonly revision: Revision;
  /** Jobs and global units. */
  readonly units: ReadonlyMap<UnitName, Unit>;
  readonly files: ReadonlyMap<string, UnitFileText>;
  /** The contents of attached files by hash. Omitted if there are none. */
  readonly contents?: ReadonlyMap<string, StoredContent>;
  readonly targets: ReadonlyMap<UnitName, Target>;
  readonly assignments: ReadonlyMap<UnitName, Assignment>;
  readonly machines: ReadonlyMap<MachineId, Machine>;
  /** Machines that have left the cluster, and so get no grace period. Omitted if there are none. */
  readonly departed?: ReadonlyMap<MachineId, Departure>;
  /** Omitted if the engine does not wait for machines after a mass loss. */
  readonly massLoss?: MassLoss;
  /** Machines that take no new jobs, also absent ones. Omitted if there are none. */
  readonly cordons?: ReadonlyMap<MachineId, Cordon>;
  /** Omitted if there are none. */
  readonly drains?: ReadonlyMap<MachineId, Drain>;
  /**
   * Second copies of units that are about to move, by {@link successorId}. One counts only if the unit's target names its
   * machine. Omitted if there are none.
   */
  readonly successors?: ReadonlyMap<string, Assignment>;
  /** Omitted if no unit is to move for balance. */
  readonly rebalance?: Rebalance;
  /** Dynamic metadata, also of absent machines. */
  readonly dynamicMetadata: ReadonlyMap<MachineId, Readonly<Record<string, string>>>;
  readonly states: ReadonlyMap<UnitName, ReadonlyMap<MachineId, UnitState>>;
  readonly leader?: Leader;
  /** Omitted if there are none. */
  readonly apps?: ReadonlyMap<AppName, App>;
  /** The latest roll-out of each app. Omitted if there are none. */
  readonly rollouts?: ReadonlyMap<AppName, Rollout>;
}

/** The part of the store that concerns one machine's agent. Immutable. */
export interface MachineView {
  readonly id: string;
  readonly revision: Revision;
  readonly machine: MachineId;
  /** Assignments, and second copies of units that are about to move here. */
  readonly assignments: ReadonlyMap<UnitName, Assignment>;
  /** Those of the {@link assignments} that are second copies. Omitted if there are none. */
  readonly copies?: ReadonlyMap<UnitName, Assignment>;
  /** True while a {@link Drain} keeps global units off the machine. */
  readonly stopsGlobals?: true;
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

/** Returns the second copy of a unit that is about to move; undefined if it has none. */
export function successorOf({ targets, successors }: Cluster, unit: UnitName): Assignment | undefined {
  const machine = targets.get(unit)?.successor;
  return machine === undefined ? undefined : successors?.get(successorId(machine, unit));
}
