/**
 * Keeps a cause that lasts from filling the log: its line is written once, and then after growing pauses. Pure.
 *
 * @module
 */

import type { Clock } from "./clock.ts";
import type { Log } from "./log.ts";
import { keepNewest } from "./keep_newest.ts";

/** Pauses between two lines of one cause: each is twice the one before. */
const pause = { first_ms: 60_000, most_ms: 3_600_000 } as const;

/** How many causes are remembered; the oldest is forgotten first. */
const maxCauses = 200;

interface Cause {
  loggedAt_ms: number;
  pause_ms: number;
  left: number;
}

/**
 * The same log, for warnings and errors. Lines are of one cause when they differ only in times, durations, leases and
 * revisions. A line that comes after a pause says in `repeated` how many were left out. What is reported by lower levels, and
 * any new cause, is written at once.
 */
export function withoutRepeats(log: Log, clock: Clock): Log {
  const causes = new Map<string, Cause>();
  return (level, message, fields) => {
    if (level !== "warn" && level !== "error") return log(level, message, fields);
    const now_ms = clock.monotonic_ms();
    const key = causeOf(`${level} ${message} ${JSON.stringify(fields ?? {})}`);
    const known = causes.get(key);
    if (known && now_ms - known.loggedAt_ms < known.pause_ms) {
      known.left++;
      return;
    }
    // A cause that has not come for longer than its next pause is a new one.
    const isOld = known && now_ms - known.loggedAt_ms < 3 * known.pause_ms;
    const pause_ms = isOld ? Math.min(pause.most_ms, 2 * known.pause_ms) : pause.first_ms;
    causes.delete(key);
    causes.set(key, { loggedAt_ms: now_ms, pause_ms, left: 0 });
    keepNewest(causes, maxCauses);
    log(level, message, known && known.left > 0 ? { ...fields, repeated: known.left } : fields);
  };
}

/** A text without what differs each time although the cause is the same. */
export function causeOf(text: string): string {
  return text
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z?/g, "TIME")
    .replace(/\b\d+(\.\d+)? ?(ms|s|seconds|milliseconds)\b/g, "DURATION")
    .replace(/\b(lease|revision) [0-9a-f]+/g, "$1 N");
}
