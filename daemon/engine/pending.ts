/**
 * Who waits for a machine, and why: by what the engine decides by, wherever the engine is, and at no cost where nobody
 * waits. Pure.
 *
 * @module
 */

import type { Cluster, UnitName } from "../../registry/model.ts";
import { ScheduleCache } from "./schedule_cache.ts";
import { schedule, type Waiting } from "./schedule.ts";
import { isActiveJob } from "../policy/globals.ts";

/** Units that are listed at once. */
const maxListed = 1_000;

/** Reasons are collected where it takes no more looks than this: units that wait, times machines. */
const maxLooks = 10_000;

/** Different reasons that are listed of one unit. */
const maxReasons = 5;

const noLeader = "no machine leads the engines, so that nothing is placed or moved";

/** Why one unit waits. */
export interface Wait {
  /** One sentence. */
  readonly why: string;
  /** What most machines have against it, and how many of them; none where collecting them would take long. */
  readonly reasons: readonly { readonly machines: number; readonly reason: string }[];
}

/** Serves one sequence of views of one cluster, and remembers what the engine would do while somebody waits. */
export class WaitingList {
  #memo: ScheduleCache | undefined;

  /** Everybody who waits. */
  look(cluster: Cluster): ReadonlyMap<UnitName, Wait> {
    const unplaced = [...cluster.units.keys()].filter((name) => isUnplaced(cluster, name));
    const list = new Map<UnitName, Wait>();
    if (unplaced.length === 0) {
      this.#memo = undefined;
      return list;
    }
    const { waiting } = schedule(cluster, { absentAreGone: true }, this.#memo ??= new ScheduleCache());
    const isCheap = waiting.size * cluster.machines.size <= maxLooks;
    for (const name of unplaced) {
      if (list.size >= maxListed) break;
      const found = waiting.get(name);
      // Whoever is not refused is placed in a moment, if somebody is there to do it.
      if (found) list.set(name, { why: found.summary, reasons: isCheap ? reasonsOf(found) : [] });
      else if (!cluster.leader) list.set(name, { why: noLeader, reasons: [] });
    }
    return list;
  }
}

/** Whether a unit is to have a machine, and has none that is there. */
export function isUnplaced({ units, targets, machines }: Cluster, name: UnitName): boolean {
  const unit = units.get(name);
  const target = targets.get(name);
  return unit !== undefined && isActiveJob(unit) && !(target && machines.has(target.machine));
}

/** The reasons that most machines give. */
function reasonsOf({ refusals }: Waiting): Wait["reasons"] {
  const counts = new Map<string, number>();
  for (const each of refusals.values()) {
    for (const { reason } of each) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  }
  return [...counts].sort(([, a], [, b]) => b - a).slice(0, maxReasons)
    .map(([reason, machines]) => ({ machines, reason }));
}
