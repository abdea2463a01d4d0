/**
 * One run of a simulated daemon. Everything that reaches it from outside passes through {@link SimulatedProcess.deliver}, so
 * that it can be killed or paused between any two events.
 *
 * @module
 */

import type { Clock } from "../../runtime/clock.ts";
import type { Random } from "../support/random.ts";
import type { Timeline } from "./timeline.ts";

/** 2026-01-01, at which the wall clocks of all machines begin. */
export const epoch_ms = Date.UTC(2026, 0, 1);

/** A process. A killed one is never continued: its promises stay pending. */
export class SimulatedProcess {
  #alive = true;
  #paused = false;
  #waiting: (() => void)[] = [];
  readonly #cleanups: (() => void)[] = [];
  readonly clock: Clock;

  /** `offset_ms` returns how far the machine's wall clock is off. */
  constructor(readonly timeline: Timeline, random: Random, offset_ms: () => number) {
    this.clock = {
      now_ms: () => epoch_ms + timeline.now_ms() + offset_ms(),
      monotonic_ms: () => timeline.now_ms(),
      random: () => random.next(),
      sleep: (duration_ms, signal) => this.#sleep(duration_ms, signal),
    };
  }

  get alive(): boolean {
    return this.#alive;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** Runs `work` in the process: now, once it is continued, or never. */
  deliver(work: () => void): void {
    if (!this.#alive) return;
    if (this.#paused) this.#waiting.push(work);
    else work();
  }

  /** Calls `cleanup` when the process is killed. */
  onKill(cleanup: () => void): void {
    this.#cleanups.push(cleanup);
  }

  kill(): void {
    if (!this.#alive) return;
    this.#alive = false;
    this.#waiting = [];
    for (const cleanup of this.#cleanups) cleanup();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    for (const work of this.#waiting.splice(0)) this.deliver(work);
  }

  #sleep(duration_ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const end = () => {
        cancel();
        signal?.removeEventListener("abort", end);
        resolve();
      };
      const cancel = this.timeline.after(Math.max(0, duration_ms), () => this.deliver(end));
      signal?.addEventListener("abort", end);
    });
  }
}
