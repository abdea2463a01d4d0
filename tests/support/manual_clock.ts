import type { Clock } from "../../runtime/clock.ts";

/** A clock whose time changes only by calls of `advance` and `runToEnd`. */
export class ManualClock implements Clock {
  #now_ms = 1_000_000;
  readonly #sleepers = new Set<{ until_ms: number; wake: () => void }>();
  /** The requested duration of every sleep, in milliseconds. */
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

  /** Advances the time, and wakes the sleepers whose time has come. */
  advance(duration_ms: number): void {
    this.#now_ms += duration_ms;
    for (const sleeper of [...this.#sleepers]) if (sleeper.until_ms <= this.#now_ms) sleeper.wake();
  }

  /**
   * Advances to the next sleeper's time whenever nothing else is ready to run, until `work` settles. Throws if `work` takes
   * longer than `limit_ms` by this clock, or is pending without a sleeper.
   */
  async runToEnd<Result>(work: Promise<Result>, limit_ms = 5 * 60_000): Promise<Result> {
    let isDone = false;
    const end = () => void (isDone = true);
    work.then(end, end);
    const latest_ms = this.#now_ms + limit_ms;
    while (!isDone) {
      await ManualClock.settle(() => isDone);
      const next_ms = Math.min(...[...this.#sleepers].map((sleeper) => sleeper.until_ms));
      if (!isDone && next_ms > latest_ms) throw new Error(`still waiting after ${limit_ms} ms`);
      if (!isDone) this.advance(next_ms - this.#now_ms);
    }
    return await work;
  }

  /** Runs the tasks that are ready, for up to 20 turns of the event loop or until `isDone` returns true. */
  static async settle(isDone: () => boolean = () => false): Promise<void> {
    for (let turn = 0; turn < 20 && !isDone(); turn++) await new Promise((resolve) => setTimeout(resolve, 0));
  }
}
