/**
 * What `schedule` has worked out before. It saves work and changes no outcome: a plan made with it is the plan that would
 * be made without.
 *
 * @module
 */

import type { Cluster, MachineId, Unit, UnitName } from "../../registry/model.ts";
import type { Plan, ScheduleOptions } from "./plan.ts";
import { EvictionCache, type MachineUnits, sameUnits } from "./machine_units.ts";

const none: readonly Unit[] = [];
const noMachines: ReadonlySet<MachineId> = new Set();

/** Serves one sequence of views of one cluster; what has not changed in them must be the same objects. */
export class ScheduleCache {
  readonly settlements = new EvictionCache();
  #globals = none;
  #latest: { readonly cluster: Cluster; readonly options: ScheduleOptions; readonly plan: Plan } | undefined;
  #seats: ReadonlyMap<MachineId, MachineUnits> = new Map();
  #refused: ReadonlyMap<UnitName, Unit> = new Map();

  /** The latest plan, if all that it was made of is as it was. */
  recall(cluster: Cluster, options: ScheduleOptions): Plan | undefined {
    const latest = this.#latest;
    if (!latest || latest.options.absentAreGone !== options.absentAreGone) return undefined;
    const { vanished = noMachines } = options;
    const before = latest.options.vanished ?? noMachines;
    if (vanished.size !== before.size || !vanished.isSubsetOf(before)) return undefined;
    const parts = ["units", "targets", "assignments", "machines", "departed", "files"] as const;
    return parts.every((part) => latest.cluster[part] === cluster[part]) ? latest.plan : undefined;
  }

  /** The same list as before, if it holds the same. */
  globals(now: readonly Unit[]): readonly Unit[] {
    if (!sameUnits(this.#globals, now)) this.#globals = now;
    return this.#globals;
  }

  /**
   * The machines that are not as the latest plan left them. Units that no machine took then, {@link wasRefused}, need be
   * tried on those alone: a machine that has only got more units takes nobody whom it refused, but followers of those.
   */
  fresh(seats: ReadonlyMap<MachineId, MachineUnits>): Set<MachineId> {
    const fresh = new Set<MachineId>();
    for (const [id, units] of seats) {
      const before = this.#seats.get(id);
      if (before !== units && !(before && alike(before, units))) fresh.add(id);
    }
    return fresh;
  }

  /** Whether no machine took this unit when the latest plan was made. Never true of a follower. */
  wasRefused(unit: Unit): boolean {
    return this.#refused.get(unit.name) === unit;
  }

  /** Remembers a plan, where it leaves everybody, and whom no machine took. */
  keep(
    cluster: Cluster,
    options: ScheduleOptions,
    plan: Plan,
    seats: ReadonlyMap<MachineId, MachineUnits>,
    refused: Iterable<Unit>,
  ): void {
    this.#latest = { cluster, options, plan };
    this.#seats = seats;
    const names = new Map<UnitName, Unit>();
    for (const unit of refused) if (unit.requirements.machineOf.length === 0) names.set(unit.name, unit);
    this.#refused = names;
    this.settlements.keepOnly(cluster.machines);
  }
}

/** Whether two seatings of a machine hold the same units, in whatever order. */
function alike(a: MachineUnits, b: MachineUnits): boolean {
  if (a.host !== b.host || a.residents.length !== b.residents.length) return false;
  const units = new Set(a.residents);
  return b.residents.every((unit) => units.has(unit));
}
