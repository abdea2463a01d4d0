/**
 * Cache of results of `schedule`. It saves work and changes no plan.
 *
 * @module
 */

import type { Cluster, MachineId, Unit, UnitName } from "../../registry/model.ts";
import type { Plan, ScheduleOptions } from "./plan.ts";
import { sameFailing } from "../policy/failing.ts";
import { EvictionCache, type MachineUnits, sameUnits } from "./machine_units.ts";

const none: readonly Unit[] = [];
const noMachines: ReadonlySet<MachineId> = new Set();

/** Serves successive views of one cluster; parts that have not changed must be the same objects. */
export class ScheduleCache {
  readonly evictions = new EvictionCache();
  #globals = none;
  #latest: { readonly cluster: Cluster; readonly options: ScheduleOptions; readonly plan: Plan } | undefined;
  #machineUnits: ReadonlyMap<MachineId, MachineUnits> = new Map();
  #refused: ReadonlyMap<UnitName, Unit> = new Map();

  /** Returns the latest plan if its input has not changed. */
  recall(cluster: Cluster, options: ScheduleOptions): Plan | undefined {
    const latest = this.#latest;
    if (!latest || latest.options.absentAreGone !== options.absentAreGone) return undefined;
    if (latest.options.leaving || options.leaving) return undefined;
    const { vanished = noMachines } = options;
    const before = latest.options.vanished ?? noMachines;
    if (vanished.size !== before.size || !vanished.isSubsetOf(before)) return undefined;
    return hasSameInput(latest.cluster, cluster) ? latest.plan : undefined;
  }

  /** Returns the list of the call before if it holds the same units. */
  globals(now: readonly Unit[]): readonly Unit[] {
    if (!sameUnits(this.#globals, now)) this.#globals = now;
    return this.#globals;
  }

  /**
   * Returns the machines that differ from what the latest plan left. A unit that no machine took then, {@link wasRefused},
   * needs to be tried on those alone: a machine that has only gained units still refuses every unit that it refused, except
   * followers of the gained units.
   */
  changedMachines(now: ReadonlyMap<MachineId, MachineUnits>): Set<MachineId> {
    const changed = new Set<MachineId>();
    for (const [id, units] of now) {
      const before = this.#machineUnits.get(id);
      if (before !== units && !(before && holdSameUnits(before, units))) changed.add(id);
    }
    return changed;
  }

  /** True if no machine took this unit when the latest plan was made. Never true of a unit with MachineOf or a hard spread. */
  wasRefused(unit: Unit): boolean {
    return this.#refused.get(unit.name) === unit;
  }

  /** Stores a plan, the units that it leaves on each machine, and the units that no machine took. */
  keep(
    cluster: Cluster,
    options: ScheduleOptions,
    plan: Plan,
    machineUnits: ReadonlyMap<MachineId, MachineUnits>,
    refused: Iterable<Unit>,
  ): void {
    this.#latest = { cluster, options, plan };
    this.#machineUnits = machineUnits;
    const names = new Map<UnitName, Unit>();
    for (const unit of refused) {
      const { machineOf, spread } = unit.requirements;
      if (machineOf.length === 0 && !spread?.hard) names.set(unit.name, unit);
    }
    this.#refused = names;
    this.evictions.keepOnly(cluster.machines);
  }
}

/** True if two clusters do not differ in what a plan depends on. Of the states of units, that is only which units fail. */
export function hasSameInput(a: Cluster, b: Cluster): boolean {
  const parts = [
    ...["units", "files", "targets", "assignments", "successors", "machines", "departed", "massLoss"] as const,
    // They name files that are kept.
    ...["rollouts", "apps"] as const,
  ];
  return parts.every((part) => a[part] === b[part]) && sameFailing(a, b);
}

/** True if both hold the same units of the same machine, in any order. */
function holdSameUnits(a: MachineUnits, b: MachineUnits): boolean {
  if (a.machine !== b.machine || a.residents.length !== b.residents.length) return false;
  const units = new Set(a.residents);
  return b.residents.every((unit) => units.has(unit));
}
