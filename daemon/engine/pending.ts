/**
 * Units that have no machine, with the reasons, as the engine would find them. Works on every machine, not only on the
 * leader's, and costs nothing while every unit has a machine. Pure.
 *
 * @module
 */

import type { Cluster, UnitName } from "../../registry/model.ts";
import { ScheduleCache } from "./schedule_cache.ts";
import { schedule, type UnplacedReason } from "./schedule.ts";
import { isActiveJob } from "../policy/globals.ts";

/** Units that are listed at once. */
const maxListed = 1_000;

/** Reasons are collected while pending units times machines is at most this. */
const maxChecks = 10_000;

/** Different reasons that are listed for one unit. */
const maxReasons = 5;

/** The reason why no unit moves while no machine leads. */
export const noLeader = "no machine leads the engines, so that nothing is placed or moved";

/** A unit without a machine. */
export interface PendingUnit {
  /** One sentence. */
  readonly why: string;
  /** The most frequent refusals, with the number of machines; empty where collecting them would take long. */
  readonly reasons: readonly { readonly machines: number; readonly reason: string }[];
}

/** Lists the pending units of successive views of one cluster. Keeps a cache while any unit is pending. */
export class PendingUnits {
  #cache: ScheduleCache | undefined;

  /** Returns the pending units of a view. */
  list(cluster: Cluster): ReadonlyMap<UnitName, PendingUnit> {
    const withoutMachine = [...cluster.units.keys()].filter((name) => isUnplaced(cluster, name));
    const pending = new Map<UnitName, PendingUnit>();
    if (withoutMachine.length === 0) {
      this.#cache = undefined;
      return pending;
    }
    const { unplaced } = schedule(cluster, { absentAreGone: true }, this.#cache ??= new ScheduleCache());
    const isCheap = unplaced.size * cluster.machines.size <= maxChecks;
    for (const name of withoutMachine) {
      if (pending.size >= maxListed) break;
      const found = unplaced.get(name);
      // A unit that no rule refuses is placed in a moment, if there is a leader to place it.
      if (found) pending.set(name, { why: found.summary, reasons: isCheap ? frequentReasons(found) : [] });
      else if (!cluster.leader) pending.set(name, { why: noLeader, reasons: [] });
    }
    return pending;
  }
}

/** True if a unit should have a machine and has none that is present. */
export function isUnplaced({ units, targets, machines }: Cluster, name: UnitName): boolean {
  const unit = units.get(name);
  const target = targets.get(name);
  return unit !== undefined && isActiveJob(unit) && !(target && machines.has(target.machine));
}

/** The reasons that most machines give. */
function frequentReasons({ refusals }: UnplacedReason): PendingUnit["reasons"] {
  const counts = new Map<string, number>();
  for (const each of refusals.values()) {
    for (const { reason } of each) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  }
  return [...counts].sort(([, a], [, b]) => b - a).slice(0, maxReasons)
    .map(([reason, machines]) => ({ machines, reason }));
}
