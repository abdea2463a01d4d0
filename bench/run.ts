/**
 * `deno task bench`: measures fleet on real machines, beside systemd alone doing the same work. See README.md.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { applyTarget, measureApply } from "./apply.ts";
import { type Burst, measureBurst } from "./burst.ts";
import { type Latency, measureLatency } from "./latency.ts";
import { measurePath, type Path, type PathStep } from "./path.ts";
import {
  capacityReport,
  type CapacityTimes,
  denseReport,
  type DenseTimes,
  measureCapacity,
  measureDense,
  measureSchedule,
  scheduleReport,
  type ScheduleTimes,
} from "./schedule.ts";
import { withSetting } from "./setting.ts";
import { type Comparison, summaryCells, summaryHeads, table } from "./statistics.ts";

const usage = `deno task bench [OPTION…]

  --only=latency|burst|apply|path|schedule   that measurement alone
  --samples=N                 measurements of single units (30)
  --pause=MS                  idle time before each command (250)
  --units=N                   units of a burst (200)
  --rounds=N                  bursts (20)
  --dist=DIRECTORY            the built programs (dist/)
  --json                      results as JSON, times in milliseconds
`;

/** Targets of fleet. */
const targets = { more_than_floor_ms: 30, times_floor: 2 } as const;

interface Results {
  readonly latency?: Latency;
  readonly burst?: Burst;
  readonly apply?: Comparison;
  readonly path?: Path;
  readonly schedule?: readonly ScheduleTimes[];
  readonly dense?: readonly DenseTimes[];
  readonly capacity?: readonly CapacityTimes[];
}

const { values: options } = parseArgs({
  options: {
    only: { type: "string" },
    samples: { type: "string", default: "30" },
    pause: { type: "string", default: "250" },
    units: { type: "string", default: "200" },
    rounds: { type: "string", default: "20" },
    dist: { type: "string", default: `${import.meta.dirname}/../dist` },
    json: { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false },
  },
});

if (options.help) console.log(usage);
else await main();

async function main(): Promise<void> {
  const numbers = {
    samples: count("samples", options.samples),
    pause_ms: count("pause", options.pause),
    units: count("units", options.units),
    rounds: count("rounds", options.rounds),
  };
  const { only } = options;
  if (only !== undefined && !["latency", "burst", "apply", "path", "schedule"].includes(only)) {
    throw new RangeError(`--only=${only} is not latency, burst, apply, path or schedule`);
  }
  const isSelected = (name: string) => only === undefined || only === name;
  const step = async <T>(name: string, measure: () => T): Promise<Awaited<T>> => {
    const start_ms = performance.now();
    const result = await measure();
    console.error(`${name}: ${((performance.now() - start_ms) / 1000).toFixed(0)} s`);
    return result;
  };
  const schedule = isSelected("schedule")
    ? {
      schedule: await step("schedule", () => measureSchedule()),
      dense: await step("dense machines", () => measureDense()),
      capacity: await step("reservations and spread", () => measureCapacity()),
    }
    : {};
  const onMachines = only === "schedule" ? {} : await withSetting(options.dist, async (setting): Promise<Results> => {
    return {
      ...isSelected("latency") && { latency: await step("latency", () => measureLatency(setting, numbers)) },
      ...isSelected("path") && { path: await step("path", () => measurePath(setting, numbers)) },
      ...isSelected("burst") && { burst: await step("burst", () => measureBurst(setting, numbers)) },
      ...isSelected("apply") && { apply: await step("apply", () => measureApply(setting, numbers)) },
    };
  });
  const results = { ...schedule, ...onMachines };
  const host = { cores: navigator.hardwareConcurrency, kernel: Deno.osRelease(), load: Deno.loadavg()[0] ?? 0 };
  console.log(
    options.json ? JSON.stringify({ host, ...numbers, ...results }, null, 2) : report(host, numbers, results),
  );
}

function count(name: string, text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1) throw new RangeError(`--${name}=${text} is not a number from 1`);
  return number;
}

function report(
  host: { readonly cores: number; readonly kernel: string; readonly load: number },
  { pause_ms, units }: { readonly pause_ms: number; readonly units: number },
  { latency, burst, apply, path, schedule, dense, capacity }: Results,
): string {
  const heads = (title: string) => [title, ...summaryHeads];
  const parts = [
    `three machines on one host: ${host.cores} cores, Linux ${host.kernel}, load ${host.load.toFixed(1)}\n`,
  ];
  if (latency) {
    const single = (title: string, floor: string, comparison: Comparison) =>
      table([heads(title), ...rows(comparison, floor)]) +
      judge(comparison, comparison.difference_ms <= targets.more_than_floor_ms, `at most +30 ms`);
    parts.push(
      single(`one unit, start (pauses of ${pause_ms} ms)`, "StartUnit to JobRemoved", latency.start),
      single("one unit, destroy", "StopUnit to JobRemoved", latency.destroy),
    );
  }
  if (path) {
    parts.push(
      steps("steps of a start", path.start),
      steps("systemd alone", path.floor_start),
      steps("steps of a destroy", path.destroy),
      steps("systemd alone", path.floor_stop),
    );
  }
  if (burst) {
    const within = (comparison: Comparison) => comparison.ratio <= targets.times_floor;
    parts.push(
      table([heads(`${units} units at once, start`), ...rows(burst.start, "StartUnit, files in place")]) +
        judge(burst.start, within(burst.start), "at most 2 times"),
      table([
        heads("the same, with the work on files"),
        ...rows(burst.start_with_files, "files written, linked, StartUnit"),
        ["last PUT answered", ...summaryCells(burst.answered)],
      ]) + judge(burst.start_with_files, within(burst.start_with_files), "at most 2 times"),
      table([heads(`${units} units at once, destroy`), ...rows(burst.destroy, "StopUnit")]) + judge(burst.destroy),
    );
  }
  if (apply) {
    parts.push(
      table([
        heads(`${units} new units as one application`),
        ["one roll-out", ...summaryCells(apply.fleet)],
        ["a PUT of each", ...summaryCells(apply.floor)],
      ]) + judge(apply, apply.ratio <= applyTarget, `at most ${applyTarget} times`),
    );
  }
  if (schedule) parts.push(scheduleReport(schedule));
  if (dense) parts.push(denseReport(dense));
  if (capacity) parts.push(capacityReport(capacity));
  return parts.join("\n");
}

function rows({ fleet, floor }: Comparison, alone: string): string[][] {
  return [["fleet", ...summaryCells(fleet)], [`systemd alone: ${alone}`, ...summaryCells(floor)]];
}

function judge({ difference_ms, ratio }: Comparison, kept?: boolean, target?: string): string {
  const sign = difference_ms < 0 ? "" : "+";
  const judged = target === undefined ? "" : ` (target: ${target}; ${kept ? "kept" : "MISSED"})`;
  return `${sign}${difference_ms.toFixed(1)} ms, ${ratio.toFixed(2)} times${judged}\n`;
}

function steps(title: string, path: readonly PathStep[]): string {
  return table([
    [title, "after ms", "step ms", "n"],
    ...path.map(({ name, after, step_ms }) => [name, after.median_ms.toFixed(1), step_ms.toFixed(1), `${after.n}`]),
  ]);
}
