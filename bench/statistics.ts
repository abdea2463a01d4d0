/**
 * Summaries of measurements, and tables of them. Pure.
 *
 * @module
 */

/** Summary of a series of measurements, in milliseconds. */
export interface Summary {
  readonly n: number;
  readonly median_ms: number;
  readonly min_ms: number;
  readonly max_ms: number;
}

/** Summarizes measurements. Throws a RangeError if there are none. */
export function summarize(samples_ms: readonly number[]): Summary {
  const sorted = [...samples_ms].sort((a, b) => a - b);
  const [min_ms, max_ms] = [sorted[0], sorted.at(-1)];
  if (min_ms === undefined || max_ms === undefined) {
    throw new RangeError("cannot summarize an empty series of measurements");
  }
  return { n: sorted.length, median_ms: median(sorted), min_ms: rounded(min_ms), max_ms: rounded(max_ms) };
}

function median(sorted: readonly number[]): number {
  const middle = sorted.length >> 1;
  const upper = sorted[middle] as number;
  return rounded(sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] as number)) / 2);
}

/** Rounds to a hundredth of a millisecond, which is below the resolution of the clocks used here. */
function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}

/** fleet beside the floor: the same work by systemd alone, measured in the same run. */
export interface Comparison {
  readonly fleet: Summary;
  readonly floor: Summary;
  /** Of the medians: fleet's minus the floor's. */
  readonly difference_ms: number;
  /** Of the medians: fleet's by the floor's. */
  readonly ratio: number;
}

/** Compares two series. */
export function compare(fleet_ms: readonly number[], floor_ms: readonly number[]): Comparison {
  const fleet = summarize(fleet_ms), floor = summarize(floor_ms);
  const difference_ms = rounded(fleet.median_ms - floor.median_ms);
  return { fleet, floor, difference_ms, ratio: rounded(fleet.median_ms / floor.median_ms) };
}

/** Formats a table; every column but the first is aligned to the right. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [at, cell] of row.entries()) widths[at] = Math.max(widths[at] ?? 0, cell.length);
  }
  const line = (row: readonly string[]) =>
    row.map((cell, at) => at === 0 ? cell.padEnd(widths[at] as number) : cell.padStart(widths[at] as number)).join(
      "  ",
    );
  return rows.map((row) => `${line(row).trimEnd()}\n`).join("");
}

/** A summary as cells of a {@link table}: see {@link summaryHeads}. */
export function summaryCells({ n, median_ms, min_ms, max_ms }: Summary): string[] {
  return [median_ms.toFixed(1), min_ms.toFixed(1), max_ms.toFixed(1), `${n}`];
}

export const summaryHeads: readonly string[] = ["median ms", "min", "max", "n"];
