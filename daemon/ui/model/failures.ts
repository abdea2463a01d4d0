/**
 * Units that have failed lately, and run again. Pure.
 *
 * @module
 */

import type { PastEvent } from "./cluster.ts";
import { conditionOf, problemConditions, type UnitView } from "./condition.ts";

/** The failures of a unit that is without a problem now. */
export interface PastFailure {
  readonly unit: UnitView;
  /** The machine, the time and the reason of the latest one. */
  readonly machineID: string;
  readonly at_ms: number;
  readonly result: string;
  readonly count: number;
}

/** Returns the units that have failed since a time, the latest first. `past`: events, newest first. */
export function latelyFailed(
  past: readonly PastEvent[],
  units: readonly UnitView[],
  since_ms: number,
): readonly PastFailure[] {
  const known = new Map(units.map((unit) => [unit.name, unit]));
  const failures = new Map<string, PastFailure>();
  for (const event of past) {
    if (event.kind !== "state" || event.at_ms < since_ms) continue;
    const { name, machineID, state, error, result } = event.data;
    if (state?.systemdActiveState !== "failed" && error === undefined) continue;
    const unit = known.get(name);
    const needsAttention = unit && problemConditions.some((problem) => problem === conditionOf(unit));
    if (!unit || needsAttention) continue;
    const { count = 0, ...latest } = failures.get(name) ??
      { unit, machineID, at_ms: event.at_ms, result: error ?? result ?? "failed" };
    failures.set(name, { ...latest, count: count + 1 });
  }
  return [...failures.values()];
}
