/**
 * Keeps the machine's record true while the daemon runs.
 *
 * @module
 */

import type { Clock } from "../../runtime/clock.ts";
import { type Log, messageOf } from "../../runtime/log.ts";
import type { MachineRecord } from "../../registry/model.ts";
import type { Membership } from "../../registry/mod.ts";

/** What {@link refreshIdentity} needs. */
export interface RefreshOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly membership: Membership;
  readonly identify: () => Promise<MachineRecord>;
  /** How often it looks, milliseconds. */
  readonly every_ms: number;
}

/** Looks now and then who this machine is, and tells the cluster when that has changed. Ends when `signal` aborts. */
export async function refreshIdentity(
  first: MachineRecord,
  options: RefreshOptions,
  changed: (machine: MachineRecord) => void,
  signal: AbortSignal,
): Promise<void> {
  const { clock, log, membership, identify, every_ms } = options;
  let known = first;
  for (;;) {
    await clock.sleep(every_ms, signal);
    if (signal.aborted) return;
    try {
      const now = await identify();
      if (JSON.stringify(now) === JSON.stringify(known)) continue;
      known = now;
      log("info", "this machine's record has changed", { ip: now.ip });
      changed(now);
      await membership.update(now);
    } catch (error) {
      log("warn", `this machine's record is kept as it was: ${messageOf(error)}`);
    }
  }
}
