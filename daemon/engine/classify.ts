/**
 * Who is there when the engine looks: each unit by what is to be decided about it.
 *
 * @module
 */

import type { Cluster, MachineId, Target, Unit, UnitName } from "../../registry/model.ts";
import { isActive } from "../policy/globals.ts";
import { precedence } from "../policy/feasibility.ts";
import type { ScheduleOptions } from "./plan.ts";

/** A job that needs a machine. */
export interface Candidate {
  readonly unit: Unit;
  readonly from?: Target;
  /** Why it cannot be where it was; "" if it was nowhere. */
  readonly because: string;
}

/** All units, called once. */
export interface Classification {
  /** Globals that take part, in order of precedence; also those that cannot be read. */
  readonly globals: readonly Unit[];
  /** Jobs placed on machines that are there; also those that cannot be read. */
  readonly here: ReadonlyMap<MachineId, readonly Unit[]>;
  /** Those of them whose machine has been told something else than what is wanted now, in order of precedence. */
  readonly stale: readonly Unit[];
  /** Those of {@link stale} whose machine has been told of another file. */
  readonly changed: ReadonlyMap<MachineId, ReadonlySet<UnitName>>;
  /** Jobs without a machine that is there. */
  readonly unplaced: readonly Candidate[];
  /** Jobs whose machine is away and may come back, in order of precedence. */
  readonly late: readonly Candidate[];
  /** What is left of units that are to be nowhere, in order of name. */
  readonly leftovers: readonly Target[];
}

/** Calls the roll. `absentAreGone`: machines that are away will not come back; those that have departed never will. */
export function classifyUnits(cluster: Cluster, { absentAreGone, vanished }: ScheduleOptions): Classification {
  const { units, targets, machines, departed } = cluster;
  const globals: Unit[] = [];
  const here = new Map<MachineId, Unit[]>();
  const stale: Unit[] = [];
  const changed = new Map<MachineId, Set<UnitName>>();
  const unplaced: Candidate[] = [];
  const late: Candidate[] = [];
  let placed = 0;
  for (const unit of units.values()) {
    const isReadable = unit.unreadable === undefined;
    if (isReadable && !isActive(unit)) continue;
    if (unit.requirements.global) {
      globals.push(unit);
      continue;
    }
    const from = targets.get(unit.name);
    if (from) placed++;
    if (!isReadable) {
      if (from) append(here, from.machine, unit);
      continue;
    }
    if (!from || from.machine === "") {
      unplaced.push({
        unit,
        ...(from && { from }),
        because: from ? `no machine is known to have it (${from.why})` : "",
      });
      continue;
    }
    if (!machines.has(from.machine)) {
      const hasDeparted = departed?.has(from.machine) ?? false;
      const isGone = hasDeparted || absentAreGone && !vanished?.has(from.machine);
      const what = hasDeparted ? "was stopped and left the cluster" : isGone ? "went away" : "is away";
      const because = `machine ${short(from.machine)} ${what}`;
      (isGone ? unplaced : late).push({ unit, from, because });
      continue;
    }
    append(here, from.machine, unit);
    const orders = cluster.assignments.get(unit.name);
    const isTold = orders !== undefined && orders.desiredState === unit.desiredState && orders.restart === unit.restart;
    const isSame = orders !== undefined && orders.hash === unit.hash;
    // What cannot be read is written anew.
    if (!isSame || !isTold || from.unreadable !== undefined) stale.push(unit);
    if (isSame || orders?.unreadable !== undefined) continue;
    changed.set(from.machine, (changed.get(from.machine) ?? new Set()).add(unit.name));
  }
  const leftovers = placed === targets.size ? [] : leftoverTargets(cluster);
  late.sort((a, b) => precedence(a.unit, b.unit));
  return {
    globals: globals.sort(precedence),
    here,
    stale: stale.sort(precedence),
    changed,
    unplaced,
    late,
    leftovers,
  };
}

function leftoverTargets({ units, targets }: Cluster): readonly Target[] {
  const left = [...targets.values()].filter(({ unit: name }) => {
    const unit = units.get(name);
    return !unit || unit.unreadable === undefined && (!isActive(unit) || unit.requirements.global);
  });
  return left.sort((a, b) => a.unit < b.unit ? -1 : 1);
}

function append(lists: Map<MachineId, Unit[]>, id: MachineId, unit: Unit): void {
  const list = lists.get(id);
  if (list) list.push(unit);
  else lists.set(id, [unit]);
}

/** A machine's ID as people are told it. */
export function short(id: MachineId): string {
  return `${id.slice(0, 8)}...`;
}
