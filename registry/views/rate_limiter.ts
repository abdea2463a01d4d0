import type { Clock } from "../../runtime/clock.ts";

/** A token bucket: a burst of `burst` events, then one every `interval_ms`. */
export class RateLimiter {
  /** The time up to which tokens are used, at one for each interval. Later than now if a caller must wait. */
  #paid_ms = -Infinity;

  constructor(
    private readonly clock: Clock,
    private readonly rate: { readonly burst: number; readonly interval_ms: number },
  ) {}

  /** Takes a token. Resolves when it is available, or when `signal` aborts. */
  async acquire(signal: AbortSignal): Promise<void> {
    const { burst, interval_ms } = this.rate;
    const now_ms = this.clock.monotonic_ms();
    this.#paid_ms = Math.max(this.#paid_ms, now_ms - burst * interval_ms) + interval_ms;
    if (this.#paid_ms > now_ms) await this.clock.sleep(this.#paid_ms - now_ms, signal);
  }
}
