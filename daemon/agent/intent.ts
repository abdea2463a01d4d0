/**
 * Intents: the agent's record of its commands to systemd, by which a daemon that was killed and started again neither
 * repeats nor loses one. Kept where a reboot deletes it, as a reboot stops the units.
 *
 * @module
 */

import type { DesiredState, Revision, UnitName } from "../../registry/model.ts";
import type { UnitStatus } from "../../systemd/port.ts";
import type { FailureMemory } from "./failure_memory.ts";

/** The latest command for one unit: recorded before it is given, and again once systemd has accepted it. */
export interface Intent {
  readonly did: "load" | "start" | "stop" | "restart";
  /** systemd has accepted it. */
  readonly done: boolean;
  /** The unit's InvocationID before the command. */
  readonly invocation: string;
  /** The restart request, by its revision, that this command carries out. */
  readonly restart: Revision;
  /**
   * The unit together with which systemd stops or restarts this one. With `load`, this unit was stopped so and must be
   * started again when that unit is active.
   */
  readonly along?: UnitName;
  /**
   * With `along`: true if the other unit is only loaded and was stopped to be replaced. It ran because others need it, so
   * this unit is started again, and starts it, when its new file is in place.
   */
  readonly resumes?: true;
  /** True if the job of the start or restart has ended with success. */
  readonly finished?: true;
}

/** The part of an intent about a unit that was stopped or restarted together with another. */
export type Bond = Pick<Intent, "along" | "resumes">;

/** Storage of intents. Rejects when an intent cannot be stored: then the command must not be given. */
export interface IntentMemory {
  load(): Promise<ReadonlyMap<UnitName, Intent>>;
  save(unit: UnitName, intent: Intent): Promise<void>;
  forget(unit: UnitName): Promise<void>;
  /** Storage of the failures of units with OnFailure=move; without it, the next daemon counts from the beginning. */
  readonly failures?: FailureMemory;
}

/** The state that has been commanded of a unit whose file is in place. */
export interface Commanded {
  readonly commanded: Exclude<DesiredState, "inactive">;
  readonly restart: Revision;
}

/**
 * Returns the intent for a unit without a record: one that runs counts as started, and as restarted by the latest request.
 * So it runs on, and is not started again when it ends. Undefined if it does not run.
 */
export function adopted(status: UnitStatus, restart: Revision): Intent | undefined {
  return isUp(status) ? { did: "start", done: true, invocation: status.invocation, restart } : undefined;
}

/**
 * Returns the commanded state. After a crash between the two writes of an intent, a changed InvocationID means that a start
 * was carried out; a stop that was not confirmed is given again, since stopping twice is harmless.
 */
export function commanded(intent: Intent | undefined, status: UnitStatus): Commanded {
  if (!intent) return { commanded: "loaded", restart: 0 };
  const { did, restart } = intent;
  // "" proves nothing: systemd unloads a unit that has stopped, and drops its InvocationID.
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

/** True while the unit is starting, running, reloading or stopping. */
export function isUp(status: UnitStatus): boolean {
  return status.active !== "inactive" && status.active !== "failed";
}
