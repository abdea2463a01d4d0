/**
 * The rule of StopWhenDisconnected=: when a machine that cannot reach the store stops such a unit. Engine and agents share
 * it: the engine places the unit elsewhere only after the machine's lease has expired, and by then no process of it is left.
 *
 * @module
 */

/** SIGKILL is sent this long before the lease may expire, milliseconds. */
export const killReserve_ms = 2_000;

/** The shortest time that a unit has to stop before SIGKILL, milliseconds. */
const shortestStop_ms = 1_000;

/** The latest moment at which a machine's lease was certainly alive. */
export interface LeaseContact {
  /** Start of the call that renewed it, milliseconds of the monotonic clock. */
  readonly renewedAt_ms: number;
  readonly ttl_ms: number;
}

/** Returns the longest StopWhenDisconnected= that leaves time for the stop, for leases of `ttl_ms`. */
export function longestDisconnection_ms(ttl_ms: number): number {
  return ttl_ms - killReserve_ms - shortestStop_ms;
}

/** Returns when a unit with StopWhenDisconnected=`limit_ms` is stopped, and when it is killed. Monotonic clock. */
export function disconnectionDeadlines(
  limit_ms: number,
  { renewedAt_ms, ttl_ms }: LeaseContact,
): { readonly stopAt_ms: number; readonly killAt_ms: number } {
  return {
    // A reload may have shortened the lease.
    stopAt_ms: renewedAt_ms + Math.min(limit_ms, longestDisconnection_ms(ttl_ms)),
    killAt_ms: renewedAt_ms + ttl_ms - killReserve_ms,
  };
}

/** Returns why a machine with leases of `ttl_ms` cannot keep the promise of a unit; undefined if it can. */
export function disconnectionRefusal(limit_ms: number, ttl_ms: number | undefined): string | undefined {
  const option = `StopWhenDisconnected=${seconds(limit_ms)}`;
  if (ttl_ms === undefined) return `${option} is unknown to the machine's version of fleetd`;
  const longest_ms = longestDisconnection_ms(ttl_ms);
  if (limit_ms <= longest_ms) return undefined;
  const most = longest_ms < shortestStop_ms ? "that is too short for any value" : `at most ${seconds(longest_ms)} fits`;
  return `${option} leaves no time to stop the unit within the machine's agent_ttl=${seconds(ttl_ms)}: ${most}`;
}

/** Returns a duration in seconds, as systemd.time(7) writes it. */
export function seconds(duration_ms: number): string {
  return `${Math.round(duration_ms) / 1_000}s`;
}
