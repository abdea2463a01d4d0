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

/** Returns the pause before the next attempt to reach a store: short, so that its return is noticed at once, and with jitter. */
export function retryDelay_ms(clock: Clock): number {
  return 150 + clock.random() * 200;
}
