/**
 * Wakes whoever waits for the next state of something. Waiters look for themselves what it is: a slow one that missed ten
 * states sees the newest.
 */
export class Notifier {
  readonly #waiting = new Set<() => void>();
  #count = 0;

  /** How often it has turned. */
  get count(): number {
    return this.#count;
  }

  /** How many wait. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Something changed: wakes all. */
  notify(): void {
    this.#count++;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }

  /** Resolves once it has turned more than `seen` times, or `signal` aborts. One that has ended leaves nothing behind. */
  async waitPast(seen: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted || this.#count > seen) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.add(resolve);
    signal.addEventListener("abort", resolve as () => void, { once: true });
    try {
      await promise;
    } finally {
      this.#waiting.delete(resolve);
      signal.removeEventListener("abort", resolve as () => void);
    }
  }
}
