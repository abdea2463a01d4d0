/**
 * A time limit for a task. Pure: the clock is handed in.
 *
 * @module
 */

import type { Clock } from "./clock.ts";

/**
 * Runs a task and waits for it for at most `limit_ms`. Returns whether it has ended by then; if not, it goes on. Rejects if
 * the task rejects within the limit.
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
