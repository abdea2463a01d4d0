import { mangleUnitName } from "../../systemd/unit_name.ts";
import { type Command, type Context, exitFailure } from "../command.ts";
import { inParallel } from "../concurrency.ts";
import { isGlobal, noUnitsGiven } from "../desired_state.ts";
import { complain, reasonOf, say } from "../io.ts";
import { parseJournalEntry, TimeOrder } from "../journal_lines.ts";
import { machineIdLegend } from "../machines.ts";
import { journalByApi, linesOf } from "../journal_text.ts";
import { linesOnMachine, sshFlag } from "../on_machine.ts";
import { sshPortFlag } from "../ssh_target.ts";
import { clockTime } from "../time_text.ts";

/** `fleetctl logs`: the journals of several units as one. */
export const logs: Command = {
  name: "logs",
  takesUnits: true,
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
    if (context.args.length === 0) return noUnitsGiven(context);
    const sources = await findSources(context);
    if (!sources) return exitFailure;
    const names = sources.map(sourceName(sources));
    const width = Math.max(...names.map((name) => name.length));
    const order = new TimeOrder(names.length, context.io.now_ms());
    const print = () => {
      for (const { source, entry } of order.take(context.io.now_ms())) {
        const name = (names[source] as string).padEnd(width);
        say(context.io, `${clockTime(entry.wall_ms)} ${coloured(context, source, name)} ${entry.message}`);
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
    return results.some((result) => result !== undefined) ? exitFailure : 0;
  },
};

/** A journal that is read. */
interface Source {
  readonly unit: string;
  readonly machine: string;
  /** It is there because it is placed there: a global unit is on many. */
  readonly moves: boolean;
}

async function findSources(context: Context): Promise<Source[] | undefined> {
  const { client, io } = context;
  const sources: Source[] = [];
  for (const name of new Set(context.args.map(mangleUnitName))) {
    const unit = await client.unit(name);
    if (!unit) {
      complain(io, `Unit ${name} does not exist.`);
      return undefined;
    }
    const ids = isGlobal(unit)
      ? (await client.states(name)).flatMap(({ machineID }) => machineID ? [machineID] : [])
      : unit.machineID
      ? [unit.machineID]
      : [];
    if (ids.length === 0) {
      complain(io, `Unit ${name} does not appear to be running.`);
      return undefined;
    }
    for (const machine of ids) sources.push({ unit: name, machine, moves: !isGlobal(unit) });
  }
  return sources;
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
  const text = await journalByApi(context, { unit, machine, lines, output: "json", follow, moves });
  if (text) return linesOf(text);
  return linesOnMachine(context, machine, [
    ...(flags.on("sudo") ? ["sudo"] : []),
    ...["journalctl", "--unit", unit, "--no-pager", "--quiet", "--output", "json", "-n", `${lines}`],
    ...(follow ? ["-f"] : []),
  ]);
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
  return io.colour ? `\x1b[${colours[source % colours.length]}m${text}\x1b[0m` : text;
}
