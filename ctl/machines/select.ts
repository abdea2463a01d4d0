/**
 * Which machine is meant on a command line.
 *
 * @module
 */

import type { MachineEntity } from "../../daemon/api/v1/types.ts";
import { mangleUnitName } from "../../systemd/unit_name.ts";
import type { FlagSpec } from "../cli/argv.ts";
import type { Context } from "../cli/command.ts";
import { isGlobal, suggestion } from "../units/set_state.ts";

/** No machine, or not only one, is meant. The message follows `Unable to proceed: `. */
export class MachineSelectionError extends Error {
  override name = "MachineSelectionError";
}

/** `--ssh-port`, of every command that logs in somewhere. */
export const sshPortFlag: FlagSpec = {
  name: "ssh-port",
  kind: "count",
  fallback: 22,
  help: "Connect to machines over SSH using this TCP port",
};

/** The port asked for; undefined if ~/.ssh/config may say so. */
export function sshPortOf(context: Context): number | undefined {
  return context.flags.given("ssh-port") ? context.flags.number("ssh-port") : undefined;
}

/** The machine whose ID begins so. Throws {@link MachineSelectionError}. */
export async function machineByPrefix(context: Context, prefix: string): Promise<MachineEntity> {
  const machines = (await context.client.machines()).filter((machine) => machine.id.startsWith(prefix));
  if (machines.length > 1) {
    throw new MachineSelectionError(`found more than one machine: ${machines.map(({ id }) => id).join(", ")}`);
  }
  if (!machines[0]) {
    throw new MachineSelectionError(`machine does not exist: no ID begins with ${JSON.stringify(prefix)}`);
  }
  return machines[0];
}

/** The machine that a unit is placed on; undefined if it is on none that is there. Throws {@link MachineSelectionError}. */
export async function machineOfUnit(context: Context, argument: string): Promise<MachineEntity | undefined> {
  const unit = await context.client.unit(mangleUnitName(argument));
  if (!unit) {
    throw new MachineSelectionError("unit does not exist" + await suggestion(context, mangleUnitName(argument)));
  }
  if (isGlobal(unit)) throw new MachineSelectionError(`${unit.name} is global: name a machine with --machine`);
  return unit.machineID ? await context.machines.find(unit.machineID) : undefined;
}

/** The machine that is meant by the beginning of its ID, or by a unit on it. Throws {@link MachineSelectionError}. */
export async function machineByAny(context: Context, argument: string): Promise<MachineEntity> {
  const found = (error: unknown) => {
    if (error instanceof MachineSelectionError) return undefined;
    throw error;
  };
  const [byId, byUnit] = await Promise.all([
    machineByPrefix(context, argument).catch(found),
    machineOfUnit(context, argument).catch(found),
  ]);
  if (byId && byUnit) {
    throw new MachineSelectionError(
      `ambiguous argument, both machine and unit found for \`${argument}\`.\n` +
        "Please use flag `-m` or `-u` to refine the search",
    );
  }
  const machine = byId ?? byUnit;
  if (machine) return machine;
  throw new MachineSelectionError(await whyNoTarget(context, argument));
}

/** Why neither a machine nor a unit is meant. */
async function whyNoTarget(context: Context, argument: string): Promise<string> {
  const name = mangleUnitName(argument);
  const unit = await context.client.unit(name);
  if (!unit) {
    const similar = await suggestion(context, name);
    return `could not find matching unit or machine: ${JSON.stringify(argument)} is neither${similar}`;
  }
  if (isGlobal(unit)) return `${name} is global: name a machine`;
  return unit.machineID
    ? `${name} is on machine ${unit.machineID}, which is not in the cluster`
    : `${name} is on no machine`;
}
