/**
 * How units stand that are wanted launched already.
 *
 * @module
 */

import type { UnitEntity, UnitStateEntity } from "../../daemon/api/v1/types.ts";
import type { Context } from "../cli/command.ts";

/** `down`: it was started and does not run; `under way`: it waits for a machine, or is being started. */
export type RunState = "up" | "under way" | "down";

/** The standing of a unit that the cluster has. */
export async function runStateOf(
  { client }: Context,
  { name, existing }: { readonly name: string; readonly existing?: UnitEntity },
): Promise<RunState> {
  const states = await client.states(name);
  return standing(existing, states.find(({ machineID }) => machineID === existing?.machineID));
}

function standing(unit: UnitEntity | undefined, state: UnitStateEntity | undefined): RunState {
  if (!unit?.machineID || !state) return "under way";
  return unit.currentState === "launched" ? runStateOfReport(state) : "down";
}

/** The standing of a launched unit on a machine that says this of it. */
export function runStateOfReport(state: UnitStateEntity): RunState {
  switch (state.systemdActiveState) {
    case "active":
    case "reloading":
    case "refreshing":
      return "up";
    case "activating":
      return state.systemdSubState?.startsWith("auto-restart") ? "down" : "under way";
    default:
      return "down";
  }
}
