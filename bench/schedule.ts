/**
 * How long the engine takes to decide, in memory: everything from nothing, and one changed unit in a settled cluster.
 *
 * @module
 */

import { ScheduleCache } from "../daemon/engine/schedule_cache.ts";
import { schedule } from "../daemon/engine/schedule.ts";
import type { UnitOption } from "../systemd/unit_file.ts";
import { SimulatedCluster } from "../tests/scheduling/scenarios/scenario.ts";
import { summarize, type Summary, summaryCells, summaryHeads, table } from "./statistics.ts";

/** What the engine has set itself, for a thousand machines and ten thousand units. */
export const scheduleTargets = { from_nothing_ms: 1000, one_change_ms: 20 } as const;

/** Measurements of one size of cluster. */
export interface ScheduleTimes {
  readonly machines: number;
  readonly units: number;
  /** Nobody has a machine yet; how many of them the plan leaves waiting. */
  readonly from_nothing: Summary;
  readonly waiting: number;
  /** Everybody has one; a unit is added, replaced by another version, relabelled with its machine, or destroyed. */
  readonly one_change: Summary;
  /** The same, by somebody who has never seen the cluster before. */
  readonly settled: Summary;
}

/** Measures clusters that grow tenfold in steps; machines and units in the same proportion. */
export function measureSchedule({ rounds = 9 }: { readonly rounds?: number } = {}): ScheduleTimes[] {
  measure(100, 1000, 3); // The compiler's part of the work.
  return [1, 2, 5, 10].map((times) => measure(100 * times, 1000 * times, rounds));
}

function measure(machines: number, units: number, rounds: number): ScheduleTimes {
  const from_nothing_ms: number[] = [], settled_ms: number[] = [], one_change_ms: number[] = [];
  let waiting = 0;
  for (let round = 0; round < rounds; round++) {
    const simulation = crowd(machines, units);
    const memo = new ScheduleCache();
    const decide = (known?: ScheduleCache) => {
      const cluster = simulation.cluster();
      const start_ms = performance.now();
      const plan = schedule(cluster, { absentAreGone: true }, known);
      return { plan, took_ms: performance.now() - start_ms };
    };
    const first = decide(memo);
    from_nothing_ms.push(first.took_ms);
    waiting = first.plan.unplaced.size;
    simulation.apply(first.plan.placements);
    decide(memo);
    settled_ms.push(decide().took_ms);
    for (const change of changes(simulation, machines, round)) {
      change();
      const { plan, took_ms } = decide(memo);
      one_change_ms.push(took_ms);
      simulation.apply(plan.placements);
      decide(memo);
    }
  }
  return {
    machines,
    units,
    from_nothing: summarize(from_nothing_ms),
    waiting,
    one_change: summarize(one_change_ms),
    settled: summarize(settled_ms),
  };
}

/** One change on machines with many units each: what the engine works out again is the whole of one machine. */
export interface DenseTimes {
  readonly what: string;
  readonly one_change: Summary;
}

/** Measures few machines that run many units. */
export function measureDense({ rounds = 9 }: { readonly rounds?: number } = {}): DenseTimes[] {
  const plain = (simulation: SimulatedCluster) => {
    for (let index = 0; index < 3_000; index++) simulation.unit(`plain-${index}.service`, "launched", []);
  };
  const withConflicts = (simulation: SimulatedCluster) => {
    for (let index = 0; index < 3_000; index++) {
      simulation.unit(
        `plain-${index}.service`,
        "launched",
        index % 10 === 0 ? options("Conflicts=other@*.service") : [],
      );
    }
  };
  const replaced = (simulation: SimulatedCluster) => {
    const here = `MachineID=${machineId(0)}`;
    for (let index = 0; index < 400; index++) simulation.unit(`plain-${index}.service`, "launched", options(here));
    return () => {
      // None of the replaced units has another machine, so that each of them stays.
      for (let index = 0; index < 100; index++) {
        simulation.unit(`plain-${index + 200}.service`, "launched", options(`Replaces=plain-${index}.service`));
      }
    };
  };
  return [
    measureDenseCase("3 machines, 3,000 units", 3, plain, rounds),
    measureDenseCase("3 machines, 3,000 units, 300 with Conflicts", 3, withConflicts, rounds),
    measureDenseCase("1 machine, 400 units, 100 replaced ones without another machine", 1, replaced, rounds),
  ];
}

function measureDenseCase(
  what: string,
  machines: number,
  fill: (simulation: SimulatedCluster) => void | (() => void),
  rounds: number,
): DenseTimes {
  const one_change_ms: number[] = [];
  const simulation = new SimulatedCluster();
  for (let index = 0; index < machines; index++) simulation.machine(machineId(index), {});
  const memo = new ScheduleCache();
  const decide = () => {
    const cluster = simulation.cluster();
    const start_ms = performance.now();
    const plan = schedule(cluster, { absentAreGone: true }, memo);
    const took_ms = performance.now() - start_ms;
    simulation.apply(plan.placements);
    return took_ms;
  };
  const later = fill(simulation);
  decide();
  later?.();
  decide();
  for (let round = 0; round < rounds; round++) {
    simulation.unit(`new-${round}.service`, "launched", []);
    decide();
    // The plan after the placement: one machine has one unit more.
    one_change_ms.push(decide());
  }
  return { what, one_change: summarize(one_change_ms) };
}

function changes(simulation: SimulatedCluster, machines: number, round: number): (() => void)[] {
  return [
    () => simulation.unit(`new-${round}.service`, "launched", []),
    () => simulation.unit(`web@${round}-1.service`, "launched", options("Conflicts=web@*.service")),
    () => simulation.unit(`plain-${round}.service`, "launched", options("MachineMetadata=zone=z1")),
    () => simulation.label(machineId(round % machines), "zone", "z1"),
    () => simulation.restart(`plain-${round + 10}.service`),
    () => simulation.destroy(`plain-${round + 20}.service`),
  ];
}

/** A cluster of the kind that people have: most units ask for nothing, some for everything there is. */
function crowd(machines: number, units: number): SimulatedCluster {
  const simulation = new SimulatedCluster();
  for (let index = 0; index < machines; index++) {
    simulation.machine(machineId(index), { zone: `z${index % 5}`, disk: index % 2 === 0 ? "ssd" : "hdd" });
  }
  for (let index = 0; index < 5; index++) simulation.unit(`every-${index}.service`, "launched", options("Global=true"));
  for (let index = 0; simulation.units.size < units; index++) {
    simulation.unit(`plain-${index}.service`, "launched", []);
    simulation.unit(`plain-${index}b.service`, "launched", []);
    simulation.unit(
      `disk-${index}.service`,
      "launched",
      options("MachineMetadata=disk=ssd", `MachineMetadata=zone=z${index % 5}`),
    );
    // Instances of a few dozen templates, no two of one on a machine.
    simulation.unit(`app-${index % 40}@${index}.service`, "launched", options("Conflicts=%p@*.service"));
    simulation.unit(`main-${index}.service`, "launched", []);
    simulation.unit(`side-${index}.service`, "launched", options(`MachineOf=main-${index}.service`));
    if (index % 10 === 0) {
      simulation.unit(
        `pinned-${index}.service`,
        "launched",
        options(`MachineID=${machineId(index % machines).slice(0, 8)}`),
      );
      simulation.unit(`new-${index}.service`, "launched", options(`Replaces=plain-${index}.service`));
      simulation.unit(`nowhere-${index}.service`, "launched", options("MachineMetadata=disk=tape"));
    }
  }
  return simulation;
}

function options(...lines: readonly string[]): UnitOption[] {
  return lines.map((line) => {
    const at = line.indexOf("=");
    return { section: "X-Fleet", name: line.slice(0, at), value: line.slice(at + 1) };
  });
}

function machineId(index: number): string {
  return (index + 1).toString(16).padStart(8, "0").repeat(4);
}

/** The measurements as a person reads them. */
export function scheduleReport(times: readonly ScheduleTimes[]): string {
  const size = ({ machines, units }: ScheduleTimes) => `${machines} machines, ${units} units`;
  const rows = (of: (each: ScheduleTimes) => Summary) =>
    times.map((each) => [size(each), ...summaryCells(of(each)), (of(each).median_ms * 1000 / each.units).toFixed(2)]);
  const heads = (what: string) => [what, ...summaryHeads, "µs a unit"];
  const { from_nothing, one_change } = times.at(-1)!;
  const judge = (what: string, median_ms: number, target_ms: number) =>
    `${what}: ${median_ms.toFixed(1)} ms (target: ${target_ms} ms; ${median_ms < target_ms ? "kept" : "MISSED"})\n`;
  return [
    table([heads("a plan from nothing"), ...rows((each) => each.from_nothing)]),
    judge("the largest", from_nothing.median_ms, scheduleTargets.from_nothing_ms),
    "\n",
    table([heads("one change in a settled cluster"), ...rows((each) => each.one_change)]),
    judge("the largest", one_change.median_ms, scheduleTargets.one_change_ms),
    "\n",
    table([heads("a settled cluster, seen for the first time"), ...rows((each) => each.settled)]),
  ].join("");
}

/** {@link measureDense} as a person reads it. */
export function denseReport(times: readonly DenseTimes[]): string {
  return table([
    ["one change on dense machines", ...summaryHeads],
    ...times.map(({ what, one_change }) => [what, ...summaryCells(one_change)]),
  ]);
}

if (import.meta.main) console.log(`${scheduleReport(measureSchedule())}\n${denseReport(measureDense())}`);
