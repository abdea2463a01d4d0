/** The table of a chaos run. Pure. */

import type { Result, Trial } from "./run.ts";

const median = (sorted: readonly number[]) => sorted[Math.floor((sorted.length - 1) / 2)]!;
const seconds = (ms: number) => (Math.max(0, ms) / 1000).toFixed(1);

/** Returns the table: one row for each fault, one for pairs of faults, and one for all. */
export function table(trials: readonly Trial[]): string {
  const titles = [...new Set(trials.flatMap(({ faults }) => faults.map(({ title }) => title)))].sort();
  const rows = titles.map((title) => {
    const mine = trials.filter(({ faults }) => faults.some((fault) => fault.title === title));
    return row(title, mine.filter(isAlone), mine);
  });
  const pairs = trials.filter((trial) => !isAlone(trial));
  return [
    "| fault | trials | in pairs | settled after: median | worst | trials in which units moved | violations |",
    "| --- | --- | --- | --- | --- | --- | --- |",
    ...rows,
    row("two faults at once", pairs, pairs),
    row("all", trials, trials),
  ].join("\n");
}

const isAlone = ({ faults }: Trial) => faults.length === 1;

/** Returns a row: times of the `timed` trials; moves and violations of all trials with that fault. */
function row(title: string, timed: readonly Trial[], mine: readonly Trial[]): string {
  const settled = timed.map(({ settle_ms }) => settle_ms).sort((a, b) => a - b);
  const times = settled.length === 0 ? "– | –" : `${seconds(median(settled))} s | ${seconds(settled.at(-1)!)} s`;
  const pairs = mine.filter((trial) => !isAlone(trial)).length;
  const moved = mine.filter(({ moved }) => moved > 0).length;
  const violations = mine.flatMap((trial) => trial.violations).length;
  return `| ${title} | ${timed.length} | ${pairs} | ${times} | ${moved} | ${violations} |`;
}

/** Returns the whole report. */
export function report({ trials, requests, samples, gap_ms }: Result, seed: number): string {
  const { done, refused, open, pending } = requests;
  return `${trials.length > 0 ? table(trials) : "no trials"}

seed ${seed}; ${trials.length} trials; ${done} changes acknowledged, ${refused} refused, ${open} answered with an error, ` +
    `${pending} not answered; ${samples} samples of what runs, at most ${Math.round(gap_ms)} ms apart`;
}
