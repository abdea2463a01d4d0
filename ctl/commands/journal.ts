import type { UnitEntity } from "../../daemon/api/v1/types.ts";
import { mangleUnitName } from "../../systemd/unit_name.ts";
import { countFlag, switchFlag, textFlag, UsageError } from "../cli/argv.ts";
import type { Command, Context } from "../cli/command.ts";
import { currentStateOf, existingUnit, isGlobal, showEach } from "../units/set_state.ts";
import { printError, printLine, rethrowAs } from "../terminal/port.ts";
import { outputFlag } from "../output/list.ts";
import { journalByApi } from "../journal/read.ts";
import {
  type JournalSelection,
  lineLimit,
  selectionArguments,
  selectionFlags,
  selectionOf,
} from "../journal/selection.ts";
import { nameInSystemd, runOnMachine, sshFlag } from "../machines/run_on.ts";
import { machineByName, sshPortFlag } from "../machines/select.ts";
import { logs } from "./logs.ts";

/** `fleetctl journal`: prints the journals of units one after the other. */
export const journal: Command = {
  name: "journal",
  group: "observe",
  summary: "Print the journal of units",
  usage:
    "journal [-n|--lines=N] [-f|--follow] [--since=TIME] [--until=TIME] [--grep=PATTERN] [-o|--output=MODE] [--sudo] [--machine=MACHINE] [--ssh] [--ssh-port=N] UNIT...",
  description: `Reads the journal of a unit through the API. If that fails, runs journalctl on the machine of the
unit, by SSH unless that is this machine; the exit status is then that of journalctl.

With several units, the journals are printed one after the other, each below a line with the name of its
unit; with --follow they are merged, as by fleetctl logs. With --grep, journalctl prints the newest line
first; fleetctl logs does not.

A global unit has a journal on every machine: choose one with --machine.`,
  examples: [
    { title: "Print the last 10 lines", line: "fleetctl journal foo.service" },
    { title: "Print the last 100 lines", line: "fleetctl journal --lines=100 foo.service" },
    { title: "Print new lines as they come", line: "fleetctl journal --follow foo.service" },
  ],
  units: { scope: "runnable units" },
  flags: [
    countFlag("lines", 10, "Print this many of the latest lines; all selected ones by default", "n"),
    ...selectionFlags,
    switchFlag("follow", "Print new lines as they come", "f"),
    outputFlag("MODE", "Print in an output mode of journalctl", "short", [
      "short",
      "short-full",
      "short-iso",
      "short-precise",
      "short-monotonic",
      "cat",
      "with-unit",
      "json",
    ]),
    switchFlag("sudo", "Run journalctl with sudo"),
    textFlag("machine", "MACHINE", "Read it on this machine", { letter: "m" }),
    sshFlag,
    sshPortFlag,
  ],
  async run(context) {
    const { io, args, flags } = context;
    const names = [...new Set(args.map(mangleUnitName))];
    const selection = selectionOf(context);
    if (names.length > 1 && flags.on("follow")) return await followSeveral(context);
    return await showEach(context, names, async (name, index) => {
      if (names.length > 1) printLine(io, `${index === 0 ? "" : "\n"}-- ${name} --`);
      return await printJournal(context, await existingUnit(context, name), selection);
    });
  },
};

async function followSeveral(context: Context): Promise<number> {
  const other = ["machine", "output"].find((name) => context.flags.given(name));
  if (other !== undefined) throw new UsageError(`--follow of several units cannot be combined with --${other}`);
  return await logs.run(context);
}

/** Prints the journal of one unit and returns the exit status. */
async function printJournal(context: Context, unit: UnitEntity, selection: JournalSelection): Promise<number> {
  const { io, flags } = context;
  const { name } = unit;
  const failed = rethrowAs(`Error retrieving unit ${name}`);
  const prefix = flags.text("machine");
  const machine = prefix === "" ? machineOf(context, unit) : (await machineByName(context, prefix).catch(failed)).id;
  const [output, follow] = [flags.text("output"), flags.on("follow")];
  const lines = lineLimit(context, selection);
  const read = { unit: name, machine, lines, output, follow, moves: prefix === "", selection };
  const { text, why } = await journalByApi(context, read).catch(failed);
  if (text) {
    try {
      for await (const piece of text) io.out(piece);
      return 0;
    } catch (error) {
      failed(error);
    }
  }
  return await runOnMachine(context, machine, [
    ...(flags.on("sudo") ? ["sudo"] : []),
    ...["journalctl", "--unit", await nameInSystemd(context, name), "--no-pager", "-n", `${lines}`, "--output", output],
    ...selectionArguments(selection),
    ...(follow ? ["-f"] : []),
  ], why);
}

/** Returns the ID of the only machine of a unit. Throws if there is none. */
function machineOf({ io }: Context, unit: UnitEntity): string {
  if (isGlobal(unit)) {
    printError(io, `Unable to retrieve journal of global unit ${unit.name}.`);
    throw new Error("Name one of its machines with --machine.");
  }
  if (unit.machineID && currentStateOf(unit) !== "inactive") return unit.machineID;
  throw new Error(`Unit ${unit.name} does not appear to be running.`);
}
