/**
 * Keeps a lasting cause from filling the log: its line is written once, and then after growing pauses. Pure.
 *
 * @module
 */

import type { Clock } from "./clock.ts";
import { type Fields, fieldText, type Level, type Log } from "./log.ts";

/** The pause after a cause's first line, and the longest one. Each is twice the one before. */
const pause = { first_ms: 60_000, most_ms: 3_600_000 } as const;

/** The number of causes that are remembered. The oldest is forgotten first. */
const maxCauses = 200;

/** The lowest port that Linux gives to outgoing connections (`net.ipv4.ip_local_port_range`). */
const firstEphemeralPort = 32_768;

interface Line {
  readonly level: Level;
  readonly message: string;
  readonly fields: Fields;
  /** The time of the line, milliseconds since the epoch. */
  readonly at_ms: number;
}

interface Cause {
  readonly pause_ms: number;
  /** The end of the pause, by the monotonic clock. */
  readonly end_ms: number;
  /** The number of lines during the pause, and the last of them. */
  suppressed: number;
  latest: Line;
}

/** A log that limits repeated warnings and errors. */
export interface RepeatLimiter {
  readonly log: Log;
  /** Writes the counts of suppressed lines. To be called before the process ends. */
  readonly close: () => void;
}

/**
 * Limits repeated warnings and errors of a log; lower levels pass. Lines have the same cause when {@link causeOf} returns
 * the same text for them. The first line of a cause is written at once, and lines during the pause after it are suppressed.
 * At the end of the pause the latest suppressed line is written, with `last`, when it came. `repeated` says how many lines
 * came since the one written before. A cause that stays away for two more pauses is a new one when it comes again.
 */
export function limitRepeats(log: Log, clock: Clock): RepeatLimiter {
  const causes = new Map<string, Cause>();
  const closing = new AbortController();

  const write = ({ level, message, fields }: Line, count: number, last: Fields = {}): void =>
    log(level, message, { ...fields, ...(count > 1 && { repeated: count }), ...last });
  const writeSuppressed = ({ latest, suppressed }: Cause): void => {
    if (suppressed > 0) write(latest, suppressed, { last: new Date(latest.at_ms).toISOString() });
  };
  const startPause = (key: string, pause_ms: number, latest: Line): void => {
    causes.delete(key);
    causes.set(key, { pause_ms, end_ms: clock.monotonic_ms() + pause_ms, suppressed: 0, latest });
    const [oldest] = causes;
    if (!oldest || causes.size <= maxCauses) return;
    causes.delete(oldest[0]);
    writeSuppressed(oldest[1]);
  };
  const suppress = (key: string, cause: Cause, line: Line): void => {
    cause.latest = line;
    if (cause.suppressed++ > 0) return;
    void clock.sleep(cause.end_ms - clock.monotonic_ms(), closing.signal).then(() => {
      if (causes.get(key) !== cause) return;
      startPause(key, next_ms(cause), cause.latest);
      writeSuppressed(cause);
    });
  };
  return {
    log: (level, message, fields = {}) => {
      if (level !== "warn" && level !== "error") return log(level, message, fields);
      const line = { level, message, fields, at_ms: clock.now_ms() };
      const key = causeOf([level, message, ...Object.entries(fields).map(textOf)].join(" "));
      const known = causes.get(key);
      const sinceEnd_ms = known ? clock.monotonic_ms() - known.end_ms : Infinity;
      if (known && sinceEnd_ms < 0) return suppress(key, known, line);
      startPause(key, known && sinceEnd_ms < 2 * known.pause_ms ? next_ms(known) : pause.first_ms, line);
      write(line, 1 + (known?.suppressed ?? 0));
    },
    close: () => {
      causes.forEach(writeSuppressed);
      causes.clear();
      closing.abort();
    },
  };
}

function next_ms({ pause_ms }: Cause): number {
  return Math.min(pause.most_ms, 2 * pause_ms);
}

function textOf([name, value]: [string, unknown]): string {
  return `${name}=${fieldText(value)}`;
}

/**
 * A line's text without what differs each time although the cause is the same: times, durations, leases, revisions, and
 * ports from 32768 up, which the kernel gives to outgoing connections. Lower ports are those of configured endpoints.
 */
export function causeOf(text: string): string {
  return text
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z?/g, "TIME")
    .replace(/\b\d+(\.\d+)? ?(ms|s|seconds|milliseconds)\b/g, "DURATION")
    .replace(/\b(lease|revision)([ =])[0-9a-f]+/g, "$1$2N")
    .replace(/(?<=[\w\]]):(\d{5})\b/g, (whole, port) => Number(port) < firstEphemeralPort ? whole : ":PORT");
}
