/**
 * A unit's journal as the API tells it, also beyond the end of one answer when it is followed.
 *
 * @module
 */

import { ApiError, type UnitReport, UnreachableError } from "../api/client.ts";
import type { Context } from "../cli/command.ts";
import { reasonOf } from "../terminal/port.ts";
import { isReadHere } from "../machines/local_units.ts";
import { machineIdLegend } from "../machines/format.ts";

/** What to read. */
export interface JournalRead {
  readonly unit: string;
  /** ID of the machine to read it on. */
  readonly machine: string;
  /** How many of the latest lines come first. */
  readonly lines: number;
  /** As journalctl(1) has it. */
  readonly output: string;
  readonly follow: boolean;
  /** It is that machine because the unit is placed there: where it is followed, and the unit moves, it is read there. */
  readonly moves: boolean;
}

/** How long to wait before asking again. */
const again_ms = 500;

/**
 * A journal that ends with nothing said, and within `short_ms`, will probably do so again: it is asked for later each
 * time, at most after `most_ms`, and so is the warning.
 */
const ended = { short_ms: 30_000, most_ms: 60_000 } as const;

/**
 * The journal, in pieces of text as they come, or why it is to be read on the machine itself: "" if that is this one or
 * a flag wants it so, else why the API cannot tell. Where the server ends a journal that is followed, because it restarts or the
 * machine has gone for example, it is asked again for what is new from then on.
 */
export async function journalByApi(context: Context, read: JournalRead): Promise<UnitReport<AsyncIterable<string>>> {
  const { flags } = context;
  if (flags.on("ssh") || flags.on("sudo") || await isReadHere(context, read.machine)) return { why: "" };
  const { text, why } = await ask(context, read);
  return text ? { text: pieces(context, read, text) } : { why };
}

function ask({ client }: Context, { unit, machine, lines, output, follow }: JournalRead) {
  const query = { machineID: machine, lines: `${lines}`, output, ...(follow ? { follow: "true" } : {}) };
  return client.unitReport(unit, "journal", query);
}

async function* pieces(
  context: Context,
  read: JournalRead,
  first: ReadableStream<Uint8Array>,
): AsyncGenerator<string> {
  const { io } = context;
  let pause_ms = again_ms;
  for (let now: Reading = { body: first, machine: read.machine };;) {
    const begun_ms = io.now_ms();
    let isEmpty = true;
    try {
      for await (const text of now.body.pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>)) {
        isEmpty = false;
        yield text;
      }
      if (!read.follow) return;
    } catch (error) {
      if (!read.follow || !isBroken(error)) throw error;
      io.log("DEBUG", `the journal of ${read.unit} broke off: ${reasonOf(error)}`);
    }
    const { endpoint } = context.client;
    io.log("WARN", `${endpoint} ended the journal of ${read.unit}; going on with what comes from now on`);
    const isShort = isEmpty && io.now_ms() - begun_ms < ended.short_ms;
    pause_ms = isShort ? Math.min(ended.most_ms, 2 * pause_ms) : again_ms;
    await io.sleep(pause_ms - again_ms);
    now = await askUntilTold(context, read, now);
  }
}

/** fetch throws a TypeError when a body breaks off. */
function isBroken(error: unknown): boolean {
  return error instanceof TypeError || error instanceof UnreachableError;
}

/** A journal that is being read. */
interface Reading {
  readonly body: ReadableStream<Uint8Array>;
  /** The machine it comes from. */
  readonly machine: string;
}

/** Asks until there is an answer: who follows wants to, until they say ^C. Throws what the API refuses for good. */
async function askUntilTold(context: Context, read: JournalRead, last: Reading): Promise<Reading> {
  const { client, io } = context;
  for (;;) {
    await io.sleep(again_ms);
    try {
      const machine = read.moves ? await placeOf(context, read.unit, last.machine) : last.machine;
      if (machine === undefined) continue;
      const isOther = machine !== last.machine;
      const { text: body } = await ask(context, { ...read, machine, lines: isOther ? read.lines : 0 });
      if (!body) continue;
      if (isOther) io.log("WARN", `${read.unit} is now on ${machineIdLegend(machine, false)}`);
      return { body, machine };
    } catch (error) {
      const isAway = error instanceof UnreachableError || (error instanceof ApiError && error.code >= 500);
      if (!isAway) throw error;
      io.log("DEBUG", `no journal of ${read.unit} from ${client.endpoint} yet: ${reasonOf(error)}`);
    }
  }
}

/** The machine that a unit is on, `before` if it is on none; undefined while that machine is not there. */
async function placeOf({ client }: Context, name: string, before: string): Promise<string | undefined> {
  const unit = await client.unit(name);
  if (!unit) throw new Error(`unit ${name} does not exist any more`);
  const machine = unit.machineID ?? before;
  return (await client.machines()).some(({ id }) => id === machine) ? machine : undefined;
}
