import type { UnitEntity } from "../../daemon/api/v1/types.ts";
import { type Command, type Context, exitFailure } from "../cli/command.ts";
import { inParallel } from "../../runtime/parallel.ts";
import { findUnits, isGlobal, noUnitsGiven } from "../units/set_state.ts";
import { complain, reasonOf, say } from "../terminal/port.ts";
import { parseJournalEntry, TimeOrder } from "../journal/merge.ts";
import { machineIdLegend } from "../machines/format.ts";
import { journalByApi } from "../journal/read.ts";
import { linesOf } from "../output/lines.ts";
import { linesOnMachine, sshFlag } from "../machines/run_on.ts";
import { sshPortFlag } from "../machines/select.ts";
import { clockTime } from "../output/time.ts";

/** `fleetctl logs`: the journals of several units as one. */
export const logs: Command = {
  name: "logs",
  units: { scope: "what can run" },
  isNew: true,
  summary: "Print the journals of units, merged in the order of time",
  usage: "logs [-f|--follow] [--lines=N] [--sudo] [--ssh] [--ssh-port=N] UNIT...",
  description: `Reads the journals of units, wherever they are, and prints them as one. A global unit
is read on every machine that has it, by the API or, where that cannot tell, by SSH.

fleetctl logs -f web@1 web@2 db`,
  flags: [
    { name: "lines", kind: "count", fallback: 10, help: "How many of the latest lines to print of each unit" },
    { name: "follow", kind: "switch", fallback: false, letter: "f", help: "Go on with new lines as they come" },
    { name: "sudo", kind: "switch", fallback: false, help: "Run journalctl by sudo" },
    sshFlag,
    sshPortFlag,
  ],
  async run(context) {
    if (context.args.length === 0) throw noUnitsGiven();
    const { sources, failed } = await findSources(context);
    if (sources.length === 0) return exitFailure;
    const names = sources.map(sourceName(sources));
    const width = Math.max(...names.map((name) => name.length));
    const order = new TimeOrder(names.length, context.io.now_ms());
    const print = () => {
      for (const { source, entry } of order.take(context.io.now_ms())) {
        const name = (names[source] as string).padEnd(width);
        // Every line of a message has its own prefix: none can pass for a line of another unit.
        for (const line of entry.message.split(/\r?\n/)) {
          say(context.io, `${clockTime(entry.wall_ms)} ${coloured(context, source, name)} ${line}`);
        }
      }
    };
    const stop = new AbortController();
    const printing = printRegularly(context, print, stop.signal);
    const reading = inTurnOrTogether(context, sources, order);
    // Printing goes on until it is stopped, but it may fail before.
    const results = await Promise.race([reading, printing.then(() => reading)]);
    stop.abort();
    await printing;
    print();
    for (const result of results) if (result) complain(context.io, result);
    return failed || results.some((result) => result !== undefined) ? exitFailure : 0;
  },
};

/** A journal that is read. */
interface Source {
  readonly unit: string;
  readonly machine: string;
  /** It is there because it is placed there: a global unit is on many. */
  readonly moves: boolean;
}

interface Sources {
  readonly sources: readonly Source[];
  /** True if a unit has none, which has been said. */
  readonly failed: boolean;
}

/** The journals of the units, wherever they are. A unit that only a pattern names and that is nowhere is left out. */
async function findSources(context: Context): Promise<Sources> {
  const { io, matched } = context;
  const { units, missing, unknown } = await findUnits(context);
  const found = await inParallel(units, async (unit) => ({ unit, machines: await machinesOf(context, unit) }));
  const nowhere = found.filter(({ machines }) => machines.length === 0).map(({ unit }) => unit.name);
  const isAll = nowhere.length === units.length;
  const failed = nowhere.filter((name) => isAll || !matched.has(name));
  for (const name of failed) complain(io, `Unit ${name} does not appear to be running.`);
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

/** The unit's name, with its machine where another has it too. */
function sourceName(sources: readonly Source[]): (source: Source) => string {
  return ({ unit, machine }) => {
    const alone = sources.filter((other) => other.unit === unit).length === 1;
    return alone ? unit : `${unit}@${machineIdLegend(machine, false)}`;
  };
}

/** Reads every journal; returns, for each, why it could not be read. */
async function inTurnOrTogether(
  context: Context,
  sources: readonly Source[],
  order: TimeOrder,
): Promise<(string | undefined)[]> {
  const read = async (from: Source, source: number) => {
    try {
      for await (const line of await journalLines(context, from)) {
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
  // Those that follow never end: all must be under way together.
  return context.flags.on("follow") ? await Promise.all(sources.map(read)) : await inParallel(sources, read);
}

/** A unit's journal on a machine, an object of JSON a line. */
async function journalLines(context: Context, { unit, machine, moves }: Source): Promise<AsyncIterable<string>> {
  const { flags } = context;
  const [lines, follow] = [flags.number("lines"), flags.on("follow")];
  const { text, why } = await journalByApi(context, { unit, machine, lines, output: "json", follow, moves });
  if (text) return linesOf(text);
  return linesOnMachine(context, machine, [
    ...(flags.on("sudo") ? ["sudo"] : []),
    ...["journalctl", "--unit", unit, "--no-pager", "--quiet", "--output", "json", "-n", `${lines}`],
    ...(follow ? ["-f"] : []),
  ], why);
}

/** How often to look whether something can be printed: what is newer than that may still be overtaken. */
const look_ms = 100;

async function printRegularly(context: Context, print: () => void, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await context.io.sleep(look_ms, signal);
    if (!signal.aborted) print();
  }
}

/** Colours that are told apart on dark and on light grounds (ECMA-48, SGR). */
const colours = [36, 33, 32, 35, 34, 31];

function coloured({ io }: Context, source: number, text: string): string {
  return io.color ? `\x1b[${colours[source % colours.length]}m${text}\x1b[0m` : text;
}
