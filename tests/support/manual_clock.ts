import type { Clock } from "../../runtime/clock.ts";

/** A clock that stands still until it is told to go on. */
export class ManualClock implements Clock {
  #now_ms = 1_000_000;
  readonly #sleepers = new Set<{ until_ms: number; wake: () => void }>();
  /** Every sleep that was asked for, milliseconds. */
  readonly sleeps: number[] = [];

  now_ms(): number {
    return this.#now_ms;
  }

  monotonic_ms(): number {
    return this.#now_ms;
  }

  random(): number {
    return 0.5;
  }

  sleep(duration_ms: number, signal?: AbortSignal): Promise<void> {
    this.sleeps.push(duration_ms);
    return new Promise((resolve) => {
      if (signal?.aborted || duration_ms <= 0) return resolve();
      const sleeper = {
        until_ms: this.#now_ms + duration_ms,
        wake: () => {
          this.#sleepers.delete(sleeper);
          signal?.removeEventListener("abort", sleeper.wake);
          resolve();
        },
      };
      this.#sleepers.add(sleeper);
      signal?.addEventListener("abort", sleeper.wake, { once: true });
    });
  }

  /** Lets time pass, and wakes whoever slept no longer than that. */
  advance(duration_ms: number): void {
    this.#now_ms += duration_ms;
    for (const sleeper of [...this.#sleepers]) if (sleeper.until_ms <= this.#now_ms) sleeper.wake();
  }

  /** How long until the next sleeper wakes, milliseconds; `Infinity` if none ever does. */
  get next_ms(): number {
    return Math.min(...[...this.#sleepers].map((sleeper) => sleeper.until_ms - this.#now_ms));
  }

  /** Lets everything that is ready to run do so, until nothing happens any more or `isDone` returns true. */
  static async settle(isDone: () => boolean = () => false): Promise<void> {
    for (let turn = 0; turn < 20 && !isDone(); turn++) await new Promise((resolve) => setTimeout(resolve, 0));
  }
}
