/**
 * Sets the desired state of units and waits until they reach it.
 *
 * @module
 */

import type { UnitEntity } from "../../daemon/api/v1/types.ts";
import type { DesiredState, UnitName } from "../../registry/model.ts";
import { healthCheckOf } from "../../registry/health_check.ts";
import { parseRequirements } from "../../registry/requirements.ts";
import { mangleUnitName } from "../../systemd/unit_name.ts";
import { countFlag, type FlagSpec, secondsFlag, switchFlag } from "../cli/argv.ts";
import type { ApiClient } from "../api/client.ts";
import { type Context, exitFailure } from "../cli/command.ts";
import { inParallel } from "../../runtime/parallel.ts";
import type { CreatedUnit } from "./upload.ts";
import { timeoutFlagName } from "../cli/global_flags.ts";
import { printError, printLine, ReaderGoneError, reasonOf, rethrowAs } from "../terminal/port.ts";
import { followersFirst } from "./followers.ts";
import { similarUnit } from "./similar_unit.ts";
import { optionsOf } from "./resolve_source.ts";
import { type WaitFailure, waitForUnits, type WaitStage } from "../waiting/wait_for_units.ts";

/** Flags that limit the wait of a command until units are in `state`. */
export function waitFlags(state: string): FlagSpec[] {
  const attempts = `Wait at most N times 2 seconds until the units are ${state}; 0 is no limit`;
  return [
    // Fleet 1.0 takes a negative number for no limit.
    { ...countFlag("block-attempts", 0, attempts), isSigned: true },
    secondsFlag(timeoutFlagName, 0, "Limit all the waiting of the command; 0 is no limit"),
  ];
}

/** `--no-block`, for a command that waits until units are in `state`. */
export function noBlockFlag(state: string): FlagSpec {
  return switchFlag("no-block", `Do not wait until the units are ${state}`);
}

/** Returns the attempts that the flags allow, of 2 seconds each; 0 is no limit. */
export function attemptsOf(context: Context): number {
  return Math.max(0, context.flags.number("block-attempts"));
}

/** `--yes`, for a command that asks before it changes the units that a pattern matches. */
export const yesFlag = switchFlag("yes", "Do not ask for confirmation", "y");

/** Printed after a question that was not answered by yes. */
export const nothingDone = `Nothing was changed. (Use --${yesFlag.name} to skip the question.)`;

/**
 * Returns the units that the arguments name, in that order, each once, and the numbers of units that are not in the cluster
 * and that could not be retrieved, after an error message for each.
 */
export async function findUnits(
  context: Context,
): Promise<{ readonly units: readonly UnitEntity[]; readonly missing: number; readonly unknown: number }> {
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

/** Returns a unit. Throws if it cannot be retrieved or is `missing`, if possible with a suggestion. */
export async function existingUnit(context: Context, name: string, missing = "does not exist."): Promise<UnitEntity> {
  const unit = await context.client.unit(name).catch(rethrowAs(`Error retrieving unit ${name}`));
  if (!unit) throw new Error(`Unit ${name} ${missing}${await suggestion(context, name)}`);
  return unit;
}

/** Does `show` for each name in order, and prints its errors. Returns the first exit status that is not 0. */
export async function showEach(
  { io }: Context,
  names: readonly string[],
  show: (name: string, index: number) => Promise<number>,
): Promise<number> {
  let first = 0;
  for (const [index, name] of names.entries()) {
    const status = await show(name, index).catch((error) => {
      if (error instanceof ReaderGoneError) throw error;
      printError(io, reasonOf(error));
      return exitFailure;
    });
    first ||= status;
  }
  return first;
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
 * Does `work` for each unit, as `run` does it, and returns those for which it succeeded. After a failure the other units
 * still get their turn. Each reason is printed once, after the text `failed`, with unit names if there are several units.
 */
export async function forEachUnit<Unit extends { readonly name: UnitName }>(
  { io }: Context,
  units: readonly Unit[],
  failed: string | ((names: readonly UnitName[]) => string),
  work: (unit: Unit) => Promise<unknown>,
  run: typeof inParallel<Unit, string | undefined> = inParallel,
): Promise<Unit[]> {
  const reasons = await run(units, async (unit) => {
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

/** True if the unit's machine checks its health. */
export function hasHealthCheck({ name, options }: UnitEntity): boolean {
  return healthCheckOf(name, optionsOf(options)) !== undefined;
}

/** True if the unit runs on every machine that is eligible for it. */
export function isGlobal(unit: UnitEntity): boolean {
  return parseRequirements(unit.name, optionsOf(unit.options)).global;
}

/** Returns the state that the unit's machine was last commanded to reach. */
export function currentStateOf(unit: UnitEntity): string {
  return unit.currentState ?? "inactive";
}

/** True if the unit has no machine and waits for none. */
export function isInactive(unit: UnitEntity): boolean {
  return currentStateOf(unit) === "inactive" && (unit.desiredState ?? "inactive") === "inactive";
}

/**
 * Sets the desired state of units that have another one. Returns those that change to it, and the number of units that
 * could not be changed, after an error message for each.
 */
export async function setDesiredState(
  context: Context,
  units: readonly CreatedUnit[],
  state: DesiredState,
  failed: string,
): Promise<{ readonly units: readonly CreatedUnit[]; readonly refused: number }> {
  const changing = units.filter((unit) => !unit.begun && unit.desiredState !== state);
  const changed = await forEachUnit(
    context,
    changing,
    failed,
    ({ name }) => context.client.putUnit({ name, desiredState: state }),
    followersFirst,
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

/** The part in which commands that take units out of service differ. */
interface Change {
  /** The infinitive and the participle, for example `stop` and `stopped`. */
  readonly verb: string;
  readonly done: string;
  readonly request: (unit: UnitEntity) => Promise<unknown>;
  /** Returns a notice to print about a unit after its request. */
  readonly notice?: (unit: UnitEntity) => string | undefined;
  readonly stage: (name: UnitName) => WaitStage;
}

/**
 * Requests a change of units and waits for it, but not for global units. `otherFailures` is the number of units that have
 * already failed. Returns the exit status after the messages of fleet 1.0, which prints a success to standard error.
 */
export async function changeUnits(
  context: Context,
  units: readonly UnitEntity[],
  otherFailures: number,
  { verb, done, request, notice, stage }: Change,
): Promise<number> {
  const { io, flags } = context;
  const requested = await forEachUnit(context, units, failedTo(verb), request);
  for (const unit of requested) {
    const text = notice?.(unit);
    if (isGlobal(unit)) printLine(io, `Triggered global unit ${unit.name} ${verb}`);
    else if (text !== undefined) io.notice(text);
  }
  const waiting = requested.filter((unit) => !isGlobal(unit));
  const failures = await blockUntil(context, waiting, verb, ({ name }) => [stage(name)]);
  for (const { name, reason } of failures) printError(io, failedTo(verb)([name]) + reason);
  const failed = otherFailures + failures.length + (units.length - requested.length);
  const late = new Set(failures.map(({ name }) => name));
  const succeeded = waiting.map(({ name }) => name).filter((name) => !late.has(name));
  if (!flags.on("no-block") && (succeeded.length > 0 || failed === 0)) {
    printError(io, `Successfully ${done} units [${succeeded.join(" ")}].`);
  }
  return failed > 0 ? exitFailure : 0;
}

/** Returns the beginning of an error message about units, as fleet 1.0 prints it. */
export function failedTo(verb: string): (names: readonly UnitName[]) => string {
  return (names) => `Failed to ${verb} units [${names.join(" ")}]: `;
}
