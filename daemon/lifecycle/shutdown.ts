/**
 * Ends a daemon: a stop unloads this machine's units first, a restart or a signal leaves them running.
 *
 * @module
 */

import type { Clock } from "../../runtime/clock.ts";
import { type Log, messageOf } from "../../runtime/log.ts";
import { within } from "../../runtime/within.ts";

/** Options of {@link shutDown}. */
export interface ShutdownOptions {
  /** Returns the job that systemd runs for the daemon's own unit, if any. */
  readonly job: () => Promise<string | undefined>;
  readonly clock: Clock;
  readonly log: Log;
  /** Unloads every unit of this machine. */
  readonly drain: () => Promise<void>;
  /** Gives up the membership; undefined while the daemon is not a member. */
  readonly leave: (() => Promise<void>) | undefined;
  /** The time that units have to stop, and then the time that the store has to answer, milliseconds. */
  readonly drainLimit_ms: number;
  readonly leaveLimit_ms: number;
}

/**
 * Decides by the job that systemd runs for the daemon's own unit. `stop`, also at shutdown of the machine, unloads units and
 * leaves the cluster at once, so that they move and never run twice. A restart, or a signal that was not sent by systemd,
 * leaves units and membership as they are.
 */
export async function shutDown(options: ShutdownOptions): Promise<void> {
  const { clock, log, leave } = options;
  const job = await options.job().catch((error) => {
    log("warn", `cannot distinguish a stop from a restart, so units are left running: ${messageOf(error)}`);
    return undefined;
  });
  if (job !== "stop") {
    return log(
      "info",
      `ending with units left running (systemd has ${job === undefined ? "no job" : `a ${job} job`} for fleetd)`,
    );
  }
  log("info", `stopping: unloading this machine's units${leave ? "" : ", though it is not in the cluster"}`);
  const left = await unload(options);
  if (left !== undefined) {
    // If the machine left now, units that still run here would be started elsewhere at once.
    const membership = leave
      ? "; its record is left to expire, so that they are not started elsewhere before that"
      : "";
    return log("error", `units may still be running on this machine: ${left}${membership}`);
  }
  try {
    if (leave && !await within(options.leaveLimit_ms, clock, leave)) {
      log("warn", "the store did not answer; this machine's record is left to expire");
    }
  } catch (error) {
    log("warn", `cannot remove this machine's record from the store, it is left to expire: ${messageOf(error)}`);
  }
}

/** Stops and removes every unit of this machine. Returns the reason why some may be left, or undefined if none is. */
async function unload({ drain, drainLimit_ms, clock }: ShutdownOptions): Promise<string | undefined> {
  try {
    return await within(drainLimit_ms, clock, drain) ? undefined : `they were still stopping after ${drainLimit_ms} ms`;
  } catch (error) {
    return messageOf(error);
  }
}

/** A part to close at the end of a daemon. */
export interface Closing {
  /** For the log. */
  readonly what: string;
  readonly close: () => Promise<unknown> | undefined;
}

/** Closes the parts one after another. Failures are logged, so that the others are closed and no earlier error is hidden. */
export async function closeAll(closings: readonly Closing[], log: Log): Promise<void> {
  for (const { what, close } of closings) {
    try {
      await close();
    } catch (error) {
      log("error", `cannot close ${what}: ${messageOf(error)}`);
    }
  }
}
