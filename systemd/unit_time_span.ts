/**
 * Time spans of systemd.time(7), as in `TimeoutStopSec=`. Pure.
 *
 * @module
 */

const second_ms = 1_000;
const day_ms = 86_400 * second_ms;

/** Milliseconds of each unit, by all of its names. */
const units: ReadonlyMap<string, number> = new Map(
  ([
    [1e-6, "nsec ns"],
    [0.001, "usec us µs μs"],
    [1, "msec ms"],
    [second_ms, "seconds second sec s"],
    [60 * second_ms, "minutes minute min m"],
    [3_600 * second_ms, "hours hour hr h"],
    [day_ms, "days day d"],
    [7 * day_ms, "weeks week w"],
    [30.44 * day_ms, "months month M"],
    [365.25 * day_ms, "years year y"],
  ] as const).flatMap(([unit_ms, names]) => names.split(" ").map((name) => [name, unit_ms])),
);

/** Returns a time span in milliseconds; undefined if the text is none. A number without a unit means seconds. */
export function parseTimeSpan_ms(text: string): number | undefined {
  const part = /\s*(\d+(?:\.\d*)?|\.\d+)\s*([A-Za-zµμ]*)\s*/y;
  let span_ms: number | undefined;
  while (part.lastIndex < text.length) {
    const [, number, unit] = part.exec(text) ?? [];
    const unit_ms = unit === "" ? second_ms : units.get(unit ?? "?");
    if (number === undefined || unit_ms === undefined) return undefined;
    span_ms = (span_ms ?? 0) + Number(number) * unit_ms;
  }
  return span_ms;
}
