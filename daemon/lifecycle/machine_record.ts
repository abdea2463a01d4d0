/**
 * Keeps the machine's record up to date while the daemon runs.
 *
 * @module
 */

import type { Clock } from "../../runtime/clock.ts";
import { type Log, messageOf } from "../../runtime/log.ts";
import type { MachineRecord } from "../../registry/model.ts";
import type { Membership } from "../../registry/mod.ts";

/** Options of {@link refreshIdentity}. */
export interface RefreshOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly membership: Membership;
  readonly identify: () => Promise<MachineRecord>;
  /** The time between two looks, milliseconds. */
  readonly every_ms: number;
}

/** Makes the machine's record again now and then, and writes it to the store when it has changed. Ends when `signal` aborts. */
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
      log("warn", `cannot update this machine's record: ${messageOf(error)}`);
    }
  }
}
