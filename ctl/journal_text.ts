/**
 * A unit's journal as the API tells it, also beyond the end of one answer when it is followed.
 *
 * @module
 */

import { ApiError, UnreachableError } from "./api.ts";
import type { Context } from "./command.ts";
import { reasonOf } from "./io.ts";

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
}

/** How long to wait before asking again. */
const again_ms = 500;

/**
 * The journal, in pieces of text as they come; undefined if it is to be read on the machine itself: that is this one, a
 * flag wants it so, or the API cannot tell. Where the server ends a journal that is followed, because it restarts for
 * example, it is asked again for what is new from then on.
 */
export async function journalByApi(context: Context, read: JournalRead): Promise<AsyncIterable<string> | undefined> {
  const { flags, hosts } = context;
  if (flags.on("ssh") || flags.on("sudo") || read.machine === await hosts.localMachineId()) return undefined;
  const body = await ask(context, read);
  return body && pieces(context, read, body);
}

function ask({ client }: Context, { unit, machine, lines, output, follow }: JournalRead) {
  const query = { machineID: machine, lines: `${lines}`, output, ...(follow ? { follow: "true" } : {}) };
  return client.said(unit, "journal", query);
}

async function* pieces(
  context: Context,
  read: JournalRead,
  first: ReadableStream<Uint8Array>,
): AsyncGenerator<string> {
  for (let body: ReadableStream<Uint8Array> | undefined = first;; body = await askUntilTold(context, read)) {
    try {
      yield* body.pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>);
      if (!read.follow) return;
    } catch (error) {
      if (!read.follow || !isBroken(error)) throw error;
      context.io.log("DEBUG", `the journal of ${read.unit} broke off: ${reasonOf(error)}`);
    }
    const { endpoint } = context.client;
    context.io.log("WARN", `${endpoint} ended the journal of ${read.unit}; going on with what comes from now on`);
  }
}

/** fetch throws a TypeError when a body breaks off. */
function isBroken(error: unknown): boolean {
  return error instanceof TypeError || error instanceof UnreachableError;
}

/** Asks until there is an answer: who follows wants to, until they say ^C. Throws what the API refuses for good. */
async function askUntilTold(context: Context, read: JournalRead): Promise<ReadableStream<Uint8Array>> {
  for (;;) {
    await context.io.sleep(again_ms);
    try {
      const body = await ask(context, { ...read, lines: 0 });
      if (body) return body;
    } catch (error) {
      const isAway = error instanceof UnreachableError || (error instanceof ApiError && error.code >= 500);
      if (!isAway) throw error;
      context.io.log("DEBUG", `no journal of ${read.unit} yet: ${reasonOf(error)}`);
    }
  }
}

/** Puts pieces of text together to lines, without their ends; what is behind the last end is a line too. */
export async function* linesOf(text: AsyncIterable<string>): AsyncGenerator<string> {
  let rest = "";
  for await (const piece of text) {
    const lines = (rest + piece).split("\n");
    rest = lines.pop() as string;
    yield* lines;
  }
  if (rest !== "") yield rest;
}
