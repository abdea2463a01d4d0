import type { Log } from "../../../runtime/log.ts";
import type { MoveStep } from "../../../registry/mod.ts";

/** Logs a step of a move, or the progress of a request. */
export function logMoveStep(log: Log, step: MoveStep, refused: boolean): void {
  if (refused) {
    return log("debug", "a step of a move was refused: the unit or the request has changed since it was decided", {
      step: step.kind,
    });
  }
  switch (step.kind) {
    case "prepare": {
      const { unit, machine, from, why } = step;
      return log("info", `about to move: ${why}`, { unit: unit.name, machine, from: from.machine });
    }
    case "abandon":
      return log("warn", `the move was given up, and its second copy stops: ${step.why}`, {
        unit: step.unit,
        machine: step.from.successor,
      });
    case "withdraw":
      return log("warn", "stopping a second copy that its unit's target does not name", {
        unit: step.unit,
        machine: step.machine,
      });
    case "drained": {
      const { machine } = step.drain;
      const what = step.status === "done" ? "the machine is drained" : "no job is left on the machine that is drained";
      return log("info", what, { machine });
    }
    case "rebalanced": {
      const left = step.moves.length;
      return log("info", left === 0 ? "the requested moves are done" : `${left} of the requested moves are left`);
    }
  }
}
