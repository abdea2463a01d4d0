/**
 * Sets the desired state of units and waits until they reach it.
 *
 * @module
 */

import type { UnitEntity } from "../../daemon/api/v1/types.ts";
import type { DesiredState, UnitName } from "../../registry/model.ts";
import { parseRequirements } from "../../registry/requirements.ts";
import { mangleUnitName } from "../../systemd/unit_name.ts";
import { type FlagSpec, numberFlag, switchFlag, UsageError } from "../cli/argv.ts";
import type { ApiClient } from "../api/client.ts";
import type { Context } from "../cli/command.ts";
import { inParallel } from "../../runtime/parallel.ts";
import type { CreatedUnit } from "./upload.ts";
import { timeoutFlagName } from "../cli/global_flags.ts";
import { printError, printLine, reasonOf } from "../terminal/port.ts";
import { similarUnit } from "./similar_unit.ts";
import { optionsOf } from "./resolve_source.ts";
import { type WaitFailure, waitForUnits, type WaitStage } from "../waiting/wait_for_units.ts";

/** `--block-attempts`, for a command that waits until units are in `state`. */
export function blockAttemptsFlag(state: string): FlagSpec {
  return numberFlag(
    "block-attempts",
    "count",
    0,
    `Wait at most N times 2 seconds until the units are ${state}; 0 is no limit`,
  );
}

/** `--timeout`, for every command that waits. */
export const timeoutFlag: FlagSpec = numberFlag(
  timeoutFlagName,
  "seconds",
  0,
  "Limit all the waiting of the command; 0 is no limit",
);

/** `--no-block`, for a command that waits until units are in `state`. */
export function noBlockFlag(state: string): FlagSpec {
  return switchFlag("no-block", `Do not wait until the units are ${state}`);
}

/** Returns the attempts that the flags allow, of 2 seconds each; 0 is no limit. */
export function attemptsOf(context: Context): number {
  return Math.max(0, context.flags.number("block-attempts"));
}

/** `--yes`, for a command that asks before it changes the units that a pattern matches. */
export const yesFlag: FlagSpec = switchFlag("yes", "Do not ask for confirmation", "y");

/** Printed after a question that was not answered by yes. */
export const nothingDone = `Nothing was changed. (Use --${yesFlag.name} to skip the question.)`;

/** Returns the error of a command line without units. */
export function noUnitsGiven(): UsageError {
  return new UsageError("no units given");
}

/** The units of a command line that exist. */
export interface FoundUnits {
  readonly units: readonly UnitEntity[];
  /** Number of units that are not in the cluster, after an error message for each. */
  readonly missing: number;
  /** Number of units that could not be retrieved, after an error message for each. */
  readonly unknown: number;
}

/** Returns the units that the arguments name, in that order, each once, and reports those that are not in the cluster. */
export async function findUnits(context: Context): Promise<FoundUnits> {
  const names = [...new Set(context.args.map(mangleUnitName))];
  const units = new Map<string, UnitEntity>();
  const absent: string[] = [];
  const retrieved = await forEachUnit(
    context,
    names.map((name) => ({ name })),
    "Error retrieving units",
    async ({ name }) => {
      const unit = await context.client.unit(name);
      unit ? units.set(name, unit) : absent.push(name);
    },
  );
  // A unit that a pattern has matched, and another client has destroyed since, is not reported.
  const missed = names.filter((name) => absent.includes(name) && !context.matched.has(name));
  for (const name of missed) {
    printError(context.io, `Unit ${name} is not in the cluster${await suggestion(context, name)}`);
  }
  return {
    units: names.flatMap((name) => units.get(name) ?? []),
    missing: missed.length,
    unknown: names.length - retrieved.length,
  };
}

/** The names of all units, requested once for each client. */
const unitNames = new WeakMap<ApiClient, Promise<string[]>>();

/** Returns ` (did you mean x?)` for a unit that is not in the cluster, "" if no unit has a similar name. */
export async function suggestion({ client }: Context, name: string): Promise<string> {
  // A failure to list the units only costs the suggestion.
  const names = unitNames.get(client) ?? client.units().then((units) => units.map((unit) => unit.name), () => []);
  unitNames.set(client, names);
  const similar = similarUnit(name, await names);
  return similar === undefined ? "" : ` (did you mean ${similar}?)`;
}

/**
 * Does `work` for each unit and returns those for which it succeeded. After a failure the other units still get their
 * turn. Each reason is printed once, after the text `failed`, with unit names if there are several units.
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
    printError(io, typeof failed === "string" ? `${failed}: ${which}${reason}` : failed(names) + reason);
  }
  return units.filter((_unit, index) => reasons[index] === undefined);
}

/** True if the unit runs on every machine that is eligible for it. */
export function isGlobal(unit: UnitEntity): boolean {
  return parseRequirements(unit.name, optionsOf(unit.options)).global;
}

/** Units that change to the desired state of a command. */
export interface ChangingUnits {
  readonly units: readonly CreatedUnit[];
  /** Number of units that could not be changed, after an error message for each. */
  readonly refused: number;
}

/** Sets the desired state of units that have another one, and returns those that change to it. */
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

/** Waits until units have passed `stages`; with `--no-block`, prints that they were triggered instead. */
export async function blockUntil<Unit extends { readonly name: UnitName }>(
  context: Context,
  units: readonly Unit[],
  verb: string,
  stages: (unit: Unit) => readonly WaitStage[],
): Promise<WaitFailure[]> {
  if (context.flags.on("no-block")) {
    for (const { name } of units) printLine(context.io, `Triggered unit ${name} ${verb}`);
    return [];
  }
  const waits = units.map((unit) => ({ name: unit.name, stages: stages(unit) }));
  return await waitForUnits(context, waits, attemptsOf(context));
}

/** Prints each failure, with the latest log lines of units that have failed in systemd, and returns the failures. */
export async function printFailures(context: Context, failures: WaitFailure[]): Promise<WaitFailure[]> {
  for (const { reason } of failures) printError(context.io, `Error waiting for units: ${reason}`);
  const failed = failures.flatMap(({ name, machine }) => machine === undefined ? [] : [{ name, machine }]);
  if (failed.length > 0) await (await import("../waiting/recent_logs.ts")).printRecentLogs(context, failed);
  return failures;
}

/** Returns a list of names as fleet 1.0 prints it: `[a b]`. */
export function bracketed(names: readonly UnitName[]): string {
  return `[${names.join(" ")}]`;
}

/**
 * Prints to standard error, as fleet 1.0 does, the units of a command that have not failed. Prints nothing if all have
 * failed, nor with `--no-block`.
 */
export function printSuccess(
  { io, flags }: Context,
  done: string,
  units: readonly { readonly name: UnitName }[],
  failures: readonly WaitFailure[],
  otherFailures: number,
): void {
  if (flags.on("no-block")) return;
  const succeeded = units.map(({ name }) => name).filter((name) => !failures.some((failure) => failure.name === name));
  if (succeeded.length > 0 || failures.length + otherFailures === 0) {
    printError(io, `Successfully ${done} units ${bracketed(succeeded)}.`);
  }
}
