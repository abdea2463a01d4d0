/** The real clock. An adapter. */

import type { Clock } from "../../runtime/clock.ts";

/** Longer sleeps are not possible in one go: setTimeout counts in 32 bits. */
const longest_ms = 2 ** 31 - 1;

/** Wall clock, monotonic clock, timers and chance of this process. */
export const systemClock: Clock = {
  now_ms: () => Date.now(),
  monotonic_ms: () => performance.now(),
  random: () => Math.random(),
  sleep: (duration_ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const end = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", end);
        resolve();
      };
      const timer = setTimeout(end, Math.min(Math.max(0, duration_ms), longest_ms));
      signal?.addEventListener("abort", end, { once: true });
    }),
};
