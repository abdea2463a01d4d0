import type { UnitEntity } from "../../daemon/api/v1/types.ts";
import { countFlag, switchFlag } from "../cli/argv.ts";
import { type Command, type Context, exitFailure } from "../cli/command.ts";
import { inParallel } from "../../runtime/parallel.ts";
import { findUnits, isGlobal } from "../units/set_state.ts";
import { printError, printLine, reasonOf } from "../terminal/port.ts";
import { type JournalEntry, parseJournalEntry, TimeOrder } from "../journal/merge.ts";
import { formatOf, outputFlag } from "../output/list.ts";
import { machineIdLegend } from "../machines/format.ts";
import { journalByApi } from "../journal/read.ts";
import {
  type JournalSelection,
  lineLimit,
  selectionArguments,
  selectionFlags,
  selectionOf,
} from "../journal/selection.ts";
import { linesOf } from "../output/lines.ts";
import { linesOnMachine, nameInSystemd, sshFlag } from "../machines/run_on.ts";
import { sshPortFlag } from "../machines/select.ts";
import { clockTime } from "../output/time.ts";

/** `fleetctl logs`: prints the journals of units merged by time. */
export const logs: Command = {
  name: "logs",
  units: { scope: "runnable units" },
  isNew: true,
  group: "observe",
  summary: "Print the merged journals of units",
  usage:
    "logs [-f|--follow] [-n|--lines=N] [--since=TIME] [--until=TIME] [--grep=PATTERN] [-o|--output=json] [--sudo] [--ssh] [--ssh-port=N] UNIT...",
  description: `Reads the journals of units on their machines and prints them merged by time. A global unit is read on
every machine that has it. Where the API cannot read a journal, journalctl is run by SSH.`,
  examples: [
    { title: "Follow several units", line: "fleetctl logs -f web@1 web@2 db" },
    { title: "Read the last 100 lines of each instance of a template", line: "fleetctl logs --lines=100 'web@*'" },
    { title: "Search the logs of the last hour", line: "fleetctl logs --since=1h --grep='error|denied' 'web@*'" },
    { title: "Read them with a program", line: "fleetctl logs --output=json 'web@*' | jq -r .message" },
  ],
  flags: [
    countFlag("lines", 10, "Print this many of the latest lines of each unit; all selected ones by default", "n"),
    ...selectionFlags,
    switchFlag("follow", "Print new lines as they come", "f"),
    outputFlag("FORMAT", "Print text, or json with one object a line", "text", ["text", "json"]),
    switchFlag("sudo", "Run journalctl with sudo"),
    sshFlag,
    sshPortFlag,
  ],
  async run(context) {
    const { io, flags } = context;
    // journal --follow of several units has the output modes of journalctl.
    const format = flags.text("output") === "short" ? "text" : formatOf(context, ["text", "json"]);
    const selection = selectionOf(context);
    const { sources, failed } = await findSources(context);
    if (sources.length === 0) return exitFailure;
    const names = sources.map(sourceName(sources));
    const width = Math.max(...names.map((name) => name.length));
    const order = new TimeOrder(names.length, io.now_ms());
    const print = () => {
      for (const { source, entry } of order.take(io.now_ms())) {
        if (format === "json") {
          printLine(io, jsonLine(sources[source] as Source, entry));
          continue;
        }
        const name = (names[source] as string).padEnd(width);
        // Every line of a message has its own prefix: none can pass for a line of another unit.
        for (const line of entry.message.split(/\r?\n/)) {
          printLine(io, `${clockTime(entry.wall_ms)} ${colored(context, source, name)} ${line}`);
        }
      }
    };
    const stop = new AbortController();
    // journalctl --grep prints the newest entry first, unless it follows.
    const isReversed = selection.grep !== undefined && !flags.on("follow");
    const printing = printRegularly(context, isReversed ? () => {} : print, stop.signal);
    const reading = readAll(context, sources, order, selection);
    // Printing continues until it is stopped, but it may fail before.
    const results = await Promise.race([reading, printing.then(() => reading)]);
    stop.abort();
    await printing;
    print();
    for (const result of results) if (result) printError(io, result);
    return failed || results.some((result) => result !== undefined) ? exitFailure : 0;
  },
};

/** A journal of one unit on one machine. */
interface Source {
  readonly unit: string;
  readonly machine: string;
  /** True if the unit may move to another machine, which a global unit does not. */
  readonly moves: boolean;
}

interface Sources {
  readonly sources: readonly Source[];
  /** True, after an error message, if a unit has no journal. */
  readonly failed: boolean;
}

/** Returns the journals of the units on their machines. A unit without a machine that only a pattern names is left out. */
async function findSources(context: Context): Promise<Sources> {
  const { io, matched } = context;
  const { units, missing, unknown } = await findUnits(context);
  const found = await inParallel(units, async (unit) => ({ unit, machines: await machinesOf(context, unit) }));
  const nowhere = found.filter(({ machines }) => machines.length === 0).map(({ unit }) => unit.name);
  const isAll = nowhere.length === units.length;
  const failed = nowhere.filter((name) => isAll || !matched.has(name));
  for (const name of failed) printError(io, `Unit ${name} does not appear to be running.`);
  return {
    sources: found.flatMap(({ unit, machines }) =>
      machines.map((machine) => ({ unit: unit.name, machine, moves: !isGlobal(unit) }))
    ),
    failed: missing + unknown + failed.length > 0,
  };
}

async function machinesOf({ client }: Context, unit: UnitEntity): Promise<string[]> {
  if (!isGlobal(unit)) return unit.machineID ? [unit.machineID] : [];
  return (await client.states(unit.name)).flatMap(({ machineID }) => machineID ? [machineID] : []);
}

/** Returns the function that names a journal: by its unit, and by its machine if the unit has several. */
function sourceName(sources: readonly Source[]): (source: Source) => string {
  return ({ unit, machine }) => {
    const alone = sources.filter((other) => other.unit === unit).length === 1;
    return alone ? unit : `${unit}@${machineIdLegend(machine, false)}`;
  };
}

/** Reads every journal; returns an error message, or undefined, for each. */
async function readAll(
  context: Context,
  sources: readonly Source[],
  order: TimeOrder,
  selection: JournalSelection,
): Promise<(string | undefined)[]> {
  const read = async (from: Source, source: number) => {
    try {
      for await (const line of await journalLines(context, from, selection)) {
        const entry = parseJournalEntry(line);
        if (entry) order.add(source, entry, context.io.now_ms());
      }
      return undefined;
    } catch (error) {
      return `Unable to read the journal of ${from.unit} on ${machineIdLegend(from.machine, false)}: ${
        reasonOf(error)
      }`;
    } finally {
      order.end(source);
    }
  };
  // Journals that are followed never end: all must be read together.
  return context.flags.on("follow") ? await Promise.all(sources.map(read)) : await inParallel(sources, read);
}

/** Returns the journal of a unit on a machine, one JSON object a line. */
async function journalLines(
  context: Context,
  { unit, machine, moves }: Source,
  selection: JournalSelection,
): Promise<AsyncIterable<string>> {
  const { flags } = context;
  const follow = flags.on("follow");
  const lines = lineLimit(context, selection);
  const { text, why } = await journalByApi(context, { unit, machine, lines, output: "json", follow, moves, selection });
  if (text) return linesOf(text);
  return linesOnMachine(context, machine, [
    ...(flags.on("sudo") ? ["sudo"] : []),
    ...["journalctl", "--unit", await nameInSystemd(context, unit)],
    ...["--no-pager", "--quiet", "--output", "json", "-n", `${lines}`],
    ...selectionArguments(selection),
    ...(follow ? ["-f"] : []),
  ], why);
}

/** Returns an entry as JSON. A followed unit may have moved: the entry itself names its machine. */
function jsonLine(source: Source, { wall_ms, message, machine = source.machine }: JournalEntry): string {
  return JSON.stringify({ time: new Date(wall_ms).toISOString(), unit: source.unit, machine, message });
}

/** Interval at which entries are printed; younger entries may still be preceded by others. */
const print_ms = 100;

async function printRegularly(context: Context, print: () => void, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await context.io.sleep(print_ms, signal);
    if (!signal.aborted) print();
  }
}

/** Colors that can be read on dark and on light backgrounds (ECMA-48, SGR). */
const colors = [36, 33, 32, 35, 34, 31];

function colored({ io }: Context, source: number, text: string): string {
  return io.color ? `\x1b[${colors[source % colors.length]}m${text}\x1b[0m` : text;
}
