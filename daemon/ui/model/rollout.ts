/**
 * Roll-outs: their progress, and the request that carries out a plan. Pure.
 *
 * @module
 */

import type { AppRequest, PlanEntity, RolloutEntity, UnitEntity } from "../../api/v1/types.ts";

/** Returns how many units of a roll-out have reached the state in which it ends, or goes back to. */
export function progressOf({ status, steps = [] }: RolloutEntity): { readonly done: number; readonly total: number } {
  const isBack = status === "rolling-back" || status === "rolled-back";
  const done = steps.filter(({ state }) => isBack ? state === "undone" || state === "pending" : state === "healthy");
  return { done: done.length, total: steps.length };
}

/** True for the status of a roll-out that changes no unit any more. */
export function hasEnded(status: string): boolean {
  return ["done", "failed", "rolled-back", "aborted"].includes(status);
}

/** An action on a roll-out. */
export type RolloutAction = "pause" | "resume" | "abort" | "undo";

/** Returns the actions that a roll-out in this status accepts. */
export function actionsFor(status: string): readonly RolloutAction[] {
  if (status === "running") return ["pause", "abort", "undo"];
  if (status === "paused") return ["resume", "abort", "undo"];
  if (status === "rolling-back") return ["abort"];
  return status === "done" || status === "failed" || status === "aborted" ? ["undo"] : [];
}

/** The meaning of an action for a unit in each state; units in other states are not concerned. */
const effects: Readonly<Record<RolloutAction, Readonly<Record<string, string>>>> = {
  pause: { changing: "becomes healthy", pending: "is not changed before the roll-out is resumed" },
  resume: { changing: "becomes healthy", pending: "is changed when the units before it are healthy" },
  abort: {
    changing: "stays changed",
    healthy: "stays changed",
    failed: "stays changed",
    pending: "is not changed",
    undoing: "stays as it is",
  },
  undo: { changing: "goes back", healthy: "goes back", failed: "goes back" },
};

/** Returns what an action does to the units of a roll-out. */
export function effectsOf(
  { steps = [] }: RolloutEntity,
  action: RolloutAction,
): readonly { readonly name: string; readonly effect: string }[] {
  return steps.flatMap(({ name, change, state }) => {
    const effect = effects[action][state];
    if (effect === undefined) return [];
    if (effect !== "goes back") return [{ name, effect }];
    return [{ name, effect: change === "create" ? "is destroyed again" : "goes back to what it was" }];
  });
}

/** Returns the request that carries out exactly a plan. `units` are those that the plan was made of. */
export function requestOf(
  what: NonNullable<AppRequest["what"]>,
  { units: planned = [] }: PlanEntity,
  units: readonly UnitEntity[],
): AppRequest {
  const byName = new Map(units.map((unit) => [unit.name, unit]));
  const changed = planned.filter(({ name, change }) => byName.has(name) && change !== "refuse" && change !== "none");
  const destroyed = planned.filter(({ change }) => change === "destroy");
  return {
    what,
    units: changed.map(({ name, revision = 0 }) => ({ ...byName.get(name)!, revision })),
    destroy: destroyed.map(({ name, revision = 0 }) => ({ name, revision })),
  };
}
