/**
 * The entries of a journal that `--since`, `--until` and `--grep` select. Pure.
 *
 * @module
 */

import { type FlagSpec, textFlag, UsageError } from "../cli/argv.ts";
import type { Context } from "../cli/command.ts";
import { parseDuration_s } from "../cli/duration.ts";

/** The flags that select entries. */
export const selectionFlags: readonly FlagSpec[] = [
  textFlag("since", "TIME", "Print only entries from this time on: 10m ago, 14:30, 2026-11-28 14:30 or yesterday"),
  textFlag("until", "TIME", "Print only entries up to this time"),
  textFlag("grep", "PATTERN", "Print only entries whose message matches this regular expression of journalctl"),
];

/** The entries to read; times are milliseconds since the epoch. */
export interface JournalSelection {
  readonly since_ms?: number;
  readonly until_ms?: number;
  /** A regular expression of PCRE2. */
  readonly grep?: string;
}

/** Returns the selection of the flags. Throws {@link UsageError}. */
export function selectionOf({ flags, io }: Context): JournalSelection {
  const timeOf = (name: string) => {
    const text = flags.text(name);
    if (text === "") return undefined;
    const time_ms = parseTime_ms(text, io.wall_ms());
    if (time_ms !== undefined) return time_ms;
    const expected = "expected a time ago (10m), of the day (14:30), a date (2026-11-28 14:30), today or yesterday";
    throw new UsageError(`invalid value ${JSON.stringify(text)} for --${name}: ${expected}`);
  };
  const [since_ms, until_ms, grep] = [timeOf("since"), timeOf("until"), flags.text("grep")];
  if (until_ms !== undefined && flags.on("follow")) throw new UsageError("--follow cannot be combined with --until");
  if (since_ms !== undefined && until_ms !== undefined && since_ms > until_ms) {
    throw new UsageError("the time of --since is after that of --until");
  }
  checkPattern(grep);
  return {
    ...(since_ms === undefined ? {} : { since_ms }),
    ...(until_ms === undefined ? {} : { until_ms }),
    ...(grep === "" ? {} : { grep }),
  };
}

/** Refuses a malformed pattern, for which journalctl would print nothing. */
function checkPattern(grep: string): void {
  try {
    // JavaScript has no flags at the beginning of a pattern.
    new RegExp(grep.replace(/^\(\?[a-z]+\)/, ""));
  } catch (cause) {
    throw new UsageError(`invalid value ${JSON.stringify(grep)} for --grep: it is not a regular expression`, { cause });
  }
}

const day_ms = 24 * 60 * 60 * 1000;

/** Returns a time as users write it, in the time zone of the user; undefined for any other text. */
export function parseTime_ms(text: string, now_ms: number): number | undefined {
  const ago_s = parseDuration_s(text.replace(/ ago$/, ""));
  if (ago_s !== undefined) return now_ms - ago_s * 1000;
  const midnight_ms = new Date(now_ms).setHours(0, 0, 0, 0);
  if (text === "now") return now_ms;
  if (text === "today") return midnight_ms;
  if (text === "yesterday") return new Date(midnight_ms - day_ms / 2).setHours(0, 0, 0, 0);
  const [, date, time = "00:00", zone = ""] =
    /^(?:(\d{4}-\d{2}-\d{2})|(?=\d\d:))(?:(?:^|[T ])(\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?)(Z|[+-]\d{2}:\d{2})?)?$/
      .exec(text) ?? [];
  if (date === undefined && !/^\d\d:/.test(text)) return undefined;
  const today = new Date(midnight_ms);
  const day = date ?? [today.getFullYear(), today.getMonth() + 1, today.getDate()]
    .map((part) => String(part).padStart(2, "0")).join("-");
  const parsed_ms = Date.parse(`${day}T${time}${zone}`);
  return Number.isNaN(parsed_ms) ? undefined : parsed_ms;
}

/** Largest number of lines that the API reads of one journal. */
const maxLines = 100_000;

/** Returns how many of the latest entries to read: those of `--lines` or, where entries are selected, all by default. */
export function lineLimit({ flags }: Context, selection: JournalSelection): number {
  return Object.keys(selection).length > 0 && !flags.given("lines") ? maxLines : flags.number("lines");
}

/** Returns the selection as parameters of the API. */
export function selectionQuery({ since_ms, until_ms, grep }: JournalSelection): Record<string, string> {
  return {
    ...(since_ms === undefined ? {} : { since: String(Math.floor(since_ms)) }),
    ...(until_ms === undefined ? {} : { until: String(Math.floor(until_ms)) }),
    ...(grep === undefined ? {} : { grep }),
  };
}

/** Returns the selection as arguments of journalctl(1). */
export function selectionArguments({ since_ms, until_ms, grep }: JournalSelection): string[] {
  return [
    ...(since_ms === undefined ? [] : [`--since=@${(since_ms / 1000).toFixed(3)}`]),
    ...(until_ms === undefined ? [] : [`--until=@${(until_ms / 1000).toFixed(3)}`]),
    ...(grep === undefined ? [] : [`--grep=${grep}`]),
  ];
}
