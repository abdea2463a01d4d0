/**
 * Measures the scheduler in memory: a first plan for a whole cluster, and a plan after one change in a settled cluster.
 *
 * @module
 */

import process from "node:process";
import { ScheduleCache } from "../daemon/engine/schedule_cache.ts";
import { schedule } from "../daemon/engine/schedule.ts";
import type { UnitOption } from "../systemd/unit_file.ts";
import { preview } from "../daemon/engine/preview.ts";
import { draftPut, SimulatedCluster } from "../tests/scheduling/scenarios/scenario.ts";
import { summarize, type Summary, summaryCells, summaryHeads, table } from "./statistics.ts";

/** Targets for a thousand machines and ten thousand units. */
export const scheduleTargets = { from_nothing_ms: 1000, one_change_ms: 20 } as const;

/** Measurements of one size of cluster. */
export interface ScheduleTimes {
  readonly machines: number;
  readonly units: number;
  /** The first plan: no unit has a machine yet. */
  readonly from_nothing: Summary;
  /** Units that the first plan leaves without a machine. */
  readonly unplaced: number;
  /** In a settled cluster: a unit is added, changed, restarted or destroyed, or a machine gets another label. */
  readonly one_change: Summary;
  /** A settled cluster without a cache of earlier plans. */
  readonly settled: Summary;
  /** In a settled cluster: the preview of 200 changes, half of them new units and half new files. */
  readonly preview: Summary;
}

/** Measures clusters of four sizes, with the same number of units for each machine. */
export function measureSchedule({ rounds = 9 }: { readonly rounds?: number } = {}): ScheduleTimes[] {
  measure(100, 1000, 3); // Warms up the JIT compiler.
  return [1, 2, 5, 10].map((times) => measure(100 * times, 1000 * times, rounds));
}

function measure(machines: number, units: number, rounds: number): ScheduleTimes {
  const from_nothing_ms: number[] = [],
    settled_ms: number[] = [],
    one_change_ms: number[] = [],
    preview_ms: number[] = [];
  let unplaced = 0;
  for (let round = 0; round < rounds; round++) {
    const simulation = typicalCluster(machines, units);
    const cache = new ScheduleCache();
    const decide = (known?: ScheduleCache) => {
      const cluster = simulation.cluster();
      const start_ms = performance.now();
      const plan = schedule(cluster, { absentAreGone: true }, known);
      return { plan, took_ms: performance.now() - start_ms };
    };
    const first = decide(cache);
    from_nothing_ms.push(first.took_ms);
    unplaced = first.plan.unplaced.size;
    simulation.apply(first.plan.placements);
    decide(cache);
    settled_ms.push(decide().took_ms);
    const start_ms = performance.now();
    preview(simulation.cluster(), drafts);
    preview_ms.push(performance.now() - start_ms);
    for (const change of changes(simulation, machines, round)) {
      change();
      const { plan, took_ms } = decide(cache);
      one_change_ms.push(took_ms);
      simulation.apply(plan.placements);
      decide(cache);
    }
  }
  return {
    machines,
    units,
    from_nothing: summarize(from_nothing_ms),
    unplaced,
    one_change: summarize(one_change_ms),
    settled: summarize(settled_ms),
    preview: summarize(preview_ms),
  };
}

const drafts = Array.from({ length: 100 }, (_, index) => [
  draftPut(`draft-${index}.service`, "launched", []),
  draftPut(`plain-${index}.service`, "launched", options("Conflicts=nothing.service")),
]).flat();

/** One change on machines with many units each: the scheduler computes one whole machine again. */
export interface DenseTimes {
  readonly title: string;
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
  title: string,
  machines: number,
  fill: (simulation: SimulatedCluster) => void | (() => void),
  rounds: number,
): DenseTimes {
  const one_change_ms: number[] = [];
  const simulation = new SimulatedCluster();
  for (let index = 0; index < machines; index++) simulation.machine(machineId(index), {});
  const decide = decider(simulation);
  const later = fill(simulation);
  decide();
  later?.();
  decide();
  for (let round = 0; round < rounds; round++) {
    simulation.unit(`new-${round}.service`, "launched", []);
    decide();
    // The plan after the placement: one machine has one more unit.
    one_change_ms.push(decide());
  }
  return { title, one_change: summarize(one_change_ms) };
}

/** Reservations and spread may cost this much more time than the same units without them. */
export const capacityTarget = 1.2;

/** Plans for units with reservations and spread, compared with the same units without them. */
export interface CapacityTimes {
  readonly title: string;
  readonly without: Summary;
  readonly with: Summary;
  /** The median of the ratios of the rounds, each of which measures both twice. */
  readonly ratio: number;
}

/** Measures what capacities and spread cost, in a large cluster and on dense machines. */
export function measureCapacity({ rounds = 15 }: { readonly rounds?: number } = {}): CapacityTimes[] {
  const dense = (hasCapacity: boolean) => {
    const simulation = new SimulatedCluster();
    for (let index = 0; index < 3; index++) simulation.machine(machineId(index), { zone: `z${index}` }, false, large);
    for (let index = 0; index < 3_000; index++) {
      simulation.unit(`app-${index % 40}@${index}.service`, "launched", hasCapacity ? reserving(index) : []);
    }
    return simulation;
  };
  const largeCluster = (hasCapacity: boolean) => typicalCluster(1_000, 10_000, hasCapacity);
  return [
    ...measureCapacityOf("1,000 machines, 10,000 units", largeCluster, rounds),
    ...measureCapacityOf("3 machines, 3,000 units", dense, rounds),
  ];
}

function measureCapacityOf(
  title: string,
  clusterOf: (hasCapacity: boolean) => SimulatedCluster,
  rounds: number,
): CapacityTimes[] {
  const from_nothing = new Ratios(), one_change = new Ratios();
  // One round more warms up the JIT compiler.
  for (let round = 0; round <= rounds; round++) {
    // Both orders, since the second one of two finds more garbage.
    const order = [true, false, false, true];
    const times = order.map((hasCapacity) => timesOf(clusterOf(hasCapacity)));
    if (round === 0) continue;
    const meanOf = (hasCapacity: boolean, key: keyof (typeof times)[number]) =>
      times.reduce((sum, each, index) => order[index] === hasCapacity ? sum + each[key] : sum, 0) / 2;
    from_nothing.add(meanOf(false, "from_nothing_ms"), meanOf(true, "from_nothing_ms"));
    one_change.add(meanOf(false, "one_change_ms"), meanOf(true, "one_change_ms"));
  }
  return [
    { title: `${title}: a plan from nothing`, ...from_nothing.result() },
    { title: `${title}: ten changes`, ...one_change.result() },
  ];
}

/**
 * Returns a function that makes the engine's next plan, carries it out, and returns the CPU time of the plan in milliseconds:
 * unlike the time that passes, it depends little on what else the host does.
 */
function decider(simulation: SimulatedCluster): () => number {
  const cache = new ScheduleCache();
  return () => {
    const cluster = simulation.cluster();
    const before = process.cpuUsage();
    const plan = schedule(cluster, { absentAreGone: true }, cache);
    const { user, system } = process.cpuUsage(before);
    simulation.apply(plan.placements);
    return (user + system) / 1000;
  };
}

/** Returns the time of the first plan, and that of ten plans after one change each. */
function timesOf(simulation: SimulatedCluster): { readonly from_nothing_ms: number; readonly one_change_ms: number } {
  const decide = decider(simulation);
  const from_nothing_ms = decide();
  decide();
  let one_change_ms = 0;
  for (let index = 0; index < 10; index++) {
    simulation.unit(`new-${index}.service`, "launched", []);
    one_change_ms += decide() + decide();
  }
  return { from_nothing_ms, one_change_ms };
}

/** Pairs of times. */
class Ratios {
  readonly #without_ms: number[] = [];
  readonly #with_ms: number[] = [];

  add(without_ms: number, with_ms: number): void {
    this.#without_ms.push(without_ms);
    this.#with_ms.push(with_ms);
  }

  result(): Omit<CapacityTimes, "title"> {
    const ratios = this.#with_ms.map((with_ms, index) => with_ms / this.#without_ms[index]!).sort((a, b) => a - b);
    const ratio = ratios[ratios.length >> 1]!;
    return { without: summarize(this.#without_ms), with: summarize(this.#with_ms), ratio };
  }
}

/** Every machine has room for all of its units. */
const large = { cpu: "1000", memory: "1T" };

function reserving(index: number): UnitOption[] {
  const memory = `MemoryReserve=${1 + index % 7}00M`;
  return options(memory, `CPUReserve=0.${1 + index % 3}`, "Spread=zone");
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

/** A typical cluster: most units have no requirements, some use each option. */
function typicalCluster(machines: number, units: number, hasCapacity = false): SimulatedCluster {
  const simulation = new SimulatedCluster();
  for (let index = 0; index < machines; index++) {
    const metadata = { zone: `z${index % 5}`, disk: index % 2 === 0 ? "ssd" : "hdd" };
    simulation.machine(machineId(index), metadata, false, large);
  }
  for (let index = 0; index < 5; index++) simulation.unit(`every-${index}.service`, "launched", options("Global=true"));
  for (let index = 0; simulation.units.size < units; index++) {
    const more = hasCapacity ? reserving(index) : [];
    simulation.unit(`plain-${index}.service`, "launched", more);
    simulation.unit(`plain-${index}b.service`, "launched", []);
    simulation.unit(
      `disk-${index}.service`,
      "launched",
      options("MachineMetadata=disk=ssd", `MachineMetadata=zone=z${index % 5}`),
    );
    // Instances of a few dozen templates; a machine takes one instance of each.
    simulation.unit(`app-${index % 40}@${index}.service`, "launched", [
      ...options("Conflicts=%p@*.service"),
      ...more,
    ]);
    simulation.unit(`main-${index}.service`, "launched", more);
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

/** Formats the measurements as tables. */
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
    table([heads("a settled cluster, without a cache"), ...rows((each) => each.settled)]),
    "\n",
    table([heads("a preview of 200 changes"), ...rows((each) => each.preview)]),
  ].join("");
}

/** Formats the results of {@link measureDense} as a table. */
export function denseReport(times: readonly DenseTimes[]): string {
  return table([
    ["one change on dense machines", ...summaryHeads],
    ...times.map(({ title, one_change }) => [title, ...summaryCells(one_change)]),
  ]);
}

/** Formats the results of {@link measureCapacity} as a table. */
export function capacityReport(times: readonly CapacityTimes[]): string {
  const worst = Math.max(...times.map(({ ratio }) => ratio));
  const verdict = worst <= capacityTarget ? "kept" : "MISSED";
  return table([
    ["reservations and spread", "without, ms", "with, ms", "ratio"],
    ...times.map((each) => [
      each.title,
      each.without.median_ms.toFixed(1),
      each.with.median_ms.toFixed(1),
      each.ratio.toFixed(2),
    ]),
  ]) + `the largest ratio: ${worst.toFixed(2)} (target: ${capacityTarget}; ${verdict})\n`;
}

if (import.meta.main) {
  console.log([
    scheduleReport(measureSchedule()),
    denseReport(measureDense()),
    capacityReport(measureCapacity()),
  ].join("\n"));
}
