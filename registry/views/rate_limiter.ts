import type { Clock } from "../../runtime/clock.ts";

/** How fast a {@link RateLimiter} is. */
export interface RateLimiterOptions {
  /** How many turns may follow each other without a pause. */
  readonly atOnce: number;
  /** From then on a turn comes so long after the one before, milliseconds. */
  readonly every_ms: number;
}

/** Slows down what comes thick and fast, and nothing else: a few turns are free, and more for every quiet while. */
export class RateLimiter {
  /** When all turns that were taken have had their time; it lies ahead while there were more than that. */
  #paid_ms = -Infinity;

  constructor(private readonly clock: Clock, private readonly options: RateLimiterOptions) {}

  /** Resolves when the next turn may be taken, and takes it, or when `signal` aborts. */
  async acquire(signal: AbortSignal): Promise<void> {
    const { atOnce, every_ms } = this.options;
    const now_ms = this.clock.monotonic_ms();
    this.#paid_ms = Math.max(this.#paid_ms, now_ms - atOnce * every_ms) + every_ms;
    if (this.#paid_ms > now_ms) await this.clock.sleep(this.#paid_ms - now_ms, signal);
  }
}
