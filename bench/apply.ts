/**
 * Measures the application of many new units as one roll-out, beside a PUT of each.
 *
 * @module
 */

import { inParallel } from "../runtime/parallel.ts";
import { isActive, isGone } from "./api_client.ts";
import type { BurstOptions } from "./burst.ts";
import { pause, type Setting, timed, unitOptions } from "./setting.ts";
import { compare, type Comparison } from "./statistics.ts";

/** A roll-out of new units may take this many times as long as PUTs. */
export const applyTarget = 1.2;

/** Rounds that are not counted, to warm up. */
const warmups = 1;

/** Measures in turn: the roll-out, the PUTs, the roll-out … until the last unit is seen active. The floor is the PUTs. */
export async function measureApply(setting: Setting, { units, rounds, pause_ms }: BurstOptions): Promise<Comparison> {
  const { client } = setting;
  const rolledOut_ms: number[] = [], put_ms: number[] = [];
  for (let round = -warmups; round < rounds; round++) {
    const names = (kind: string) =>
      Array.from({ length: units }, (_, at) => `apply-${kind}-${round + warmups}-${at}.service`);
    const [together, apart] = [names("app"), names("put")];
    const start = (all: readonly string[], work: () => Promise<unknown>) =>
      timed(async () => {
        const seen = Promise.all(all.map((name) => client.when(name, isActive)));
        await work();
        return Math.max(...await seen);
      });
    await pause(pause_ms);
    const app_ms = await start(together, () => client.apply(`bench-${round + warmups}`, together, unitOptions()));
    await end(setting, together);
    await pause(pause_ms);
    const alone_ms = await start(apart, () => inParallel(apart, (name) => client.launch(name, unitOptions())));
    await end(setting, apart);
    if (round < 0) continue;
    rolledOut_ms.push(app_ms);
    put_ms.push(alone_ms);
  }
  return compare(rolledOut_ms, put_ms);
}

async function end({ client }: Setting, names: readonly string[]): Promise<void> {
  const gone = Promise.all(names.map((name) => client.when(name, isGone)));
  await inParallel(names, (name) => client.destroy(name));
  await gone;
}
