/**
 * Describes roll-outs in words. Pure.
 *
 * @module
 */

import { counted } from "../../runtime/counted.ts";
import type { RolloutEntity, RolloutStepEntity } from "../../daemon/api/v1/types.ts";

/** The participle of each change, in the order of summaries. */
const participles: Readonly<Record<string, string>> = {
  create: "created",
  replace: "replaced",
  update: "updated",
  adopt: "adopted",
  destroy: "destroyed",
};

/** The beginning of the line about a unit that is being changed. */
const beginnings: Readonly<Record<string, string>> = {
  create: "Creating",
  replace: "Replacing",
  update: "Updating",
  destroy: "Destroying",
};

/** Statuses of a roll-out that does not go on. */
const ended = new Set(["done", "failed", "rolled-back", "aborted"]);

/** True if the roll-out does not go on. */
export function isOver({ status }: RolloutEntity): boolean {
  return ended.has(status);
}

/** Returns how far a global unit is that is changed from machine to machine, such as ` (1 of 3 machines)`. */
export function machinesText({ machines }: Pick<RolloutStepEntity, "machines">): string {
  return machines ? ` (${machines.healthy} of ${machines.total} machines)` : "";
}

/** Returns the line about a step that has come to another state; undefined if there is none. `where`: ` on <machine>`. */
export function stepLine(step: RolloutStepEntity, where: string): string | undefined {
  const { name, change, state, to, machines } = step;
  const there = machines ? `${where}${machinesText(step)}` : "";
  switch (state) {
    case "changing":
      return beginnings[change] && `${beginnings[change]} unit ${name}${there}`;
    case "healthy":
      return `Unit ${name} ${participles[change] ?? change}` +
        (to?.desiredState === "launched" && change !== "adopt" ? `, healthy${where}` : "");
    case "failed":
      return `Unit ${name} failed${where}`;
    case "undoing":
      return `Rolling back unit ${name}${there}`;
    case "undone":
      return `Unit ${name} rolled back`;
    default:
      return undefined;
  }
}

/** Returns how many units a roll-out has changed, such as `2 created, 1 replaced`. */
export function countChanges(steps: readonly RolloutStepEntity[]): string {
  const changed = steps.filter(({ state }) => state === "healthy");
  const parts = Object.entries(participles).flatMap(([change, word]) => {
    const count = changed.filter((step) => step.change === change).length;
    return count > 0 ? [`${count} ${word}`] : [];
  });
  return parts.length === 0 ? "no units changed" : parts.join(", ");
}

/** Returns the state of a roll-out as a sentence, with what an operator can do. */
export function statusLine({ app, status, reason, steps = [] }: RolloutEntity): string {
  const done = steps.filter(({ state }) => state === "healthy").length;
  const why = reason === undefined ? "" : `: ${reason}`;
  const progress = `${done} of ${counted(steps.length, "unit")}`;
  switch (status) {
    case "done":
      return `The roll-out of ${app} is done: ${countChanges(steps)}.`;
    case "failed":
      return `The roll-out of ${app} has failed after ${progress}${why}`;
    case "rolling-back":
      return `The roll-out of ${app} is being rolled back${why}`;
    case "rolled-back":
      return `The roll-out of ${app} was rolled back${why}`;
    case "aborted":
      return `The roll-out of ${app} was aborted after ${progress}${why}`;
    case "paused":
      return `The roll-out of ${app} is paused after ${progress}${why}. ` +
        `To continue: fleetctl rollout resume ${app}. To go back: fleetctl rollout undo ${app}`;
    default:
      return `The roll-out of ${app} is ${status}: ${progress} done.`;
  }
}
