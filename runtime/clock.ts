/** Time and chance. They are handed in so that code which depends on them can be tested. Interface only. */
export interface Clock {
  /** Returns the wall clock, milliseconds since the epoch. For people to read, never for measuring. */
  now_ms(): number;
  /** Returns the milliseconds since some fixed moment; never goes back. */
  monotonic_ms(): number;
  /** Resolves after `duration_ms`, or at once when `signal` aborts. Never rejects. */
  sleep(duration_ms: number, signal?: AbortSignal): Promise<void>;
  /** Returns a random number, at least 0 and less than 1. */
  random(): number;
}

/** Shortest pause before another attempt to reach a store, and the spread of the first pause, milliseconds. */
const retry = { least_ms: 150, spread_ms: 200 } as const;

/** Longest pauses before another attempt, by what the attempt costs the store when hundreds of daemons make it, milliseconds. */
export const longestRetry_ms = { ofSmallRead: 350, ofPresence: 1_000, ofWholeStore: 2_000 } as const;

/**
 * Returns the pause before the next attempt to reach a store, after so many failed ones in a row. The first pauses are
 * short, so that a store's return is noticed at once. Later ones are spread over up to `longest_ms`, because a long outage
 * probably is one of all daemons, which must not all return in the same moment.
 */
export function retryDelay_ms(clock: Clock, failures = 0, longest_ms: number = longestRetry_ms.ofSmallRead): number {
  const spread_ms = Math.min(longest_ms - retry.least_ms, retry.spread_ms * 2 ** Math.min(failures, 10));
  return retry.least_ms + clock.random() * spread_ms;
}

/** Returns an interval shortened at random by up to a tenth, so that the timers of daemons that began together drift apart. */
export function jittered_ms(clock: Clock, interval_ms: number): number {
  return interval_ms * (1 - clock.random() / 10);
}
