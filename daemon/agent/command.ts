/**
 * What the agent remembers of its own commands, so that a daemon that was killed and started again repeats nothing and
 * forgets nothing. Kept where a reboot forgets it, as a reboot forgets the units.
 *
 * @module
 */

import type { DesiredState, Revision, UnitName } from "../../registry/model.ts";
import type { UnitStatus } from "../../systemd/port.ts";

/** The latest command for one unit: written before it is given, and again once systemd has accepted it. */
export interface Intent {
  readonly did: "load" | "start" | "stop" | "restart";
  /** systemd has accepted it. */
  readonly done: boolean;
  /** The unit's InvocationID before the command. */
  readonly invocation: string;
  /** The restart (revision of the request) that is carried out when this command is. */
  readonly restart: Revision;
  /**
   * The unit together with which systemd stops this one, at a command for that unit. With `load`, this unit was stopped so
   * and is to be started again when that unit is active.
   */
  readonly along?: UnitName;
}

/** Where intents are kept. Rejects when they cannot be: then the command must not be given. */
export interface IntentMemory {
  load(): Promise<ReadonlyMap<UnitName, Intent>>;
  save(unit: UnitName, intent: Intent): Promise<void>;
  forget(unit: UnitName): Promise<void>;
}

/** What has been commanded of a unit whose file is in place. */
export interface Commanded {
  readonly commanded: Exclude<DesiredState, "inactive">;
  readonly restart: Revision;
}

/**
 * What a unit that nobody remembers is taken for: if it runs, it was started, and restarted as often as was asked for until
 * now. So it goes on as it is, and is not started again when it ends. Undefined if it does not run.
 */
export function adopted(status: UnitStatus, restart: Revision): Intent | undefined {
  return isUp(status) ? { did: "start", done: true, invocation: status.invocation, restart } : undefined;
}

/**
 * Works out what has been commanded. After a crash between the two writes a changed InvocationID means that a start was
 * carried out; a stop that was not confirmed is given again, since stopping twice is harmless.
 */
export function commanded(intent: Intent | undefined, status: UnitStatus): Commanded {
  if (!intent) return { commanded: "loaded", restart: 0 };
  const { did, restart } = intent;
  // "" says nothing: systemd forgets a unit that has stopped, and its InvocationID with it.
  const carriedOut = intent.done || (status.invocation !== "" && status.invocation !== intent.invocation);
  switch (did) {
    case "load":
      return { commanded: "loaded", restart };
    case "stop":
      return { commanded: intent.done ? "loaded" : "launched", restart };
    case "start":
      return carriedOut ? { commanded: "launched", restart } : { commanded: "loaded", restart: 0 };
    case "restart":
      return { commanded: "launched", restart: carriedOut ? restart : 0 };
  }
}

/** Whether systemd has anything of the unit running, starting or stopping. */
export function isUp(status: UnitStatus): boolean {
  return status.active !== "inactive" && status.active !== "failed";
}
