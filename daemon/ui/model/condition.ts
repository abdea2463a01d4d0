/**
 * The condition of a unit, as the page shows it: one word with a symbol of its own shape, so that no information is in
 * the color alone. Pure.
 *
 * @module
 */

import type { DecisionEvent, StateEvent, UnitEntity } from "../../api/v1/types.ts";

/** Every condition, from the one that needs attention most to the one that needs it least. */
export const conditions = [
  "failed",
  "unhealthy",
  "waiting",
  "starting",
  "stopping",
  "running",
  "finished",
  "loaded",
  "inactive",
] as const;

/** A condition of a unit or of one of its copies. */
export type Condition = typeof conditions[number];

/** The conditions that need attention. */
export const problemConditions = ["failed", "unhealthy", "waiting"] as const satisfies readonly Condition[];

/** The symbol of each condition. */
export const symbols: Readonly<Record<Condition, string>> = {
  failed: "✕",
  unhealthy: "▲",
  waiting: "◷",
  starting: "◐",
  stopping: "◑",
  running: "●",
  finished: "✓",
  loaded: "□",
  inactive: "○",
};

/** A unit as the event stream describes it. */
export interface UnitView {
  readonly name: string;
  /** The unit without its options. */
  readonly unit: UnitEntity;
  readonly hash?: string;
  /** The latest change of the unit, if known. */
  readonly changed?: { readonly at: number; readonly by: string };
  readonly decision?: DecisionEvent;
  /** States by machine ID. */
  readonly states: ReadonlyMap<string, StateEvent>;
}

/** Returns the condition of a unit: of its copies, the one that needs attention most. */
export function conditionOf(view: UnitView): Condition {
  const { unit, decision, states } = view;
  const { desiredState, unreadable } = unit;
  if (unreadable !== undefined) return "failed";
  const copies = [...states.values()].map((state) => conditionOfCopy(view, state));
  const worst = conditions.find((condition) => copies.includes(condition));
  if (worst === "failed" || worst === "unhealthy") return worst;
  if (decision?.waiting) return "waiting";
  if (worst !== undefined) return worst;
  return desiredState === "launched" ? "starting" : desiredState === "loaded" ? "loaded" : "inactive";
}

/** Returns the condition of a unit on one machine. */
export function conditionOfCopy(view: UnitView, { machineID, state, error, job }: StateEvent): Condition {
  const isLaunched = view.unit.desiredState === "launched";
  const active = state?.systemdActiveState ?? "inactive";
  if (active === "failed" || error !== undefined) return "failed";
  if (active === "activating" || active === "reloading") return "starting";
  if (active === "deactivating") return "stopping";
  if (active === "active") {
    if (!isLaunched || isLeaving(view, machineID)) return "stopping";
    return state?.health === "failing" ? "unhealthy" : "running";
  }
  if (!isLaunched) return "loaded";
  return job === "done" ? "finished" : isLeaving(view, machineID) ? "loaded" : "starting";
}

/** True for a copy of a unit that is placed on another machine, unless this copy is to take its place. */
function isLeaving({ unit, decision }: UnitView, machineID: string): boolean {
  return unit.machineID !== undefined && unit.machineID !== machineID && decision?.to !== machineID;
}

/** Returns the copy of a unit that has failed or is unhealthy; undefined if there is none. */
export function failingCopy(view: UnitView): StateEvent | undefined {
  const copies = [...view.states.values()];
  return ["failed", "unhealthy"].map((problem) => copies.find((state) => conditionOfCopy(view, state) === problem))
    .find((copy) => copy !== undefined);
}

/** Returns why a unit needs attention, in one sentence; undefined if it does not. */
export function problemOf(view: UnitView): string | undefined {
  const { unit, decision, states } = view;
  if (unit.unreadable !== undefined) return unit.unreadable;
  const failing = failingCopy(view) ?? [...states.values()].find(({ result }) => result !== undefined);
  if (!failing) return decision?.waiting ? decision.why : undefined;
  const { error, result = "failed", state } = failing;
  if (error !== undefined && error !== result) return error;
  if (state?.health === "failing") return `its health check fails: ${state.healthReason ?? "no reason is known"}`;
  return `systemd reports ${result}`;
}

/** Returns how many of the units have each condition; conditions of no unit are left out. */
export function countConditions(units: Iterable<UnitView>): ReadonlyMap<Condition, number> {
  const counts = new Map<Condition, number>();
  for (const unit of units) {
    const condition = conditionOf(unit);
    counts.set(condition, (counts.get(condition) ?? 0) + 1);
  }
  return new Map(conditions.flatMap((condition) => {
    const count = counts.get(condition);
    return count === undefined ? [] : [[condition, count] as const];
  }));
}
