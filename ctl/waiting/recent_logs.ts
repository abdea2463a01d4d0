/**
 * Prints the last journal lines of units that failed to start.
 *
 * @module
 */

import { commandLine } from "../../runtime/command_line.ts";
import type { Context } from "../cli/command.ts";
import { printError, reasonOf } from "../terminal/port.ts";
import { machineLegend } from "../machines/format.ts";

/** Lines shown of each unit. */
const shownLines = 10;

/** Largest number of units whose lines are shown: of many that fail at once, the first few are enough to see why. */
const maxUnits = 3;

/** Longest time that one journal may take: the failure itself has already been printed. */
const limit_ms = 5000;

/** Largest number of characters shown of one unit. */
const maxText = 20_000;

/** A unit that systemd reports as failed. */
export interface FailedUnit {
  readonly name: string;
  /** ID of the machine that it failed on. */
  readonly machine: string;
}

/**
 * Prints the last journal lines of failed units on standard error or, if the API cannot provide them, the command that
 * shows them.
 */
export async function printRecentLogs(context: Context, failed: readonly FailedUnit[]): Promise<void> {
  const notShown = failed.slice(maxUnits);
  for (const unit of failed.slice(0, maxUnits)) {
    const lines = await lastLines(context, unit);
    if (lines.length === 0) {
      notShown.push(unit);
      continue;
    }
    const machine = await context.machines.find(unit.machine) ?? { id: unit.machine };
    printError(context.io, `Last log lines of ${unit.name} on ${machineLegend(machine, false)}:`);
    for (const line of lines) printError(context.io, `  ${line}`);
  }
  for (const { name } of notShown) {
    printError(context.io, `To see the log of ${name}: ${commandLine(["fleetctl", "journal"], [name])}`);
  }
}

/** Returns no lines if the API cannot provide them in time. Does not use SSH: the user did not ask for a login. */
async function lastLines({ client, io }: Context, { name, machine }: FailedUnit): Promise<string[]> {
  const over = new AbortController();
  let text = "";
  const read = async () => {
    const query = { machineID: machine, lines: `${shownLines}`, output: "short" };
    const { text: body } = await client.unitReport(name, "journal", query);
    const parts = body?.pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>, over);
    for await (const part of parts ?? []) {
      text += part;
      if (text.length >= maxText) return;
    }
  };
  try {
    await Promise.race([read(), io.sleep(limit_ms, over.signal)]);
    return text.slice(0, maxText).split("\n").filter((line) => line !== "");
  } catch (error) {
    io.log("DEBUG", `no journal of unit ${name}: ${reasonOf(error)}`);
    return [];
  } finally {
    over.abort();
  }
}
