/**
 * Runs a program on a machine of the cluster: directly on this machine, by SSH on others.
 *
 * @module
 */

import { isQuadlet } from "../../systemd/unit_name.ts";
import { generatedService } from "../../systemd/unit_quadlet.ts";
import type { UnitReport } from "../api/client.ts";
import { type FlagSpec, switchFlag } from "../cli/argv.ts";
import type { Context } from "../cli/command.ts";
import { shellWord } from "../ssh/remote.ts";
import { printError, ReaderGoneError, reasonOf, rethrowAs } from "../terminal/port.ts";
import { optionsOf } from "../units/resolve_source.ts";
import { isReadLocally } from "./local_units.ts";
import { sshPortOf } from "./select.ts";

/** Exit status if SSH fails, as in ssh(1). */
export const exitSshFailure = 255;

/** `--ssh`, of commands that use the API by default. */
export const sshFlag: FlagSpec = switchFlag("ssh", "Log in to the machine instead of using the API");

/**
 * Prints and returns the status of a unit on a machine by the API. If it must be read on the machine itself, returns `why`
 * instead: "" if that is this machine or a flag requests it, else the reason why the API cannot provide it.
 */
export async function printStatus(context: Context, id: string, unit: string): Promise<UnitReport<string>> {
  const { client, io, flags } = context;
  if (flags.on("ssh") || await isReadLocally(context, id)) return { why: "" };
  const { text: body, why } = await client.unitReport(unit, "status", { machineID: id });
  if (!body) return { why };
  let latest = "";
  for await (const text of body.pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>)) {
    io.out(text);
    latest = (latest + text).slice(-maxStatus);
  }
  return { text: latest };
}

/** Largest number of characters of a status that are returned: more than any status has. */
const maxStatus = 100_000;

/** Returns the name that a unit has on its machine: that of a Quadlet file is the name of its service. */
export async function nameInSystemd({ client }: Context, unit: string): Promise<string> {
  if (!isQuadlet(unit)) return unit;
  return generatedService(unit, optionsOf((await client.unit(unit))?.options));
}

/**
 * Runs a program on a machine with our streams, and returns its exit status. `why` is the reason why the API could not
 * provide the text: it is printed if the machine cannot be reached either.
 */
export async function runOnMachine(
  context: Context,
  id: string,
  argv: readonly string[],
  why = "",
): Promise<number> {
  const { hosts, io } = context;
  if (id !== "" && id === await hosts.localMachineId()) {
    return await hosts.runLocally(argv).catch(rethrowAs("Error running local command"));
  }
  const machine = await context.machines.find(id);
  if (!machine?.primaryIP) {
    const why = machine ? "it reports no address" : "it is not in the cluster";
    throw new Error(`Error getting machine IP: machine ${id}: ${why}`);
  }
  try {
    const host = await hosts.connect(machine.primaryIP, sshPortOf(context));
    return await host.run(commandText(argv), { input: false, forwardAgent: false });
  } catch (error) {
    if (error instanceof ReaderGoneError) throw error;
    if (why !== "") printError(io, why);
    printError(io, `Unable to SSH to remote host: ${reasonOf(error)}`);
    return exitSshFailure;
  }
}

/**
 * Runs a program on a machine and yields each line that it writes. Throws if the program cannot be run or fails. The error
 * begins with `why`, the reason why the API could not provide the text.
 */
export async function* linesOnMachine(
  context: Context,
  id: string,
  argv: readonly string[],
  why = "",
): AsyncGenerator<string> {
  const { hosts, machines } = context;
  if (id === await hosts.localMachineId()) return yield* hosts.linesLocally(argv);
  const machine = await machines.find(id);
  if (!machine?.primaryIP) throw new Error(`the address of machine ${id} is unknown`);
  const host = await hosts.connect(machine.primaryIP, sshPortOf(context)).catch((cause) => {
    if (why === "") throw cause;
    throw new Error(`${why}. By SSH: ${reasonOf(cause)}`, { cause });
  });
  yield* host.lines(commandText(argv));
}

function commandText([program = "", ...args]: readonly string[]): string {
  return [program, ...args.map(shellWord)].join(" ");
}
