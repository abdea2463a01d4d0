/**
 * How units stand that are wanted launched already.
 *
 * @module
 */

import type { UnitEntity, UnitStateEntity } from "../../daemon/api/v1/types.ts";
import type { Context } from "../cli/command.ts";

/** `down`: it was started and does not run; `under way`: it waits for a machine, or is being started. */
export type Standing = "up" | "under way" | "down";

/** The standing of a unit that the cluster has. */
export async function standingOf(
  { client }: Context,
  { name, existing }: { readonly name: string; readonly existing?: UnitEntity },
): Promise<Standing> {
  const states = await client.states(name);
  return standing(existing, states.find(({ machineID }) => machineID === existing?.machineID));
}

function standing(unit: UnitEntity | undefined, state: UnitStateEntity | undefined): Standing {
  if (!unit?.machineID || !state) return "under way";
  return unit.currentState === "launched" ? standingOfState(state) : "down";
}

/** The standing of a launched unit on a machine that says this of it. */
export function standingOfState(state: UnitStateEntity): Standing {
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
