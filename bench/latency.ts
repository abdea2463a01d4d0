/**
 * Measures single units: the time from the PUT until a client sees the unit active, and from the DELETE until a client sees
 * it gone. For comparison, measures systemd alone, on the same machine and with the same pause before each command.
 *
 * @module
 */

import type { Machine } from "../tests/lab/machine.ts";
import { isActive, isGone } from "./api_client.ts";
import type { Floor } from "./floor.ts";
import { pause, type Setting, timed, unitOptions, unitText } from "./setting.ts";
import { compare, type Comparison } from "./statistics.ts";

/** Options of {@link measureLatency}. */
export interface LatencyOptions {
  /** Measurements of each kind. */
  readonly samples: number;
  /** Idle time before each command. */
  readonly pause_ms: number;
}

/** Results of {@link measureLatency}. */
export interface Latency {
  readonly start: Comparison;
  readonly destroy: Comparison;
}

/** Number of first rounds that are not counted: they warm up caches and compilers. */
const warmups = 3;

/**
 * Measures fleet and systemd alternately: a start by each, then a stop by each, on one machine after the other. A pause
 * precedes each command.
 */
export async function measureLatency(setting: Setting, { samples, pause_ms }: LatencyOptions): Promise<Latency> {
  const { lab: { machines }, floors } = setting;
  const fleet = { start: [] as number[], destroy: [] as number[] };
  const floor = { start: [] as number[], destroy: [] as number[] };
  for (let at = 0; at < warmups + samples; at++) {
    const machine = machines[at % machines.length] as Machine;
    const alone = floors.get(machine) as Floor;
    const [ours, theirs] = [`fleet-${at}.service`, `floor-${at}.service`];
    const paused = async (work: () => Promise<number | void>) => {
      await pause(pause_ms);
      return await timed(work);
    };
    await alone.install([theirs], unitText);
    const start_ms = await paused(() => launched(setting, ours, machine));
    const floor_start_ms = await paused(() => alone.start([theirs]));
    const destroy_ms = await paused(() => destroyed(setting, ours));
    const floor_stop_ms = await paused(() => alone.stop([theirs]));
    await alone.remove([theirs]);
    if (at < warmups) continue;
    fleet.start.push(start_ms);
    floor.start.push(floor_start_ms);
    fleet.destroy.push(destroy_ms);
    floor.destroy.push(floor_stop_ms);
  }
  return { start: compare(fleet.start, floor.start), destroy: compare(fleet.destroy, floor.destroy) };
}

/** PUTs a unit. Returns the time at which the client saw it active. */
async function launched({ client }: Setting, name: string, machine: Machine): Promise<number> {
  const seen = client.when(name, isActive);
  await client.launch(name, unitOptions(machine));
  return await seen;
}

/** DELETEs a unit. Returns the time at which the client saw that the unit and its states are gone. */
async function destroyed({ client }: Setting, name: string): Promise<number> {
  const seen = client.when(name, isGone);
  await client.destroy(name);
  return await seen;
}
