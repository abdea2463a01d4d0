/**
 * Measures bursts of many units by fleet, and by systemd alone with the same number of units for each machine.
 *
 * @module
 */

import { inParallel } from "../runtime/parallel.ts";
import { isActive, isGone } from "./api_client.ts";
import { pause, type Setting, timed, unitOptions, unitText } from "./setting.ts";
import { compare, type Comparison, summarize, type Summary } from "./statistics.ts";

/** Options of {@link measureBurst}. */
export interface BurstOptions {
  /** Units of one burst. */
  readonly units: number;
  readonly rounds: number;
  /** Idle time before each burst. */
  readonly pause_ms: number;
}

/** Results of {@link measureBurst}. */
export interface Burst {
  /** First PUT until the last unit is seen active; floor: unit files in place, StartUnit of all shares at once. */
  readonly start: Comparison;
  /** The same; floor: unit files written and linked as well, as fleet has to. */
  readonly start_with_files: Comparison;
  /** First DELETE until the last unit is seen gone; floor: StopUnit of all shares at once. */
  readonly destroy: Comparison;
  /** First PUT until the last is answered. */
  readonly answered: Summary;
}

/** Bursts that are not counted, to warm up. */
const warmups = 1;

/** Measures bursts in turn: fleet, systemd, systemd with files, fleet … */
export async function measureBurst(setting: Setting, { units, rounds, pause_ms }: BurstOptions): Promise<Burst> {
  const fleet = { start: [] as number[], destroy: [] as number[], answered: [] as number[] };
  const floor = { start: [] as number[], with_files: [] as number[], destroy: [] as number[] };
  for (let round = -warmups; round < rounds; round++) {
    const names = (kind: string) =>
      Array.from({ length: units }, (_, at) => `burst-${kind}-${round + warmups}-${at}.service`);
    await pause(pause_ms);
    const by_fleet = await burstByFleet(setting, names("fleet"), pause_ms);
    await pause(pause_ms);
    const in_place = await burstBySystemd(setting, names("floor"), pause_ms, false);
    await pause(pause_ms);
    const with_files = await burstBySystemd(setting, names("files"), pause_ms, true);
    if (round < 0) continue;
    fleet.start.push(by_fleet.start_ms);
    fleet.destroy.push(by_fleet.destroy_ms);
    fleet.answered.push(by_fleet.answered_ms);
    floor.start.push(in_place.start_ms);
    floor.destroy.push(in_place.stop_ms);
    floor.with_files.push(with_files.start_ms);
  }
  return {
    start: compare(fleet.start, floor.start),
    start_with_files: compare(fleet.start, floor.with_files),
    destroy: compare(fleet.destroy, floor.destroy),
    answered: summarize(fleet.answered),
  };
}

async function burstByFleet({ client }: Setting, names: readonly string[], pause_ms: number) {
  let answered_ms = 0;
  const start_ms = await timed(async () => {
    const seen = Promise.all(names.map((name) => client.when(name, isActive)));
    answered_ms = await timed(async () => {
      await inParallel(names, (name) => client.launch(name, unitOptions()));
    });
    return Math.max(...await seen);
  });
  await pause(pause_ms);
  const destroy_ms = await timed(async () => {
    const seen = Promise.all(names.map((name) => client.when(name, isGone)));
    await inParallel(names, (name) => client.destroy(name));
    return Math.max(...await seen);
  });
  return { start_ms, answered_ms, destroy_ms };
}

async function burstBySystemd({ floors }: Setting, names: readonly string[], pause_ms: number, files_count: boolean) {
  const all = [...floors.values()];
  const shares = all.map((floor, at) => ({ floor, share: names.filter((_, nth) => nth % all.length === at) }));
  const everywhere = async (work: (part: typeof shares[number]) => Promise<void>) => {
    await Promise.all(shares.map(work));
  };
  const install = () => everywhere(({ floor, share }) => floor.install(share, unitText));
  if (!files_count) {
    await install();
    await pause(pause_ms);
  }
  const start_ms = await timed(async () => {
    if (files_count) {
      await everywhere(({ floor, share }) => floor.install(share, unitText).then(() => floor.start(share)));
    } else await everywhere(({ floor, share }) => floor.start(share));
  });
  await pause(pause_ms);
  const stop_ms = await timed(() => everywhere(({ floor, share }) => floor.stop(share)));
  await everywhere(({ floor, share }) => floor.remove(share));
  return { start_ms, stop_ms };
}
