import type { UnitEntity } from "../../daemon/api/v1/types.ts";
import { mangleUnitName } from "../../systemd/unit_name.ts";
import { numberFlag, switchFlag, textFlag, UsageError } from "../cli/argv.ts";
import { type Command, type Context, exitFailure } from "../cli/command.ts";
import { isGlobal, noUnitsGiven, suggestion } from "../units/set_state.ts";
import { printError, printLine, ReaderGoneError, reasonOf } from "../terminal/port.ts";
import { journalByApi } from "../journal/read.ts";
import { runOnMachine, sshFlag } from "../machines/run_on.ts";
import { machineByPrefix, sshPortFlag } from "../machines/select.ts";
import { logs } from "./logs.ts";

/** `fleetctl journal`: prints the journals of units one after the other. */
export const journal: Command = {
  name: "journal",
  group: "observe",
  summary: "Print the journal of units",
  usage: "journal [--lines=N] [-f|--follow] [--output=MODE] [--sudo] [--machine=ID] [--ssh] [--ssh-port=N] UNIT...",
  description: `Reads the journal of a unit through the API. If that fails, runs journalctl on the machine of the
unit, by SSH unless that is this machine; the exit status is then that of journalctl.

With several units, the journals are printed one after the other, each below a line with the name of its
unit; with --follow they are merged, as by fleetctl logs.

A global unit has a journal on every machine: choose one with --machine.`,
  examples: [
    { title: "Print the last 10 lines", line: "fleetctl journal foo.service" },
    { title: "Print the last 100 lines", line: "fleetctl journal --lines=100 foo.service" },
    { title: "Print new lines as they come", line: "fleetctl journal --follow foo.service" },
  ],
  units: { scope: "runnable units" },
  flags: [
    numberFlag("lines", "count", 10, "Print this many of the latest lines"),
    switchFlag("follow", "Print new lines as they come", "f"),
    textFlag("output", "MODE", "Print in an output mode of journalctl", { fallback: "short" }),
    switchFlag("sudo", "Run journalctl with sudo"),
    textFlag("machine", "ID", "Read it on the machine whose ID begins with this", { letter: "m" }),
    sshFlag,
    sshPortFlag,
  ],
  async run(context) {
    const { io, args, flags } = context;
    if (args.length === 0) throw noUnitsGiven();
    const names = [...new Set(args.map(mangleUnitName))];
    if (names.length > 1 && flags.on("follow")) return await followSeveral(context);
    let first = 0;
    for (const [index, name] of names.entries()) {
      if (names.length > 1) printLine(io, `${index === 0 ? "" : "\n"}-- ${name} --`);
      const code = await printJournal(context, name);
      first ||= code;
    }
    return first;
  },
};

async function followSeveral(context: Context): Promise<number> {
  const other = ["machine", "output"].find((name) => context.flags.given(name));
  if (other !== undefined) throw new UsageError(`--follow of several units cannot be combined with --${other}`);
  return await logs.run(context);
}

/** Prints the journal of one unit and returns the exit status. */
async function printJournal(context: Context, name: string): Promise<number> {
  const { io, client, flags } = context;
  try {
    const machine = await machineToRead(context, name, await client.unit(name));
    if (machine === undefined) return exitFailure;
    const [count, output, follow] = [flags.number("lines"), flags.text("output"), flags.on("follow")];
    const moves = flags.text("machine") === "";
    const { text, why } = await journalByApi(context, { unit: name, machine, lines: count, output, follow, moves });
    if (text) {
      for await (const piece of text) io.out(piece);
      return 0;
    }
    const lines = ["-n", `${count}`, "--output", output];
    return await runOnMachine(context, machine, [
      ...(flags.on("sudo") ? ["sudo"] : []),
      ...["journalctl", "--unit", name, "--no-pager", ...lines],
      ...(follow ? ["-f"] : []),
    ], why);
  } catch (error) {
    if (error instanceof ReaderGoneError) throw error;
    printError(io, `Error retrieving unit ${name}: ${reasonOf(error)}`);
    return exitFailure;
  }
}

/** Returns the ID of the machine to read from; undefined, after an error message, if there is none. */
async function machineToRead(
  context: Context,
  name: string,
  unit: UnitEntity | undefined,
): Promise<string | undefined> {
  const { io, flags } = context;
  if (!unit) {
    printError(io, `Unit ${name} does not exist.${await suggestion(context, name)}`);
    return undefined;
  }
  if (flags.text("machine") !== "") return (await machineByPrefix(context, flags.text("machine"))).id;
  if (isGlobal(unit)) {
    printError(io, `Unable to retrieve journal of global unit ${name}.`);
    printError(io, "Name one of its machines with --machine.");
    return undefined;
  }
  if (!unit.machineID || (unit.currentState ?? "inactive") === "inactive") {
    printError(io, `Unit ${name} does not appear to be running.`);
    return undefined;
  }
  return unit.machineID;
}
