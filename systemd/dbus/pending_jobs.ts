/**
 * Jobs that systemd has accepted and that have not left its queue.
 *
 * @module
 */

import type { Job, JobResult } from "../port.ts";

interface PendingJob {
  readonly done: Promise<JobResult>;
  readonly resolve: (result: JobResult) => void;
}

/** Knows jobs by object path. Two requests that systemd merged into one job share it. */
export class PendingJobs {
  readonly #waiting = new Map<string, PendingJob>();

  /** A job that was accepted. */
  add(path: string, unit: string): Job {
    let waiting = this.#waiting.get(path);
    if (!waiting) {
      const { promise, resolve } = Promise.withResolvers<JobResult>();
      waiting = { done: promise, resolve };
      this.#waiting.set(path, waiting);
    }
    return { unit, done: waiting.done };
  }

  /** systemd's JobRemoved; jobs of others are none of ours. */
  removed(path: string, result: JobResult): void {
    this.#waiting.get(path)?.resolve(result);
    this.#waiting.delete(path);
  }

  /** Nobody will tell their end any more. */
  lost(): void {
    for (const waiting of this.#waiting.values()) waiting.resolve("unknown");
    this.#waiting.clear();
  }
}
