/**
 * Run states of units whose desired state is launched.
 *
 * @module
 */

import type { UnitEntity, UnitStateEntity } from "../../daemon/api/v1/types.ts";
import type { Context } from "../cli/command.ts";

/** `down`: the unit was started and does not run; `under way`: it waits for a machine, or is being started. */
export type RunState = "up" | "under way" | "down";

/** Requests the run state of a unit of the cluster. */
export async function fetchRunState(
  { client }: Context,
  { name, existing }: { readonly name: string; readonly existing?: UnitEntity },
): Promise<RunState> {
  const states = await client.states(name);
  const state = states.find(({ machineID }) => machineID === existing?.machineID);
  if (!existing?.machineID || !state) return "under way";
  return existing.currentState === "launched" ? runStateOf(state) : "down";
}

/** Returns the run state of a launched unit by the state that its machine reports. */
export function runStateOf(state: UnitStateEntity): RunState {
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
