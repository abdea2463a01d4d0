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

export interface ErrorEntity {
  readonly error: { readonly code: number; readonly message: string };
}

/**
 * `GET /fleet/v1/events`: server-sent events. First the present, as if it had just happened, then `synced`, then each
 * change. The event's `id` is the store's revision. `?unit=NAME` (repeatable) narrows units and their states to those
 * named; machines are told all the same. A slow reader is not told what came and went meanwhile.
 *
 * | event | data |
 * |---|---|
 * | `unit` | {@link UnitEvent} |
 * | `state` | {@link StateEvent} |
 * | `machine` | {@link MachineEvent} |
 * | `synced` | `{"revision": N}` |
 */
export interface UnitEvent {
  readonly name: string;
  /** Without `options`; absent when the unit is gone. */
  readonly unit?: UnitEntity;
  /** Hash of its file; absent when the unit is gone. */
  readonly hash?: string;
  /** Store revision at which the latest restart was asked for, 0 if never; absent when the unit is gone. */
  readonly restart?: number;
}

export interface StateEvent {
  readonly name: string;
  readonly machineID: string;
  /** Absent when the machine no longer has the unit. */
  readonly state?: UnitStateEntity;
  /** The {@link UnitEvent.restart} that this machine has carried out: a restart is done once it is not less. */
  readonly restart?: number;
  /** When systemd's active state was entered, milliseconds since the epoch. */
  readonly since?: number;
  /** Why the agent's latest command for it failed, or systemd's result where it is not success. */
  readonly error?: string;
}

export interface MachineEvent {
  readonly id: string;
  /** Absent when the machine is gone. */
  readonly machine?: MachineEntity;
}
