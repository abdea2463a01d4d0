/**
 * Wakes whoever waits for the next state of something. Waiters look for themselves what it is: a slow one that missed ten
 * states sees the newest.
 */
export class Turnstile {
  #turn = Promise.withResolvers<void>();
  #count = 0;

  /** How often it has turned. */
  get count(): number {
    return this.#count;
  }

  /** Something changed: wakes all. */
  turn(): void {
    this.#count++;
    this.#turn.resolve();
    this.#turn = Promise.withResolvers<void>();
  }

  /** Resolves once it has turned more than `seen` times, or `signal` aborts. */
  async past(seen: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted || this.#count > seen) return;
    const aborted = Promise.withResolvers<void>();
    const onAbort = () => aborted.resolve();
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      await Promise.race([this.#turn.promise, aborted.promise]);
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }
}
