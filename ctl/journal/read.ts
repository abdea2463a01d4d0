/**
 * Reads a unit's journal by the API. A journal that is followed is requested again when a response ends.
 *
 * @module
 */

import { ApiError, type UnitReport, UnreachableError } from "../api/client.ts";
import type { Context } from "../cli/command.ts";
import { reasonOf } from "../terminal/port.ts";
import { isReadLocally } from "../machines/local_units.ts";
import { machineIdLegend } from "../machines/format.ts";
import { type JournalSelection, selectionQuery } from "./selection.ts";

/** Parameters of reading a journal. */
export interface JournalRead {
  readonly unit: string;
  /** ID of the machine to read it on. */
  readonly machine: string;
  /** Number of the latest lines to start with. */
  readonly lines: number;
  /** Output format of journalctl(1). */
  readonly output: string;
  readonly follow: boolean;
  /** The entries to read; all of them by default. */
  readonly selection?: JournalSelection;
  /** True if the unit is placed on that machine: a journal that is followed continues on the machine that the unit moves to. */
  readonly moves: boolean;
}

/** Pause before a journal is requested again. */
const retry_ms = 500;

/**
 * A response that ends empty within `short_ms` will probably end so again: the pause before the next request, and so
 * between warnings, doubles up to `most_ms`.
 */
const emptyResponse = { short_ms: 30_000, most_ms: 60_000 } as const;

/**
 * Returns the journal in chunks of text. If it must be read on the machine itself, returns `why` instead: "" if that is
 * this machine or a flag requests it, else the reason why the API cannot provide it. If the server ends a journal that is
 * followed, for example because it restarts or the machine is gone, the journal is requested again for new entries.
 */
export async function journalByApi(context: Context, read: JournalRead): Promise<UnitReport<AsyncIterable<string>>> {
  const { flags } = context;
  if (flags.on("ssh") || flags.on("sudo") || await isReadLocally(context, read.machine)) return { why: "" };
  const { text, why } = await request(context, read);
  return text ? { text: chunks(context, read, text) } : { why };
}

function request({ client }: Context, { unit, machine, lines, output, follow, selection = {} }: JournalRead) {
  const query = {
    ...{ machineID: machine, lines: `${lines}`, output },
    ...(follow ? { follow: "true" } : {}),
    ...selectionQuery(selection),
  };
  return client.unitReport(unit, "journal", query);
}

async function* chunks(
  context: Context,
  read: JournalRead,
  first: ReadableStream<Uint8Array>,
): AsyncGenerator<string> {
  const { io } = context;
  let pause_ms = retry_ms;
  for (let current: Reading = { body: first, machine: read.machine };;) {
    const began_ms = io.now_ms();
    let isEmpty = true;
    try {
      for await (
        const text of current.body.pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>)
      ) {
        isEmpty = false;
        yield text;
      }
      if (!read.follow) return;
    } catch (error) {
      if (!read.follow || !isBroken(error)) throw error;
      io.log("DEBUG", `the journal of ${read.unit} was cut off: ${reasonOf(error)}`);
    }
    const { endpoint } = context.client;
    io.log("WARN", `${endpoint} ended the journal of ${read.unit}; continuing with new entries`);
    const isShort = isEmpty && io.now_ms() - began_ms < emptyResponse.short_ms;
    pause_ms = isShort ? Math.min(emptyResponse.most_ms, 2 * pause_ms) : retry_ms;
    await io.sleep(pause_ms - retry_ms);
    current = await requestUntilAnswered(context, read, current);
  }
}

/** True for errors of a body that was cut off: `fetch` throws a TypeError. */
function isBroken(error: unknown): boolean {
  return error instanceof TypeError || error instanceof UnreachableError;
}

/** A response that is being read. */
interface Reading {
  readonly body: ReadableStream<Uint8Array>;
  /** ID of the machine that it comes from. */
  readonly machine: string;
}

/** Requests a journal again until the API provides it, or the user presses ^C. Throws a permanent refusal of the API. */
async function requestUntilAnswered(context: Context, read: JournalRead, last: Reading): Promise<Reading> {
  const { client, io } = context;
  for (;;) {
    await io.sleepAtRandom(retry_ms);
    try {
      const machine = read.moves ? await machineOf(context, read.unit, last.machine) : last.machine;
      if (machine === undefined) continue;
      const isOther = machine !== last.machine;
      const { text: body } = await request(context, { ...read, machine, lines: isOther ? read.lines : 0 });
      if (!body) continue;
      if (isOther) io.log("WARN", `${read.unit} is now on ${machineIdLegend(machine, false)}`);
      return { body, machine };
    } catch (error) {
      const isTemporary = error instanceof UnreachableError || (error instanceof ApiError && error.code >= 500);
      if (!isTemporary) throw error;
      io.log("DEBUG", `${client.endpoint} cannot provide the journal of ${read.unit} yet: ${reasonOf(error)}`);
    }
  }
}

/** Returns the ID of a unit's machine, or `before` if it has none; undefined while that machine is not in the cluster. */
async function machineOf({ client }: Context, name: string, before: string): Promise<string | undefined> {
  const unit = await client.unit(name);
  if (!unit) throw new Error(`unit ${name} no longer exists`);
  const machine = unit.machineID ?? before;
  return (await client.machines()).some(({ id }) => id === machine) ? machine : undefined;
}
