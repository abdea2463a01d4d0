/** The real clock. An adapter. */

import type { Clock } from "../../runtime/clock.ts";
import { sleep } from "../../runtime/sleep.ts";

/** Wall clock, monotonic clock, timers and chance of this process. */
export const systemClock: Clock = {
  now_ms: () => Date.now(),
  monotonic_ms: () => performance.now(),
  random: () => Math.random(),
  sleep,
};
