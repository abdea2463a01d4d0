/**
 * Sets what units are wanted in and waits for it, for the commands that do so.
 *
 * @module
 */

import type { UnitEntity } from "../../daemon/api/v1/types.ts";
import type { DesiredState, UnitName } from "../../registry/model.ts";
import { parseRequirements } from "../../registry/requirements.ts";
import { mangleUnitName } from "../../systemd/unit_name.ts";
import { type FlagSpec, UsageError } from "../cli/argv.ts";
import type { ApiClient } from "../api/client.ts";
import type { Context } from "../cli/command.ts";
import { inParallel } from "../../runtime/parallel.ts";
import type { CreatedUnit } from "./upload.ts";
import { timeoutFlagName } from "../cli/global_flags.ts";
import { complain, reasonOf, say } from "../terminal/port.ts";
import { similarUnit } from "./similar_unit.ts";
import { optionsOf } from "./resolve_source.ts";
import { type Stage, type WaitFailure, waitForUnits } from "../waiting/wait_for_units.ts";

/** `--block-attempts`, for a command that waits until units are `what`. */
export function blockAttemptsFlag(what: string): FlagSpec {
  return {
    name: "block-attempts",
    kind: "count",
    fallback: 0,
    help: `Wait until the units are ${what} for at most this many times 2 seconds; 0 waits for ever`,
  };
}

/** `--timeout`, for every command that waits. */
export const timeoutFlag: FlagSpec = {
  name: timeoutFlagName,
  kind: "seconds",
  fallback: 0,
  help: "Wait for at most this many seconds; 0 waits for ever",
};

/** `--no-block`, for a command that waits until units are `what`. */
export function noBlockFlag(what: string): FlagSpec {
  return { name: "no-block", kind: "switch", fallback: false, help: `Do not wait until the units are ${what}` };
}

/** How many attempts the flags allow; 0 for as long as it takes. */
export function attemptsOf(context: Context): number {
  return Math.max(0, context.flags.number("block-attempts"));
}

/** `--yes`, for a command that asks before it works on the units that a pattern matches. */
export const yesFlag: FlagSpec = {
  name: "yes",
  kind: "switch",
  fallback: false,
  letter: "y",
  help: "Do not ask before a pattern stops or destroys units, or a store is accepted",
};

/** A command line without units. */
export function noUnitsGiven(): UsageError {
  return new UsageError("No units given", true);
}

/** Units of a command line, as far as they are there. */
export interface FoundUnits {
  readonly units: readonly UnitEntity[];
  /** How many are not in the cluster, which has been said of each. */
  readonly missing: number;
  /** How many could not be asked for, which has been said of each. */
  readonly unknown: number;
}

/** The units that the arguments name, in that order, each once. Says which of them are not in the cluster. */
export async function findUnits(context: Context): Promise<FoundUnits> {
  const names = [...new Set(context.args.map(mangleUnitName))];
  const units = new Map<string, UnitEntity>();
  const absent: string[] = [];
  const asked = await forEachUnit(
    context,
    names.map((name) => ({ name })),
    "Error retrieving units",
    async ({ name }) => {
      const unit = await context.client.unit(name);
      unit ? units.set(name, unit) : absent.push(name);
    },
  );
  // A unit that a pattern has matched a moment ago and that is gone now needs no word.
  const missed = names.filter((name) => absent.includes(name) && !context.matched.has(name));
  for (const name of missed) {
    complain(context.io, `Unit ${name} is not in the cluster${await suggestion(context, name)}`);
  }
  return {
    units: names.flatMap((name) => units.get(name) ?? []),
    missing: missed.length,
    unknown: names.length - asked.length,
  };
}

/** The names of all units, asked for once in a command. */
const unitNames = new WeakMap<ApiClient, Promise<string[]>>();

/** ` (did you mean x?)` for a unit that is not in the cluster, "" if none of those that are has such a name. */
export async function suggestion({ client }: Context, name: string): Promise<string> {
  // Without the list there is no suggestion; why it is not to be had is not what failed.
  const asked = unitNames.get(client) ?? client.units().then((units) => units.map((unit) => unit.name), () => []);
  unitNames.set(client, asked);
  const similar = similarUnit(name, await asked);
  return similar === undefined ? "" : ` (did you mean ${similar}?)`;
}

/**
 * Does `work` for each unit, and returns those for which it succeeded. A failure holds up no other unit, and is printed
 * behind `failed`, with the names of its units if there are several.
 */
export async function forEachUnit<Unit extends { readonly name: UnitName }>(
  { io }: Context,
  units: readonly Unit[],
  failed: string | ((names: readonly UnitName[]) => string),
  work: (unit: Unit) => Promise<unknown>,
): Promise<Unit[]> {
  const reasons = await inParallel(units, async (unit) => {
    try {
      await work(unit);
      return undefined;
    } catch (error) {
      return reasonOf(error);
    }
  });
  for (const reason of new Set(reasons.filter((reason) => reason !== undefined))) {
    const names = units.flatMap(({ name }, index) => reasons[index] === reason ? [name] : []);
    const which = units.length > 1 ? `${names.join(", ")}: ` : "";
    complain(io, typeof failed === "string" ? `${failed}: ${which}${reason}` : failed(names) + reason);
  }
  return units.filter((_unit, index) => reasons[index] === undefined);
}

/** True if the unit runs on every machine it may run on. */
export function isGlobal(unit: UnitEntity): boolean {
  return parseRequirements(unit.name, optionsOf(unit.options)).global;
}

/** Units that a command has asked the cluster to change. */
export interface ChangingUnits {
  readonly units: readonly CreatedUnit[];
  /** How many could not be changed, which has been said of each behind the command's `failed`. */
  readonly refused: number;
}

/** Sets the desired state of those units that are not wanted so yet, and returns those now on their way to it. */
export async function setDesiredState(
  context: Context,
  units: readonly CreatedUnit[],
  state: DesiredState,
  failed: string,
): Promise<ChangingUnits> {
  const changing = units.filter((unit) => !unit.begun && unit.desiredState !== state);
  const changed = await forEachUnit(
    context,
    changing,
    failed,
    ({ name }) => context.client.putUnit({ name, desiredState: state }),
  );
  return {
    units: units.filter((unit) => unit.begun || changed.includes(unit)),
    refused: changing.length - changed.length,
  };
}

/** Waits until units have passed `stages`, or only says that they were asked to, with `--no-block`. */
export async function blockUntil<Unit extends { readonly name: UnitName }>(
  context: Context,
  units: readonly Unit[],
  verb: string,
  stages: (unit: Unit) => readonly Stage[],
): Promise<WaitFailure[]> {
  if (context.flags.on("no-block")) {
    for (const { name } of units) say(context.io, `Triggered unit ${name} ${verb}`);
    return [];
  }
  const waits = units.map((unit) => ({ name: unit.name, stages: stages(unit) }));
  return await waitForUnits(context, waits, attemptsOf(context));
}

/** Prints each failure, the last words of units that have failed in systemd, and hands them on. */
export async function tellFailures(context: Context, failures: WaitFailure[]): Promise<WaitFailure[]> {
  for (const { reason } of failures) complain(context.io, `Error waiting for units: ${reason}`);
  const failed = failures.flatMap(({ name, machine }) => machine === undefined ? [] : [{ name, machine }]);
  if (failed.length > 0) await (await import("../waiting/recent_logs.ts")).printRecentLogs(context, failed);
  return failures;
}

/** A list of names as it has always been printed: `[a b]`. */
export function bracketed(names: readonly UnitName[]): string {
  return `[${names.join(" ")}]`;
}

/**
 * Says on standard error, as fleet 1.0 does, which units a command has `done` something to: those asked for that have not
 * failed. Nothing is said where that is none and other units failed, nor after `--no-block`.
 */
export function tellSuccess(
  { io, flags }: Context,
  done: string,
  units: readonly { readonly name: UnitName }[],
  failures: readonly WaitFailure[],
  otherFailures: number,
): void {
  if (flags.on("no-block")) return;
  const succeeded = units.map(({ name }) => name).filter((name) => !failures.some((failure) => failure.name === name));
  if (succeeded.length > 0 || failures.length + otherFailures === 0) {
    complain(io, `Successfully ${done} units ${bracketed(succeeded)}.`);
  }
}
