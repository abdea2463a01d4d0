/**
 * A limit for what may take too long. Pure: the clock is handed in.
 *
 * @module
 */

import type { Clock } from "./clock.ts";

/**
 * Whether `task` ended within the limit, milliseconds; a task that did not is left to go on. Rejects if the task rejects
 * within the limit.
 */
export async function within(limit_ms: number, clock: Clock, task: () => Promise<unknown>): Promise<boolean> {
  const over = new AbortController();
  const late = clock.sleep(limit_ms, over.signal).then(() => false);
  try {
    return await Promise.race([task().then(() => true), late]);
  } finally {
    over.abort();
  }
}
