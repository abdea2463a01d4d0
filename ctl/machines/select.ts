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
import { isMachine, machineIdLegend, machineWithName } from "./format.ts";

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

/** Several machines are meant. */
class AmbiguousMachineError extends MachineSelectionError {
  override name = "AmbiguousMachineError";
}

/**
 * Returns the machine that a person means: by its whole ID, the beginning of it, its address, or its name, which is the
 * metadata `name` or `hostname`. Throws {@link MachineSelectionError}.
 */
export async function machineByName(context: Context, name: string): Promise<MachineEntity> {
  return oneOf(await context.client.machines(), name);
}

function oneOf(all: readonly MachineEntity[], name: string): MachineEntity {
  const whole = all.find(({ id }) => id === name);
  const machines = whole ? [whole] : all.filter((machine) => isMachine(machine, name));
  if (machines.length > 1) {
    throw new AmbiguousMachineError(
      `found more than one machine: ${machines.map((machine) => machineWithName(machine)).join(", ")}`,
    );
  }
  if (machines[0]) return machines[0];
  throw noSuchMachine(name, all.map(({ id }) => id));
}

/** Returns the error about a name that no machine has, with the most similar one of the IDs. */
export function noSuchMachine(name: string, ids: readonly string[]): MachineSelectionError {
  const similar = similarId(name, ids);
  const question = similar === undefined ? "" : ` (did you mean ${machineIdLegend(similar, false)}?)`;
  const what = JSON.stringify(name);
  return new MachineSelectionError(
    `machine does not exist: no ID begins with ${what}, nor is it an address or a name${question}`,
  );
}

/** The IDs of machines: the 32 hexadecimal digits of machine-id(5). */
export const wholeId = /^[0-9a-f]{32}$/;

/**
 * Returns the machines that arguments name, each once. An absent machine is named by its whole ID or, if it is among
 * `known`, by the beginning of its ID. Throws {@link MachineSelectionError}.
 */
export async function machinesByName(
  context: Context,
  names: readonly string[],
  known: readonly string[] = [],
): Promise<readonly MachineEntity[]> {
  const present = await context.machines.all();
  const found = new Map<string, MachineEntity>();
  for (const name of names) {
    const absent = [...new Set([...known, ...wholeId.test(name) ? [name] : []])]
      .filter((id) => id.startsWith(name) && !present.has(id));
    const isPresent = [...present.values()].some((machine) => isMachine(machine, name));
    const machine = !isPresent && absent.length === 1
      ? { id: absent[0]! }
      : await machineByName(context, name).catch((error) => {
        const mayBeAway = !isPresent && error instanceof MachineSelectionError && /^[0-9a-f]+$/.test(name);
        throw mayBeAway
          ? new MachineSelectionError(`${error.message}; a machine that is away needs its whole ID`)
          : error;
      });
    found.set(machine.id, machine);
  }
  return [...found.values()];
}

/** A shorter beginning is similar to too many IDs. */
const minPrefixLength = 4;

/** Returns the ID whose beginning is most similar to `prefix`. */
function similarId(prefix: string, ids: readonly string[]): string | undefined {
  const beginnings = new Map(ids.map((id) => [id.slice(0, prefix.length), id]));
  return prefix.length < minPrefixLength ? undefined : beginnings.get(nearest(prefix, [...beginnings.keys()]) ?? "");
}

/**
 * Returns the machine of a unit; undefined if it has none, or the machine is not in the cluster. Throws {@link
 * MachineSelectionError}.
 */
export async function machineOfUnit(context: Context, argument: string): Promise<MachineEntity | undefined> {
  const unit = await context.client.unit(mangleUnitName(argument));
  if (!unit) {
    throw new MachineSelectionError("unit does not exist" + await suggestion(context, mangleUnitName(argument)));
  }
  if (isGlobal(unit)) throw new MachineSelectionError(`${unit.name} is global: name a machine with --machine`);
  return unit.machineID ? await context.machines.find(unit.machineID) : undefined;
}

/** Returns the machine that the argument means, or that has the unit of that name. Throws {@link MachineSelectionError}. */
export async function machineByAny(context: Context, argument: string): Promise<MachineEntity> {
  const name = mangleUnitName(argument);
  let ambiguous: AmbiguousMachineError | undefined;
  const [byId, unit] = await Promise.all([
    machineByName(context, argument).catch((error) => {
      if (error instanceof AmbiguousMachineError) ambiguous = error;
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
    if (ambiguous) throw ambiguous;
    const similar = await suggestion(context, name);
    const what = JSON.stringify(argument);
    throw new MachineSelectionError(`could not find matching unit or machine: ${what} is neither${similar}`);
  }
  if (isGlobal(unit)) throw new MachineSelectionError(`${name} is global: name a machine`);
  throw new MachineSelectionError(
    isOnOne ? `${name} is on machine ${unit.machineID}, which is not in the cluster` : `${name} is on no machine`,
  );
}
