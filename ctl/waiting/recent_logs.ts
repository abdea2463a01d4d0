/**
 * The last journal lines of units that did not start, beside what systemd says of them.
 *
 * @module
 */

import type { Context } from "../cli/command.ts";
import { complain, reasonOf } from "../terminal/port.ts";
import { machineLegend } from "../machines/format.ts";

/** Lines shown of each unit. */
const shownLines = 10;

/** Units whose lines are shown: of many that fail at once the first few tell why. */
const maxUnits = 3;

/** How long a journal may take: what matters has been said already. */
const patience_ms = 5000;

/** Characters shown of one unit at most. */
const maxText = 20_000;

/** A unit of which systemd says that it has failed, and the ID of the machine where it did. */
export interface FailedUnit {
  readonly name: string;
  readonly machine: string;
}

/** Prints on standard error the last journal lines of units that have failed or, where the API cannot tell, how to see them. */
export async function printRecentLogs(context: Context, failed: readonly FailedUnit[]): Promise<void> {
  const unseen = failed.slice(maxUnits);
  for (const unit of failed.slice(0, maxUnits)) {
    const lines = await lastLines(context, unit);
    if (lines.length === 0) {
      unseen.push(unit);
      continue;
    }
    const machine = await context.machines.find(unit.machine) ?? { id: unit.machine };
    complain(context.io, `The last lines that ${unit.name} logged on ${machineLegend(machine, false)}:`);
    for (const line of lines) complain(context.io, `  ${line}`);
  }
  for (const { name } of unseen) complain(context.io, `What ${name} has logged: fleetctl journal ${name}`);
}

/** None if the API cannot tell, or does not in time. Never by SSH: nobody asked for a login. */
async function lastLines({ client, io }: Context, { name, machine }: FailedUnit): Promise<string[]> {
  const over = new AbortController();
  const late = io.sleep(patience_ms, over.signal).then(() => undefined);
  try {
    const query = { machineID: machine, lines: `${shownLines}`, output: "short" };
    const text = await Promise.race([
      readAll(client.unitReport(name, "journal", query).then(({ text }) => text), late),
      late,
    ]);
    return (text ?? "").split("\n").filter((line) => line !== "");
  } catch (error) {
    io.log("DEBUG", `no journal of unit ${name}: ${reasonOf(error)}`);
    return [];
  } finally {
    over.abort();
  }
}

async function readAll(
  said: Promise<ReadableStream<Uint8Array> | undefined>,
  late: Promise<undefined>,
): Promise<string> {
  const reader = (await said)?.getReader();
  if (!reader) return "";
  const decoder = new TextDecoder();
  let text = "";
  while (text.length < maxText) {
    const part = await Promise.race([reader.read(), late]);
    if (!part || part.done) break;
    text += decoder.decode(part.value, { stream: true });
  }
  await reader.cancel();
  return text.slice(0, maxText);
}
