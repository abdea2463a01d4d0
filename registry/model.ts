/**
 * The nouns of a cluster, as every room knows them. Values only: nothing here reads, writes or waits.
 *
 * @module
 */

import type { UnitOption } from "../systemd/unit_file.ts";
import type { Requirements } from "./requirements.ts";

/** A full unit name, for example `hello@1.service`. */
export type UnitName = string;

/** The 32 hexadecimal digits of machine-id(5). */
export type MachineId = string;

/** A revision of the store: grows with every transaction (etcd's `revision`). 0 stands for "never". */
export type Revision = number;

/** What an operator wants of a unit. */
export type DesiredState = "inactive" | "loaded" | "launched";

/** Every {@link DesiredState}, from least to most. */
export const desiredStates: readonly DesiredState[] = ["inactive", "loaded", "launched"];

/** A unit as the cluster remembers it, without the text of its file (see {@link UnitFileText}). */
export interface Unit {
  readonly name: UnitName;
  /** SHA-1 of the serialised unit file, 40 lower-case hexadecimal digits: two versions are the same if hashes match. */
  readonly hash: string;
  /** The options of its [X-Fleet] section, in order. */
  readonly fleetOptions: readonly UnitOption[];
  /** {@link fleetOptions}, parsed once. */
  readonly requirements: Requirements;
  readonly desiredState: DesiredState;
  /** Revision at which the latest restart was asked for; 0 if never. */
  readonly restart: Revision;
  /** True if the request at {@link restart} is for a start: a unit that runs is left alone. */
  readonly startOnly?: true;
  /** Revision at which it was last asked to be launched and has been wanted so ever since; 0 while not launched. */
  readonly launchedAt: Revision;
  /** Revision at which this record was last written. */
  readonly revision: Revision;
  /** Who asked for that, where it is known. */
  readonly changed?: Authorship;
  /**
   * Why the store's record of it cannot be read. Then nothing is known of what is wanted of it, so that it is left as it
   * is: hash, options, desired state and restart are those that its machine was told last, or say nothing.
   */
  readonly unreadable?: string;
}

/** Who made a change, and when. */
export interface Authorship {
  /** A token, a certificate, a user or an address, for people. */
  readonly by: string;
  /** Wall clock of the daemon that was asked, milliseconds since the epoch. */
  readonly at_ms: number;
}

/** The serialised text of a unit file, kept once per hash. */
export interface UnitFileText {
  readonly hash: string;
  readonly text: string;
  /** Revision at which it was last written. */
  readonly revision: Revision;
}

/** Which machine the engine chose for a unit, and why. */
export interface Target {
  readonly unit: UnitName;
  readonly machine: MachineId;
  /** A sentence a person can read. */
  readonly why: string;
  /** Wall clock of the engine that decided, milliseconds since the epoch. */
  readonly since_ms: number;
  readonly revision: Revision;
  /** Why it cannot be read. Then `machine` is the one that has orders for the unit, "" if none has or it was not looked for. */
  readonly unreadable?: string;
}

/** What one machine's agent is told to do with one unit. */
export interface Assignment {
  readonly unit: UnitName;
  readonly machine: MachineId;
  readonly hash: string;
  readonly desiredState: DesiredState;
  readonly restart: Revision;
  /** True if the request at {@link restart} is for a start: a unit that runs is left alone. */
  readonly startOnly?: true;
  readonly revision: Revision;
  /** Why it cannot be read. Then its key alone says something: which unit, and which machine. */
  readonly unreadable?: string;
}

/** What a daemon says of its machine. */
export interface MachineRecord {
  readonly id: MachineId;
  /** Public address, or "" if unknown. */
  readonly ip: string;
  /** Base URL at which this machine's API answers other daemons, if any. */
  readonly apiAddress?: string;
  /** Drawn at random once a boot: tells a restarted daemon (same) from a rebooted machine (new). */
  readonly incarnation: string;
  /** Metadata of its configuration. */
  readonly staticMetadata: Readonly<Record<string, string>>;
  readonly capabilities: { readonly disableEngine: boolean };
  readonly version: string;
}

/** A machine that is present: its daemon holds a lease. */
export interface Machine extends MachineRecord {
  /** Effective metadata: static overlaid with dynamic; a dynamic "" hides the key. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Why its record cannot be read. It is there all the same, but nothing is known of it. */
  readonly unreadable?: string;
}

/** What a machine's agent says of one unit. Lives and dies with the daemon's lease. */
export interface UnitState {
  readonly unit: UnitName;
  readonly machine: MachineId;
  /** Hash of the file that is on the machine's disk. */
  readonly hash: string;
  /** What the agent has commanded: file in place (`loaded`), start issued (`launched`); `inactive`: neither could be done. */
  readonly commanded: DesiredState;
  /** The {@link Unit.restart} that has been carried out; 0 if none. */
  readonly restart: Revision;
  /** Why the latest command failed, if it did. */
  readonly error?: string;
  /** The command will fail again until the unit's file or the machine's configuration changes. Only beside `error`. */
  readonly permanent?: true;
  /** systemd's `Result` property where it is not `success`, for example `exit-code`. */
  readonly result?: string;
  /** What systemd made of the latest start that this daemon commanded, for example `done`, where the unit is not active then. */
  readonly job?: string;
  /** How often systemd itself has started a service again since it was last started; absent if never. */
  readonly restarts?: number;
  /** systemd's LoadState, ActiveState and SubState. */
  readonly load: string;
  readonly active: string;
  readonly sub: string;
  /** When the active state was entered, milliseconds since the epoch (systemd's StateChangeTimestamp). */
  readonly since_ms: number;
}

/** Who leads the engines. */
export interface Leader {
  readonly machine: MachineId;
  readonly version: string;
  /** Why the record cannot be read. Somebody leads, but nobody can tell who. */
  readonly unreadable?: string;
}

/** Everything the store holds, at one revision. Never changed once handed out. */
export interface Cluster {
  /** Random id of the store, drawn by the first daemon that found it empty. */
  readonly id: string;
  readonly revision: Revision;
  /** Grows each time the view had to be read afresh (start, lost watch, compaction). */
  readonly epoch: number;
  /** Jobs and globals together. */
  readonly units: ReadonlyMap<UnitName, Unit>;
  readonly files: ReadonlyMap<string, UnitFileText>;
  readonly targets: ReadonlyMap<UnitName, Target>;
  readonly assignments: ReadonlyMap<UnitName, Assignment>;
  readonly machines: ReadonlyMap<MachineId, Machine>;
  /**
   * Machines that left the cluster in good order a short while ago: such a machine is not given time to come back. Left out
   * where there is none.
   */
  readonly departed?: ReadonlySet<MachineId>;
  /** Dynamic metadata, also of machines that are away. */
  readonly dynamicMetadata: ReadonlyMap<MachineId, Readonly<Record<string, string>>>;
  readonly states: ReadonlyMap<UnitName, ReadonlyMap<MachineId, UnitState>>;
  readonly leader?: Leader;
}

/** The part of the store that concerns one machine's agent. Never changed once handed out. */
export interface MachineView {
  readonly id: string;
  readonly revision: Revision;
  readonly epoch: number;
  readonly machine: MachineId;
  readonly assignments: ReadonlyMap<UnitName, Assignment>;
  readonly globals: ReadonlyMap<UnitName, Unit>;
  /** Units of which there are orders, or a global's record, that cannot be read, and none that can: they are neither wanted nor not. */
  readonly unreadable: ReadonlySet<UnitName>;
  readonly dynamicMetadata: Readonly<Record<string, string>>;
}

/** Static metadata overlaid with dynamic; an empty dynamic value hides the key (scheduling reference, section 1). */
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

/** What is true of a unit on the machine it is placed on (scheduling reference, section 7). */
export function currentState(
  target: Target | undefined,
  states: ReadonlyMap<MachineId, UnitState> | undefined,
): DesiredState {
  const state = target && states?.get(target.machine);
  return state ? state.commanded : "inactive";
}
