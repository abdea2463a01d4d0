/**
 * How a daemon ends: a stop takes this machine's units off first, anything else leaves them running.
 *
 * @module
 */

import type { Clock } from "../registry/clock.ts";
import { type Log, messageOf } from "../registry/log.ts";

/** What a stop does. */
export interface ShutdownOptions {
  /** The job that systemd runs for the daemon's own unit, if any. */
  readonly job: () => Promise<string | undefined>;
  readonly clock: Clock;
  readonly log: Log;
  /** Unloads every unit of this machine. */
  readonly drain: () => Promise<void>;
  /** Gives up the membership; undefined while the daemon is not a member. */
  readonly leave: (() => Promise<void>) | undefined;
  /** How long units may take to stop, and then how long the store may take to hear of it, milliseconds. */
  readonly drainLimit_ms: number;
  readonly leaveLimit_ms: number;
}

/**
 * Decides by the job that systemd runs for the daemon's own unit: `stop` (also at shutdown of the machine) unloads
 * units and leaves the cluster at once, so that they move and are never alive twice. A restart, or a signal that
 * systemd knows nothing of, leaves both as they are.
 */
export async function shutDown(options: ShutdownOptions): Promise<void> {
  const { clock, log, drain, leave } = options;
  const job = await options.job().catch((error) => {
    log("warn", `cannot tell a stop from a restart, so units are left running: ${messageOf(error)}`);
    return undefined;
  });
  if (job !== "stop") return log("info", `ending with units left running (${job ?? "no"} job of systemd's)`);
  log("info", `stopping: unloading this machine's units${leave ? "" : ", though it is not in the cluster"}`);
  if (!await within(options.drainLimit_ms, clock, drain)) {
    log("error", `units were still stopping after ${options.drainLimit_ms} ms; ending without them`);
  }
  if (leave && !await within(options.leaveLimit_ms, clock, leave)) {
    log("warn", "the store did not answer; this machine's record runs out by itself");
  }
}

/** Whether `task` ended within the limit, milliseconds. Rejects as it does. */
export async function within(limit_ms: number, clock: Clock, task: () => Promise<void>): Promise<boolean> {
  const done = new AbortController();
  const ended = task().then(() => true).finally(() => done.abort());
  return await Promise.race([ended, clock.sleep(limit_ms, done.signal).then(() => done.signal.aborted)]);
}
