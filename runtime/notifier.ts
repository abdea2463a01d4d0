import type { Clock } from "./clock.ts";
import { onceAborted } from "./on_abort.ts";

/**
 * Wakes all that wait for a change. It carries no value: a waiter reads the present state itself, so that a slow one which
 * missed ten changes sees the newest state.
 */
export class Notifier {
  readonly #waiting = new Set<() => void>();
  #count = 0;

  /** The number of changes so far. */
  get count(): number {
    return this.#count;
  }

  /** The number of waiters. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Counts a change and wakes all waiters. */
  notify(): void {
    this.#count++;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }

  /** Resolves once there were more than `seen` changes, or `signal` aborts. A wait that has ended leaves nothing behind. */
  async waitPast(seen: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted || this.#count > seen) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.add(resolve);
    const stopListening = onceAborted([signal], resolve);
    try {
      await promise;
    } finally {
      this.#waiting.delete(resolve);
      stopListening();
    }
  }

  /** Like {@link waitPast}, for `limit_ms` at most. */
  async waitPastFor(seen: number, limit_ms: number, clock: Clock, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted || this.#count > seen) return;
    const over = new AbortController();
    const end = () => over.abort();
    const stopListening = onceAborted([signal], end);
    const timer = clock.sleep(limit_ms, over.signal).then(end);
    await this.waitPast(seen, over.signal);
    stopListening();
    end();
    await timer;
  }
}
