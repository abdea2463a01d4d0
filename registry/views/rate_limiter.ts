import type { Clock } from "../../runtime/clock.ts";

/** The rate of a {@link RateLimiter}. */
export interface RateLimiterOptions {
  /** The size of a burst. */
  readonly atOnce: number;
  /** The pause between later events, milliseconds. */
  readonly every_ms: number;
}

/** A token bucket: a burst of `atOnce` events, then one every `every_ms`. */
export class RateLimiter {
  /** The time at which all events so far are paid for at the steady rate; in the future after a burst. */
  #paid_ms = -Infinity;

  constructor(private readonly clock: Clock, private readonly options: RateLimiterOptions) {}

  /** Takes a token. Resolves when it is available, or when `signal` aborts. */
  async acquire(signal: AbortSignal): Promise<void> {
    const { atOnce, every_ms } = this.options;
    const now_ms = this.clock.monotonic_ms();
    this.#paid_ms = Math.max(this.#paid_ms, now_ms - atOnce * every_ms) + every_ms;
    if (this.#paid_ms > now_ms) await this.clock.sleep(this.#paid_ms - now_ms, signal);
  }
}
