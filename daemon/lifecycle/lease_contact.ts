/**
 * Keeps the time of the latest contact with the store across restarts of the daemon, and reports when it is too long ago.
 *
 * @module
 */

import { type Log, messageOf } from "../../runtime/log.ts";
import type { Membership } from "../../registry/mod.ts";
import type { Clock } from "../../runtime/clock.ts";
import { type LeaseContact, seconds } from "../policy/disconnection.ts";

/** Saves each renewal of the lease for the next daemon, until `signal` aborts. */
export async function saveContacts(
  membership: Pick<Membership, "renewals" | "renewedAt_ms" | "ttl_ms">,
  save: (contact: LeaseContact) => Promise<void>,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const seen = membership.renewals.count;
    // An older time is as safe: it only has units stopped earlier.
    await save(membership).catch((error) => log("error", messageOf(error)));
    await membership.renewals.waitPast(seen, signal);
  }
}

/** Reports, until `signal` aborts, when the lease has certainly expired, and when it is renewed after that. */
export async function watchPresence(
  membership: Pick<Membership, "renewals" | "renewedAt_ms" | "ttl_ms">,
  clock: Clock,
  report: (missing: string | undefined) => void,
  signal: AbortSignal,
): Promise<void> {
  for (let isPresent = true; !signal.aborted;) {
    const seen = membership.renewals.count;
    const left_ms = membership.renewedAt_ms + membership.ttl_ms - clock.monotonic_ms();
    if (left_ms > 0 !== isPresent) {
      isPresent = left_ms > 0;
      const ttl = seconds(membership.ttl_ms);
      report(
        isPresent
          ? undefined
          : `not a member of the cluster: this machine's lease was not renewed for ${ttl}; units keep ` +
            "running, and may start elsewhere too; the log says why",
      );
    }
    if (isPresent) await membership.renewals.waitPastFor(seen, left_ms, clock, signal);
    else await membership.renewals.waitPast(seen, signal);
  }
}

/**
 * Returns the latest contact of an earlier daemon with the store. If it is not known, the time counts from now: at the first
 * start of this version, for example.
 */
export async function lastContact(
  state: { contact(): Promise<LeaseContact | undefined> },
  clock: Clock,
  ttl_ms: number,
): Promise<LeaseContact> {
  return await state.contact() ?? { renewedAt_ms: clock.monotonic_ms(), ttl_ms };
}
