/**
 * How long one unit takes: from the PUT until a client sees it active, and from the DELETE until a client sees it gone;
 * beside what systemd alone takes, on the same machine, with the same pause before each.
 *
 * @module
 */

import type { Machine } from "../tests/cluster/machine.ts";
import { isActive, isGone } from "./api_client.ts";
import type { Floor } from "./floor.ts";
import { pause, type Setting, timed, unitOptions, unitText } from "./setting.ts";
import { compare, type Comparison } from "./statistics.ts";

/** How to measure. */
export interface LatencyOptions {
  /** Measurements of each kind. */
  readonly samples: number;
  /** Before each command, in which nothing happens. */
  readonly pause_ms: number;
}

/** What was measured. */
export interface Latency {
  readonly start: Comparison;
  readonly destroy: Comparison;
}

/** Commands given before anything counts, for caches and compilers to warm up. */
const warmups = 3;

/**
 * fleet, systemd, fleet, systemd … for the starts, then for the stops, on one machine after the other. Each command comes
 * alone, after a pause.
 */
export async function measureLatency(setting: Setting, { samples, pause_ms }: LatencyOptions): Promise<Latency> {
  const { lab: { machines }, client, floors } = setting;
  const fleet = { start: [] as number[], destroy: [] as number[] };
  const floor = { start: [] as number[], destroy: [] as number[] };
  for (let round = -warmups; round < samples; round++) {
    const machine = machines[(round + warmups) % machines.length] as Machine;
    const alone = floors.get(machine) as Floor;
    const [by_fleet, by_systemd] = ["fleet", "floor"].map((kind) => `${kind}-${round + warmups}.service`) as [
      string,
      string,
    ];
    await alone.install([by_systemd], unitText);
    await pause(pause_ms);
    const starts = [
      await timed(async () => {
        const seen = client.when(by_fleet, isActive);
        await client.launch(by_fleet, unitOptions(machine));
        return await seen;
      }),
      (await pause(pause_ms), await timed(() => alone.start([by_systemd]))),
    ] as const;
    await pause(pause_ms);
    const stops = [
      await timed(async () => {
        const seen = client.when(by_fleet, isGone);
        await client.destroy(by_fleet);
        return await seen;
      }),
      (await pause(pause_ms), await timed(() => alone.stop([by_systemd]))),
    ] as const;
    await alone.remove([by_systemd]);
    if (round < 0) continue;
    fleet.start.push(starts[0]);
    floor.start.push(starts[1]);
    fleet.destroy.push(stops[0]);
    floor.destroy.push(stops[1]);
  }
  return { start: compare(fleet.start, floor.start), destroy: compare(fleet.destroy, floor.destroy) };
}
