/**
 * What the units of this machine use, for the metrics.
 *
 * @module
 */

import type { Clock } from "../../../runtime/clock.ts";
import { within } from "../../../runtime/within.ts";
import type { UnitName, UnitState } from "../../../registry/model.ts";
import type { UnitUsageEntity } from "../v1/types.ts";
import { nameInSystemd } from "./forwarding.ts";
import type { LocalMachine } from "./port.ts";

/** The units of this machine, as its agent has seen them last. */
export interface SeenUnits {
  readonly states: ReadonlyMap<UnitName, UnitState>;
  /** Unit files by hash. */
  readonly texts: ReadonlyMap<string, string>;
}

/** Longest time that a scrape waits for systemd. */
const limit_ms = 3_000;

/** Measures units. Returns none if systemd does not answer: the other metrics are needed most then. */
export async function unitUsage(
  { states, texts }: SeenUnits = { states: new Map(), texts: new Map() },
  localMachine: Pick<LocalMachine, "usage">,
  clock: Clock,
): Promise<readonly UnitUsageEntity[]> {
  const names = [...states.values()].map(({ unit, hash }) => {
    return [unit, nameInSystemd(unit, texts.get(hash))] as const;
  });
  let units: readonly UnitUsageEntity[] = [];
  const over = new AbortController();
  const measure = async () => {
    try {
      units = (await localMachine.usage(new Map(names), over.signal)).units ?? [];
    } catch {
      units = [];
    }
  };
  await within(limit_ms, clock, measure);
  over.abort();
  return units;
}
