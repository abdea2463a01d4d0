/**
 * The wire types of API v1: what daemon and clients say to each other. Types and constants only.
 *
 * @module
 */

/** Both prefixes answer alike. */
export const apiPrefixes = ["/fleet/v1", "/v1-alpha"] as const;

export interface UnitOptionEntity {
  readonly section?: string;
  readonly name?: string;
  readonly value?: string;
}

/** `inactive`, `loaded` or `launched`. */
export type StateName = string;

export interface UnitEntity {
  readonly name: string;
  readonly options?: readonly UnitOptionEntity[];
  readonly desiredState?: StateName;
  /** Absent for globals. */
  readonly currentState?: StateName;
  /** The machine it is placed on; absent while it is not, and for globals. */
  readonly machineID?: string;
  /** Why the store's record of it cannot be read. Then nobody can tell what is wanted of it, and it is left as it is. */
  readonly unreadable?: string;
}

export interface UnitPage {
  readonly units?: readonly UnitEntity[];
  readonly nextPageToken?: string;
}

export interface UnitStateEntity {
  readonly name: string;
  readonly hash?: string;
  readonly machineID?: string;
  readonly systemdLoadState?: string;
  readonly systemdActiveState?: string;
  readonly systemdSubState?: string;
}

export interface UnitStatePage {
  readonly states?: readonly UnitStateEntity[];
  readonly nextPageToken?: string;
}

export interface MachineEntity {
  readonly id: string;
  readonly primaryIP?: string;
  readonly metadata?: Readonly<Record<string, string>>;
}

export interface MachinePage {
  readonly machines?: readonly MachineEntity[];
  readonly nextPageToken?: string;
}

/** `GET /units/{name}/explain`: why a unit is where it is, or is not. */
export interface ExplanationEntity {
  readonly name: string;
  readonly desiredState: StateName;
  /** Absent for globals. */
  readonly currentState?: StateName;
  /** Hash of its newest file; "" where that cannot be read. */
  readonly hash: string;
  /** Store revision since which it has been wanted launched; absent while it is not. */
  readonly launched?: number;
  /** Store revision at which the latest restart was asked for; absent if never. */
  readonly restart?: number;
  /**
   * `placed` on a machine; `waiting` for one that is there; `global`; `inactive`: wanted nowhere; `template`: only its
   * instances can be wanted; `unreadable`: the store's record of it cannot be read, and it is left as it is.
   */
  readonly outcome: string;
  /** One sentence, without the unit's name. */
  readonly summary: string;
  /** The machine it is placed on, with why, and since when (milliseconds since the epoch). */
  readonly machineID?: string;
  readonly why?: string;
  readonly since?: number;
  /** What the engine will do about it, if there is anything: follows "will". */
  readonly next?: string;
  /** By machine ID: those that are present, and those that have, or are to have, the unit. */
  readonly machines?: readonly MachineExplanationEntity[];
  /** What other units have to do with it. */
  readonly notes?: readonly string[];
  /** What is probably not meant as it is. */
  readonly warnings?: readonly string[];
  /** The machine that leads the engines; absent while none does. */
  readonly leader?: string;
  /** Store revision of which all this is true. */
  readonly revision: number;
}

/** What one machine is to a unit. */
export interface MachineExplanationEntity {
  readonly machineID: string;
  readonly primaryIP?: string;
  /**
   * `here`: it is to have the unit; `able`: it would take it; `refused`: it will not; `away`: it is to have it, and is
   * not present; `none`: it is not asked, since the unit is a template, or cannot be read.
   */
  readonly eligibility: string;
  /** Every reason why it will not take the unit or, where the unit is already, may not keep it. */
  readonly reasons?: readonly ReasonEntity[];
  /** What the machine has not done yet: follows "which", for example `has not started it yet`. */
  readonly pending?: string;
  /** What its agent has commanded. The following are absent while the machine says nothing of the unit. */
  readonly currentState?: StateName;
  /** The restart that has been carried out. */
  readonly restart?: number;
  readonly state?: UnitStateEntity;
  /** When systemd's active state was entered, milliseconds since the epoch. */
  readonly since?: number;
  /** Why the agent's latest command failed, if it did. */
  readonly error?: string;
  /** systemd's `Result` where it is not `success`. */
  readonly result?: string;
}

export interface ReasonEntity {
  /** `MachineID`, `MachineMetadata`, `MachineOf`, `Conflicts`, `Replaces`, `malformed` or `unreadable`. */
  readonly rule: string;
  readonly reason: string;
}

/** `GET /units/{name}/status` as JSON. */
export interface UnitStatusEntity {
  readonly name: string;
  /** The machine that says so. */
  readonly machineID: string;
  /** systemd's properties of the unit, as `systemctl show` has them; several values of one are lines. */
  readonly properties: Readonly<Record<string, string>>;
}

export interface ErrorEntity {
  readonly error: { readonly code: number; readonly message: string };
}

/**
 * `GET /fleet/v1/events`: server-sent events. First the present, as if it had just happened, then `synced`, then each
 * change. `?since=ID` or `Last-Event-ID` begin with what has changed since instead; where that is no longer known,
 * `reset` comes first: forget everything, here is the present. The last event of a change has an `id`: the store's
 * revision, `-`, and the beginning of the store's own id; a revision alone may stand for it. `?unit=`, `?machine=` and
 * `?kind=`, each repeatable, narrow what is told; machines are told whatever the unit. Where what comes next is no longer
 * known, as to a reader that is too slow, `reset` is told, and the stream ends. `?since=10m` (ms, s, m, h, d) begins with
 * what has happened in that time; `partial` says from when on everything is known.
 *
 * Each event but those of the present has a `time`: when it happened or, where nothing tells, when the daemon saw it, in
 * milliseconds since the epoch.
 *
 * | event | data |
 * |---|---|
 * | `unit` | {@link UnitEvent} |
 * | `decision` | {@link DecisionEvent} |
 * | `state` | {@link StateEvent} |
 * | `machine` | {@link MachineEvent} |
 * | `synced` | `{"revision": N}` |
 * | `reset` | `{"reason": "..."}` |
 * | `partial` | `{"reason": "...", "since": N}` |
 */
export interface UnitEvent {
  readonly name: string;
  /** Without `options`; absent when the unit is gone. */
  readonly unit?: UnitEntity;
  /** Hash of its file; absent when the unit is gone, or cannot be read. */
  readonly hash?: string;
  /** Store revision at which the latest restart was asked for, 0 if never; absent when the unit is gone. */
  readonly restart?: number;
  /** Who asked for its latest change, where it is known. */
  readonly changed?: ChangeEntity;
}

/** Who made a change. */
export interface ChangeEntity {
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** A token, a certificate, a user or an address, for people. */
  readonly by: string;
}

/** Where the engine put a unit, or that it is nowhere now, and why. */
export interface DecisionEvent {
  readonly name: string;
  /** It is to have a machine and no machine that is there may have it. */
  readonly waiting?: true;
  /** What the machines have against it while it waits, and how many of them; the most frequent, in clusters that are not too large. */
  readonly reasons?: readonly { readonly machines: number; readonly reason: string }[];
  /** Absent when it has no machine any more. */
  readonly machineID?: string;
  /** The machine it was on before, if another. */
  readonly from?: string;
  /** A sentence a person can read. */
  readonly why: string;
  /** When it was decided, milliseconds since the epoch; absent with `machineID`. */
  readonly since?: number;
}

export interface StateEvent {
  readonly name: string;
  readonly machineID: string;
  /** Absent when the machine no longer has the unit. */
  readonly state?: UnitStateEntity;
  /** The {@link UnitEvent.restart} that this machine has carried out: a restart is done once it is not less. */
  readonly restart?: number;
  /** How often systemd itself has started a service again since it was last started; absent if never. */
  readonly restarts?: number;
  /** When systemd's active state was entered, milliseconds since the epoch. */
  readonly since?: number;
  /** Why the agent's latest command for it failed, or systemd's result where it is not success. */
  readonly error?: string;
  /** The command will fail again until the unit's file or the machine's configuration changes. Only beside `error`. */
  readonly permanent?: true;
  /** systemd's result where it is not success. */
  readonly result?: string;
  /** What systemd made of the latest start that was commanded, for example `done`, where the unit is not active then. */
  readonly job?: string;
}

export interface MachineEvent {
  readonly id: string;
  /** Absent when the machine is gone. */
  readonly machine?: MachineEntity;
}

/** Answer to `POST /fleet/v1/store/accept`: the store that was known, and the one taken in its place. */
export interface AcceptedStoreEntity {
  readonly was: { readonly id: string; readonly revision: number };
  /** Without an id it is an empty store. */
  readonly accepted: { readonly id?: string; readonly revision: number };
}
