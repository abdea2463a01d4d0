/**
 * The progress of requests as a whole. Pure.
 *
 * @module
 */

import type { Cluster, MachineId, UnitName } from "../../../registry/model.ts";
import type { EngineStep } from "../../../registry/mod.ts";
import type { MoveProgress } from "./move_plan.ts";

/** Returns the changes of drains that have come further: no job is left, or no unit at all. */
export function drainSteps(cluster: Cluster): readonly EngineStep[] {
  const open = [...cluster.drains?.values() ?? []].filter(({ status, unreadable }) =>
    status !== "done" && unreadable === undefined
  );
  if (open.length === 0) return [];
  const placed = new Set(Array.from(cluster.targets.values(), ({ machine }) => machine));
  return open.flatMap((drain): EngineStep[] => {
    const { machine, status, keepsGlobals = false } = drain;
    if (placed.has(machine)) return status === "moving" ? [] : [{ kind: "drained", drain, status: "moving" }];
    if (status === "moving") return [{ kind: "drained", drain, status: "stopping" }];
    return hasUnits(cluster, machine, keepsGlobals) ? [] : [{ kind: "drained", drain, status: "done" }];
  });
}

/** True if a machine reports a unit. */
function hasUnits({ states, units }: Cluster, machine: MachineId, exceptGlobals: boolean): boolean {
  for (const [name, on] of states) {
    if (!on.has(machine) || exceptGlobals && units.get(name)?.requirements.global) continue;
    return true;
  }
  return false;
}

/** Returns the change of the requested moves, if some have been made or cannot be made. */
export function rebalanceSteps(
  { rebalance, targets, units }: Cluster,
  progress: ReadonlyMap<UnitName, MoveProgress>,
): readonly EngineStep[] {
  if (!rebalance) return [];
  const moves = rebalance.moves.filter(({ unit, from }) =>
    units.has(unit) && targets.get(unit)?.machine === from && progress.get(unit)?.state !== "blocked" &&
    progress.has(unit)
  );
  return moves.length === rebalance.moves.length && moves.length > 0
    ? []
    : [{ kind: "rebalanced", was: rebalance, moves }];
}
