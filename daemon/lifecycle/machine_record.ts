/**
 * Keeps the machine's record up to date while the daemon runs.
 *
 * @module
 */

import type { Clock } from "../../runtime/clock.ts";
import { type Log, messageOf } from "../../runtime/log.ts";
import type { MachineRecord } from "../../registry/model.ts";
import type { Membership } from "../../registry/mod.ts";

/** The features that daemons of this version have, and earlier ones do not. Machine records say so. */
export const features = { files: true, rollouts: true, stagedGlobals: true, successors: true } as const;

/** Determines the machine's record every `every_ms`; writes it to the store if it has changed. Ends when `signal` aborts. */
export async function refreshIdentity(
  first: MachineRecord,
  { clock, log, membership, every_ms, identify, changed }: {
    readonly clock: Clock;
    readonly log: Log;
    readonly membership: Membership;
    readonly every_ms: number;
    readonly identify: () => Promise<MachineRecord>;
    readonly changed: (machine: MachineRecord) => void;
  },
  signal: AbortSignal,
): Promise<void> {
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
