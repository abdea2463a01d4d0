/**
 * Tracks jobs that systemd has accepted, until they leave its queue.
 *
 * @module
 */

import type { Job, JobResult } from "../port.ts";

/** Pending jobs by object path. Requests that systemd merged into one job share it. */
export class PendingJobs {
  readonly #waiting = new Map<string, PromiseWithResolvers<JobResult>>();

  /** Adds a job that systemd has accepted. */
  add(path: string, unit: string): Job {
    return { unit, done: this.#waiting.getOrInsertComputed(path, () => Promise.withResolvers()).promise };
  }

  /** Handles systemd's JobRemoved. Jobs that fleet did not request are ignored. */
  removed(path: string, result: JobResult): void {
    this.#waiting.get(path)?.resolve(result);
    this.#waiting.delete(path);
  }

  /** Ends all jobs with the result `unknown`: the signals of their end will not arrive. */
  lost(): void {
    for (const waiting of this.#waiting.values()) waiting.resolve("unknown");
    this.#waiting.clear();
  }
}
