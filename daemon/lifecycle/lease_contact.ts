/**
 * Keeps the time of the latest contact with the store across restarts of the daemon.
 *
 * @module
 */

import { type Log, messageOf } from "../../runtime/log.ts";
import type { Membership } from "../../registry/mod.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { LeaseContact } from "../policy/disconnection.ts";

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
