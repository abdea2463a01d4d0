/**
 * Finds the machine that a command line names.
 *
 * @module
 */

import type { MachineEntity } from "../../daemon/api/v1/types.ts";
import { nearest } from "../../runtime/spelling.ts";
import { mangleUnitName } from "../../systemd/unit_name.ts";
import { countFlag, type FlagSpec } from "../cli/argv.ts";
import type { Context } from "../cli/command.ts";
import { isGlobal, suggestion } from "../units/set_state.ts";
import { machineIdLegend } from "./format.ts";

/** The arguments match no machine, or several. The message follows `Unable to proceed: `. */
export class MachineSelectionError extends Error {
  override name = "MachineSelectionError";
}

/** `--ssh-port`, of every command that logs in to machines. */
export const sshPortFlag: FlagSpec = countFlag(
  "ssh-port",
  22,
  "Connect to machines over SSH using this TCP port",
);

/** Returns the port that the flag sets; undefined if ~/.ssh/config decides. */
export function sshPortOf(context: Context): number | undefined {
  return context.flags.given("ssh-port") ? context.flags.number("ssh-port") : undefined;
}

/** Returns the machine whose ID begins with `prefix`. Throws {@link MachineSelectionError}. */
export async function machineByPrefix(context: Context, prefix: string): Promise<MachineEntity> {
  const all = await context.client.machines();
  const machines = all.filter((machine) => machine.id.startsWith(prefix));
  if (machines.length > 1) {
    throw new MachineSelectionError(`found more than one machine: ${machines.map(({ id }) => id).join(", ")}`);
  }
  if (!machines[0]) {
    const similar = similarId(prefix, all.map(({ id }) => id));
    const question = similar === undefined ? "" : ` (did you mean ${machineIdLegend(similar, false)}?)`;
    throw new MachineSelectionError(`machine does not exist: no ID begins with ${JSON.stringify(prefix)}${question}`);
  }
  return machines[0];
}

/** A shorter beginning is similar to too many IDs. */
const minPrefixLength = 4;

/** Returns the ID whose beginning is most similar to `prefix`. */
function similarId(prefix: string, ids: readonly string[]): string | undefined {
  const beginnings = new Map(ids.map((id) => [id.slice(0, prefix.length), id]));
  return prefix.length < minPrefixLength ? undefined : beginnings.get(nearest(prefix, [...beginnings.keys()]) ?? "");
}

/** Returns the machine of a unit; undefined if it has none, or the machine is not in the cluster. Throws {@link MachineSelectionError}. */
export async function machineOfUnit(context: Context, argument: string): Promise<MachineEntity | undefined> {
  const unit = await context.client.unit(mangleUnitName(argument));
  if (!unit) {
    throw new MachineSelectionError("unit does not exist" + await suggestion(context, mangleUnitName(argument)));
  }
  if (isGlobal(unit)) throw new MachineSelectionError(`${unit.name} is global: name a machine with --machine`);
  return unit.machineID ? await context.machines.find(unit.machineID) : undefined;
}

/** Returns the machine whose ID begins with the argument, or that has the unit of that name. Throws {@link MachineSelectionError}. */
export async function machineByAny(context: Context, argument: string): Promise<MachineEntity> {
  const name = mangleUnitName(argument);
  const [byId, unit] = await Promise.all([
    machineByPrefix(context, argument).catch((error) => {
      if (error instanceof MachineSelectionError) return undefined;
      throw error;
    }),
    context.client.unit(name),
  ]);
  const isOnOne = unit?.machineID && !isGlobal(unit);
  const byUnit = isOnOne ? await context.machines.find(unit.machineID) : undefined;
  if (byId && byUnit) {
    throw new MachineSelectionError(
      `ambiguous argument, both machine and unit found for \`${argument}\`.\n` +
        "Please use flag `-m` or `-u` to refine the search",
    );
  }
  const machine = byId ?? byUnit;
  if (machine) return machine;
  if (!unit) {
    const similar = await suggestion(context, name);
    const what = JSON.stringify(argument);
    throw new MachineSelectionError(`could not find matching unit or machine: ${what} is neither${similar}`);
  }
  if (isGlobal(unit)) throw new MachineSelectionError(`${name} is global: name a machine`);
  throw new MachineSelectionError(
    isOnOne ? `${name} is on machine ${unit.machineID}, which is not in the cluster` : `${name} is on no machine`,
  );
}
