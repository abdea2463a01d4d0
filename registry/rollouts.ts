/**
 * The rules of roll-outs that the API and the engine share: which states follow each other, and how one is undone. Pure.
 *
 * @module
 */

import { isInForce, isUnchanged } from "./apps.ts";
import type { Rollout, RolloutStatus, RolloutStep, Unit, UnitDelta, UnitName } from "./model.ts";

const ended: ReadonlySet<RolloutStatus> = new Set(["done", "failed", "rolled-back", "aborted"]);

/** True if a roll-out never changes again: another one may replace it. */
export function hasEnded({ status }: Pick<Rollout, "status">): boolean {
  return ended.has(status);
}

/** Every request of an operator about a roll-out. */
export const rolloutRequests = ["pause", "resume", "abort", "undo"] as const;
export type RolloutRequest = (typeof rolloutRequests)[number];

/** The answer to a request: what the roll-out becomes, or why it cannot. */
export type RequestAnswer = Pick<Rollout, "status" | "reason"> | { readonly refusal: string };

/**
 * Returns what a request makes of a roll-out. To undo one that has ended takes a new roll-out, with {@link undoSteps}. `by`:
 * the author, if known.
 */
export function answerRequest({ app, status }: Rollout, request: RolloutRequest, by?: string): RequestAnswer {
  const who = by === undefined ? "" : ` by ${by}`;
  const is = (...statuses: RolloutStatus[]) => statuses.includes(status);
  switch (request) {
    case "pause":
      if (is("running")) return { status: "paused", reason: `paused${who}` };
      break;
    case "resume":
      if (is("paused")) return { status: "running" };
      break;
    case "abort":
      if (is("preparing", "running", "paused", "rolling-back")) return { status: "aborted", reason: `aborted${who}` };
      break;
    case "undo":
      if (is("running", "paused")) return { status: "rolling-back", reason: `undo requested${who}` };
      break;
  }
  return { refusal: `cannot ${request} the roll-out of app ${app}: it is ${status}` };
}

/**
 * Returns the steps that take back an ended roll-out, the last one first; none for one that has not ended. Units that have
 * been changed since are left out.
 */
export function undoSteps(rollout: Rollout, units: ReadonlyMap<UnitName, Unit>): readonly UndoStep[] {
  if (!hasEnded(rollout)) return [];
  const steps = stepsBack(rollout, units);
  return steps.length > 0 || !rollout.isUndo ? steps : stepsAgain(rollout, units);
}

type UndoStep = UnitDelta & Pick<RolloutStep, "planned">;

/** Returns the steps of an undo that has ended early which go on with it: some machines still have another file. */
function stepsAgain({ steps }: Rollout, units: ReadonlyMap<UnitName, Unit>): readonly UndoStep[] {
  return steps.filter((step) =>
    isUnchanged(step) && units.get(step.unit)?.next && !hasDrifted(step, units.get(step.unit))
  )
    .map(({ unit, before, after }) => ({
      ...{ unit, planned: units.get(unit)!.revision },
      ...before && { before },
      ...after && { after },
    }));
}

function stepsBack({ steps }: Rollout, units: ReadonlyMap<UnitName, Unit>): readonly UndoStep[] {
  return steps.filter((step) => isInForce(step) && !hasDrifted(step, units.get(step.unit))).toReversed()
    .map(({ unit, before, after, state }) => {
      const found = units.get(unit);
      // The unit still has its old file, which goes back to the machines that have the new one.
      const isPartial = state === "staging" || state === "unstaging" || found?.next !== undefined;
      const isStaged = isPartial && found?.hash === before?.hash;
      const reached = isStaged ? before : after;
      return { unit, ...reached && { before: reached }, ...before && { after: before }, planned: found?.revision ?? 0 };
    });
}

/** True if something else than its roll-out has changed the unit of a step since the roll-out was planned. */
export function hasDrifted({ state, planned, written, before, after }: RolloutStep, unit: Unit | undefined): boolean {
  const spec = state === "pending" || state === "undone" || state === "undoing" ? before : after;
  if (spec === undefined) return unit !== undefined;
  return unit?.revision !== (written || planned);
}
