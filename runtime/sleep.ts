/**
 * Sleeps by the timer of this process. An adapter.
 *
 * @module
 */

import { onceAborted } from "./on_abort.ts";

/** The longest timeout of setTimeout, which counts in 32 bits. */
const longest_ms = 2 ** 31 - 1;

/** Resolves after `duration_ms`, or at once when `signal` aborts. Never rejects. Sleeps for 24 days at the most. */
export function sleep(duration_ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      stopListening();
      resolve();
    }, Math.min(Math.max(0, duration_ms), longest_ms));
    const stopListening = onceAborted([signal], () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
