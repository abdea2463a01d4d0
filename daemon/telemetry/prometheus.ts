/**
 * Collects a daemon's metrics for Prometheus. An adapter: it reads the memory and CPU time of the process.
 *
 * @module
 */

import process from "node:process";
import type { Clock } from "../../runtime/clock.ts";
import type { UnitState } from "../../registry/model.ts";
import type { Metrics, Renewals } from "./metrics.ts";
import { textFormat } from "./text_format.ts";
import { build, version } from "../../runtime/version.ts";

/** The use of a unit; a figure is absent without its accounting. */
export interface UnitUsage {
  readonly name: string;
  readonly cpuMicroseconds?: number;
  readonly memoryBytes?: number;
  readonly tasks?: number;
  readonly readBytes?: number;
  readonly writtenBytes?: number;
}

/** The daemon's state at the moment of a scrape. */
export interface ScrapeState {
  readonly ready: boolean;
  readonly lease: string | undefined;
  readonly states: ReadonlyMap<string, UnitState> | undefined;
  /** The use of units, with `metrics_units`. */
  readonly usage?: readonly UnitUsage[];
}

/** Every ActiveState (org.freedesktop.systemd1(5)): each has a sample, also while it is 0. */
const activeStates = ["active", "reloading", "inactive", "failed", "activating", "deactivating"];

/** Sets the gauges of this moment and returns all metrics in the text format. */
export async function exposition(
  metrics: Metrics,
  state: ScrapeState,
  renewals: Renewals,
  clock: Clock,
): Promise<string> {
  metrics.set("fleet_build_info", 1, [version, build?.commit ?? "unknown"]);
  metrics.set("fleet_ready", state.ready ? 1 : 0);
  const renewed_ms = state.lease === undefined ? undefined : renewals.get(state.lease);
  const age_s = renewed_ms === undefined ? -1 : (clock.monotonic_ms() - renewed_ms) / 1000;
  metrics.set("fleet_lease_age_seconds", age_s);
  metrics.clear("fleet_units");
  for (const active of activeStates) metrics.set("fleet_units", 0, [active]);
  for (const health of ["passing", "failing"]) metrics.set("fleet_units_by_health", 0, [health]);
  for (const { active, health } of state.states?.values() ?? []) {
    metrics.count("fleet_units", [active]);
    if (health !== undefined) metrics.count("fleet_units_by_health", [health]);
  }
  unitMetrics(metrics, state.usage ?? []);
  metrics.set("fleet_event_loop_lag_seconds", await lag_ms(clock) / 1000);
  processMetrics(metrics);
  return textFormat(metrics.families());
}

function unitMetrics(metrics: Metrics, usage: readonly UnitUsage[]): void {
  const figures = {
    fleet_unit_cpu_seconds_total: ({ cpuMicroseconds }: UnitUsage) => cpuMicroseconds && cpuMicroseconds / 1e6,
    fleet_unit_memory_bytes: ({ memoryBytes }: UnitUsage) => memoryBytes,
    fleet_unit_tasks: ({ tasks }: UnitUsage) => tasks,
    fleet_unit_read_bytes_total: ({ readBytes }: UnitUsage) => readBytes,
    fleet_unit_written_bytes_total: ({ writtenBytes }: UnitUsage) => writtenBytes,
  };
  for (const [metric, read] of Object.entries(figures) as [keyof typeof figures, (unit: UnitUsage) => number][]) {
    metrics.clear(metric);
    for (const unit of usage) {
      const value: number | undefined = read(unit);
      if (value !== undefined) metrics.set(metric, value, [unit.name]);
    }
  }
}

async function lag_ms(clock: Clock): Promise<number> {
  const wanted_ms = 1;
  const begun_ms = clock.monotonic_ms();
  await clock.sleep(wanted_ms);
  return Math.max(0, clock.monotonic_ms() - begun_ms - wanted_ms);
}

function processMetrics(metrics: Metrics): void {
  const { user, system } = process.cpuUsage();
  metrics.set("process_cpu_seconds_total", (user + system) / 1e6);
  metrics.set("process_resident_memory_bytes", Deno.memoryUsage().rss);
  metrics.set("process_start_time_seconds", performance.timeOrigin / 1000);
}
