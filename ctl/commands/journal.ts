import type { UnitEntity } from "../../daemon/api/v1/types.ts";
import { mangleUnitName } from "../../systemd/unit_name.ts";
import { UsageError } from "../cli/argv.ts";
import { type Command, type Context, exitFailure } from "../cli/command.ts";
import { isGlobal, suggestion } from "../units/set_state.ts";
import { complain, ReaderGoneError, reasonOf, say } from "../terminal/port.ts";
import { journalByApi } from "../journal/read.ts";
import { runOnMachine, sshFlag } from "../machines/run_on.ts";
import { machineByPrefix, sshPortFlag } from "../machines/select.ts";
import { logs } from "./logs.ts";

/** `fleetctl journal`: what a unit has logged. */
export const journal: Command = {
  name: "journal",
  summary: "Print the journal of a unit, from the machine that runs it",
  usage: "journal [--lines=N] [-f|--follow] [--output=...] [--sudo] [--machine=ID] [--ssh] [--ssh-port=N] UNIT...",
  units: { scope: "what can run" },
  description: `Asks the API for what the unit has logged or, where that cannot tell, runs journalctl
where the unit is: here, or by SSH. The exit status is then journalctl's.

Read the last 10 lines, or the last 100, or whatever comes:
fleetctl journal foo.service
fleetctl journal --lines 100 foo.service
fleetctl journal --follow foo.service

Of several units, one journal follows the other, each below a line with the unit's name; those
that are followed are merged, as by fleetctl logs.

A global unit's journal is on every machine: say which with --machine.`,
  flags: [
    { name: "lines", kind: "count", fallback: 10, help: "How many of the latest lines to print" },
    { name: "follow", kind: "switch", fallback: false, letter: "f", help: "Go on with new lines as they come" },
    { name: "output", kind: "text", fallback: "short", help: "How to print them, as journalctl's --output has it" },
    { name: "sudo", kind: "switch", fallback: false, help: "Run journalctl by sudo" },
    {
      name: "machine",
      kind: "text",
      fallback: "",
      letter: "m",
      help: "Where to read it: the beginning of a machine's ID",
    },
    sshFlag,
    sshPortFlag,
  ],
  async run(context) {
    const { io, args, flags } = context;
    if (args.length === 0) throw new UsageError("One unit file must be provided.", true);
    const names = [...new Set(args.map(mangleUnitName))];
    if (names.length > 1 && flags.on("follow")) return await followSeveral(context);
    let first = 0;
    for (const [index, name] of names.entries()) {
      if (names.length > 1) say(io, `${index === 0 ? "" : "\n"}-- ${name} --`);
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
    complain(io, `Error retrieving unit ${name}: ${reasonOf(error)}`);
    return exitFailure;
  }
}

/** ID of the machine to ask; undefined if there is none, which has been said. */
async function machineToRead(
  context: Context,
  name: string,
  unit: UnitEntity | undefined,
): Promise<string | undefined> {
  const { io, flags } = context;
  if (!unit) {
    complain(io, `Unit ${name} does not exist.${await suggestion(context, name)}`);
    return undefined;
  }
  if (flags.text("machine") !== "") return (await machineByPrefix(context, flags.text("machine"))).id;
  if (isGlobal(unit)) {
    complain(io, `Unable to retrieve journal of global unit ${name}.`);
    complain(io, "Name one of its machines with --machine.");
    return undefined;
  }
  if (!unit.machineID || (unit.currentState ?? "inactive") === "inactive") {
    complain(io, `Unit ${name} does not appear to be running.`);
    return undefined;
  }
  return unit.machineID;
}
