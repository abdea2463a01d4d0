/**
 * Sets what units are wanted in and waits for it, for the commands that do so.
 *
 * @module
 */

import type { UnitEntity } from "../daemon/api/v1.ts";
import type { DesiredState, UnitName } from "../registry/model.ts";
import { parseRequirements } from "../registry/requirements.ts";
import { mangleUnitName } from "../systemd/unit_name.ts";
import type { FlagSpec } from "./args.ts";
import { type Context, exitUsage } from "./command.ts";
import { inParallel } from "./concurrency.ts";
import type { CreatedUnit } from "./creating.ts";
import { complain, say } from "./io.ts";
import { optionsOf } from "./unit_source.ts";
import { type Stage, timeoutFlagName, type WaitFailure, waitForUnits } from "./wait.ts";

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

/** Says that units are missing from the command line. */
export function noUnitsGiven(context: Context): number {
  complain(context.io, "No units given");
  return exitUsage;
}

/** The units named by the arguments that are in the cluster, in that order; others are left out. */
export async function findUnits(context: Context): Promise<UnitEntity[]> {
  const names = [...new Set(context.args.map(mangleUnitName))];
  const units = await inParallel(names, (name) => context.client.unit(name));
  return units.filter((unit) => unit !== undefined);
}

/** True if the unit runs on every machine it may run on. */
export function isGlobal(unit: UnitEntity): boolean {
  return parseRequirements(unit.name, optionsOf(unit.options)).global;
}

/** Sets the desired state of those units that are not wanted so yet, and returns those now on their way to it. */
export async function setDesiredState(
  context: Context,
  units: readonly CreatedUnit[],
  state: DesiredState,
): Promise<CreatedUnit[]> {
  const changing = units.filter((unit) => !unit.begun && unit.desiredState !== state);
  await inParallel(changing, ({ name }) => context.client.putUnit({ name, desiredState: state }));
  return units.filter((unit) => unit.begun || changing.includes(unit));
}

/**
 * Waits until units have passed `stages`, or only says that they were told to, with `--no-block`. Each failure is
 * printed.
 */
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
  return await tellFailures(context, await waitForUnits(context, waits, attemptsOf(context)));
}

/** Prints each failure, the last words of units that have failed in systemd, and hands them on. */
export async function tellFailures(context: Context, failures: WaitFailure[]): Promise<WaitFailure[]> {
  for (const { reason } of failures) complain(context.io, `Error waiting for units: ${reason}`);
  const failed = failures.flatMap(({ name, machine }) => machine === undefined ? [] : [{ name, machine }]);
  if (failed.length > 0) await (await import("./last_lines.ts")).tellLastLines(context, failed);
  return failures;
}

/** A list of names as it has always been printed: `[a b]`. */
export function bracketed(names: readonly UnitName[]): string {
  return `[${names.join(" ")}]`;
}
