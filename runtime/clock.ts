/** Time and chance, handed in, so that what depends on them can be read and tested. Interface only. */
export interface Clock {
  /** Wall clock, milliseconds since the epoch. For people to read, never for measuring. */
  now_ms(): number;
  /** Milliseconds since some fixed moment; never goes back. */
  monotonic_ms(): number;
  /** Resolves after `duration_ms`, or at once when `signal` aborts. Never rejects. */
  sleep(duration_ms: number, signal?: AbortSignal): Promise<void>;
  /** At least 0, less than 1. */
  random(): number;
}

/** How long to wait before the next attempt at a store that is away: about constant, so that it is back at once, jittered. */
export function retryDelay_ms(clock: Clock): number {
  return 150 + clock.random() * 200;
}
