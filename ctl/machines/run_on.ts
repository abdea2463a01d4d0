/**
 * Runs a program on a machine of the cluster: here, if that is this machine, and by SSH otherwise.
 *
 * @module
 */

import type { UnitReport } from "../api/client.ts";
import type { FlagSpec } from "../cli/argv.ts";
import { type Context, exitFailure } from "../cli/command.ts";
import { shellWord } from "../ssh/remote.ts";
import { complain, reasonOf } from "../terminal/port.ts";
import { isReadHere } from "./local_units.ts";
import { sshPortOf } from "./select.ts";

/** Exit status when SSH fails, as ssh(1) has it. */
export const exitSshFailure = 255;

/** `--ssh`, of commands that ask the API first. */
export const sshFlag: FlagSpec = {
  name: "ssh",
  kind: "switch",
  fallback: false,
  help: "Log in to the machine even where the API could tell",
};

/**
 * Prints what the API tells of a unit's status on a machine, and returns it; or why it is to be asked there: "" if the
 * machine is this one or a flag wants it so, else why the API cannot tell.
 */
export async function printStatus(context: Context, id: string, unit: string): Promise<UnitReport<string>> {
  const { client, io, flags } = context;
  if (flags.on("ssh") || await isReadHere(context, id)) return { why: "" };
  const { text: body, why } = await client.unitReport(unit, "status", { machineID: id });
  if (!body) return { why };
  let latest = "";
  for await (const text of body.pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>)) {
    io.out(text);
    latest = (latest + text).slice(-longestStatus);
  }
  return { text: latest };
}

/** Characters of what was told that are kept: all of any status. */
const longestStatus = 100_000;

/**
 * Runs a program on the machine of that ID, with our streams, and returns its exit status. `why` says why the API could
 * not tell: it is said if the machine cannot be reached either.
 */
export async function runOnMachine(
  context: Context,
  id: string,
  argv: readonly string[],
  why = "",
): Promise<number> {
  const { hosts, io } = context;
  if (id !== "" && id === await hosts.localMachineId()) {
    try {
      return await hosts.runHere(argv);
    } catch (error) {
      complain(io, `Error running local command: ${reasonOf(error)}`);
      return exitFailure;
    }
  }
  const machine = await context.machines.find(id);
  if (!machine?.primaryIP) {
    const why = machine ? "it has told no address" : "it is not in the cluster";
    complain(io, `Error getting machine IP: machine ${id}: ${why}`);
    return exitFailure;
  }
  try {
    const host = await hosts.connect(machine.primaryIP, sshPortOf(context));
    return await host.run(commandText(argv), { input: false, forwardAgent: false });
  } catch (error) {
    if (why !== "") complain(io, why);
    complain(io, `Unable to SSH to remote host: ${reasonOf(error)}`);
    return exitSshFailure;
  }
}

/**
 * Runs a program on the machine of that ID and yields each line it writes. Throws if it cannot, or fails; the error then
 * begins with `why` the API could not tell.
 */
export async function* linesOnMachine(
  context: Context,
  id: string,
  argv: readonly string[],
  why = "",
): AsyncGenerator<string> {
  const { hosts, machines } = context;
  if (id === await hosts.localMachineId()) return yield* hosts.linesHere(argv);
  const machine = await machines.find(id);
  if (!machine?.primaryIP) throw new Error(`the address of machine ${id} is not known`);
  const host = await hosts.connect(machine.primaryIP, sshPortOf(context)).catch((cause) => {
    if (why === "") throw cause;
    throw new Error(`${why}. By SSH: ${reasonOf(cause)}`, { cause });
  });
  yield* host.lines(commandText(argv));
}

function commandText([program = "", ...args]: readonly string[]): string {
  return [program, ...args.map(shellWord)].join(" ");
}
