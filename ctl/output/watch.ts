/**
 * Lists of the cluster, printed once or, with `--watch`, again after each event of the cluster that may have changed them
 * (docs/internals/adr/0016-watched-lists-are-read-again.md).
 *
 * @module
 */

import { Notifier } from "../../runtime/notifier.ts";
import { isRefusal } from "../api/refusal.ts";
import { stopWhenSilent } from "../api/sse.ts";
import { type FlagSpec, switchFlag } from "../cli/argv.ts";
import { type Context, exitFailure } from "../cli/command.ts";
import { MachineCache } from "../machines/cache.ts";
import { type Io, printError, printLine, ReaderGoneError, reasonOf } from "../terminal/port.ts";
import { expandPatterns, type PatternScope } from "../units/select.ts";
import {
  cellsOf,
  documentText,
  keyOf,
  type List,
  listFlags,
  type ListView,
  listView,
  objectOf,
  printList,
  tableLines,
} from "./list.ts";

/** A list that is read from the cluster. */
export interface ClusterList<Row> extends List<Row> {
  /** The kinds of events after which the list may be another one. */
  readonly kinds: readonly string[];
  /** The units that a pattern among the arguments selects, for a list whose arguments are units. */
  readonly scope?: PatternScope;
  /** Reads the rows; `needed` holds the columns whose values are used. */
  read(context: Context, needed: ReadonlySet<string>): Promise<ListRows<Row>>;
}

/** The rows of a list. */
export interface ListRows<Row> {
  readonly rows: readonly Row[];
  /** The exit status of the command: not 0, after an error message, if a part of the list could not be read. */
  readonly status: number;
}

/** Flags of a command that prints a list of the cluster. */
export function clusterListFlags<Row>(list: List<Row>): FlagSpec[] {
  return [...listFlags(list), switchFlag("watch", "Print what has changed, as it changes", "w")];
}

/** Prints a list as the flags say, and returns the exit status. */
export async function runList<Row>(context: Context, list: ClusterList<Row>): Promise<number> {
  const view = listView(context, list);
  if (context.flags.on("watch")) return await watch(context, list, view);
  const { rows, status } = await list.read(context, view.needed);
  await printList(context, view, rows);
  return status;
}

/** Delay before a stream that has ended is opened again. */
const retry_ms = 500;

/** Time for which events are gathered, so that a change of many rows is read and drawn once. */
const gather_ms = 100;

/** Prints a list now and after each change until the user ends the program. */
async function watch<Row>(context: Context, list: ClusterList<Row>, view: ListView<Row>): Promise<number> {
  const show = context.io.screen && ["table", "wide", "custom-columns"].includes(view.format)
    ? drawing(context, view)
    : printing(context, view);
  return await repeatAtChanges(context, list.kinds, async (isFirst) => {
    const current = isFirst ? context : await readAgain(context, list.scope);
    await show((await list.read(current, view.needed)).rows);
  });
}

/**
 * Calls `refresh` once the event stream has begun, and again after events of these kinds, or of any kind without `kinds`,
 * until the user ends the program. Returns the exit status if the server has no stream. Throws the first error of `refresh`
 * and a refusal of the server; other errors are logged.
 */
export async function repeatAtChanges(
  context: Context,
  kinds: readonly string[],
  refresh: (isFirst: boolean) => Promise<void>,
): Promise<number> {
  const { io } = context;
  const changes = new Notifier();
  const end = new AbortController();
  const repeat = async () => {
    let isFirst = true;
    while (!end.signal.aborted) {
      await changes.waitPast(0, end.signal);
      if (end.signal.aborted) break;
      const seen = changes.count;
      const began_ms = io.now_ms();
      try {
        await refresh(isFirst);
        isFirst = false;
      } catch (error) {
        if (isFirst || error instanceof ReaderGoneError || isRefusal(error)) throw error;
        io.log("WARN", `${reasonOf(error)}; trying again`);
        await io.sleepAtRandom(retry_ms, end.signal);
        continue;
      }
      // A long list is read for at most half of the time.
      const duration_ms = io.now_ms() - began_ms;
      await changes.waitPast(seen, end.signal);
      await io.sleep(Math.max(gather_ms, duration_ms), end.signal);
    }
    return 0;
  };
  try {
    return await Promise.race([followChanges(context, kinds, changes, end.signal), repeat()]);
  } finally {
    end.abort();
  }
}

/** Notifies `changes` once the event stream has begun, and then of each event. Ends only if the server has no stream. */
async function followChanges(
  { client, io }: Context,
  kinds: readonly string[],
  changes: Notifier,
  signal: AbortSignal,
): Promise<number> {
  const query = new URLSearchParams(kinds.map((kind) => ["kind", kind])).toString();
  let hasBegun = false;
  while (!signal.aborted) {
    const end = new AbortController();
    const stop = () => end.abort();
    signal.addEventListener("abort", stop, { once: true });
    try {
      const stream = await client.follow(query, end.signal);
      if (!stream) {
        printError(io, `${client.endpoint} does not support events, which --watch needs`);
        return exitFailure;
      }
      let isSynced = false;
      for await (const { event } of stopWhenSilent(stream, (ms, until) => io.sleep(ms, until), stop)) {
        if (event === "synced") isSynced = hasBegun = true;
        if (isSynced && event !== "") changes.notify();
      }
      if (!signal.aborted) io.log("WARN", `${client.endpoint} ended the stream; continuing`);
    } catch (error) {
      if (!hasBegun || isRefusal(error)) throw error;
      io.log("WARN", `${reasonOf(error)}; trying again`);
    } finally {
      signal.removeEventListener("abort", stop);
    }
    await io.sleepAtRandom(retry_ms, signal);
  }
  return 0;
}

/**
 * Returns the context of another reading: a pattern then also selects units that are new, machines are requested again, and
 * what is wrong with an argument has been printed before.
 */
async function readAgain(context: Context, scope: PatternScope | undefined): Promise<Context> {
  const { client, words } = context;
  const { args, matched } = await expandPatterns(words, client, scope);
  const io: Io = Object.create(context.io, { err: { value: () => {} }, line: { value: () => {} } });
  return { ...context, io, args, matched, machines: new MachineCache(client, io) };
}

/** Draws the whole table in place of the last one. */
function drawing<Row>(context: Context, view: ListView<Row>): (rows: readonly Row[]) => void {
  return (rows) => context.io.redraw(tableLines(context, view, view.select(rows)));
}

/** Printed in the columns of a row that is gone, except in those that identify it. */
const gone = "gone";

/** Prints the list and then the rows that are new or have changed; a row that is gone is printed a last time. */
function printing<Row>(context: Context, view: ListView<Row>): (rows: readonly Row[]) => Promise<void> {
  let before: ReadonlyMap<string, { readonly row: Row; readonly text: string }> | undefined;
  return async (rows) => {
    const textOf = (row: Row) => JSON.stringify([objectOf(view, row), cellsOf(context, view, row)]);
    const now = new Map(view.select(rows).map((row) => [keyOf(view, row), { row, text: textOf(row) }]));
    const changed = [...now].filter(([key, { text }]) => before?.get(key)?.text !== text).map(([, { row }]) => row);
    const removed = [...before ?? []].filter(([key]) => !now.has(key)).map(([, { row }]) => row);
    const isFirst = before === undefined;
    before = now;
    await printRows(context, view, isFirst, { changed, removed, all: [...now.values()].map(({ row }) => row) });
  };
}

interface Changes<Row> {
  readonly all: readonly Row[];
  readonly changed: readonly Row[];
  readonly removed: readonly Row[];
}

async function printRows<Row>(
  context: Context,
  view: ListView<Row>,
  isFirst: boolean,
  { all, changed, removed }: Changes<Row>,
): Promise<void> {
  const { io, flags } = context;
  const { format, fields, list: { key } } = view;
  const isKey = (field: string) => key.includes(field);
  if (format === "json" || format === "yaml") {
    const objects = [
      ...changed.map((row) => objectOf(view, row)),
      ...removed.map((row) => ({ ...objectOf(view, row), gone: true })),
    ];
    for (const object of objects) {
      if (format === "json") printLine(io, JSON.stringify(object));
      else io.out("---\n" + await documentText(object, "yaml"));
    }
    return;
  }
  if (format === "jsonpath") return await printList(context, view, changed);
  // The lines of all rows, so that the columns of the changed ones stand below those of the others.
  const lines = tableLines(context, { ...view, select: (rows) => rows }, all);
  const headers = format === "name" || flags.on("no-legend") ? 0 : 1;
  if (isFirst) { for (const line of lines.slice(0, headers)) printLine(io, line); }
  for (const row of changed) printLine(io, lines[headers + all.indexOf(row)] ?? "");
  if (format === "name") return;
  for (const row of removed) {
    const cells = cellsOf(context, view, row);
    const paths = format === "custom-columns" ? view.custom.map(({ path }) => path[0] as string) : fields;
    printLine(io, cells.map((cell, at) => isKey(paths[at]!) ? cell : gone).join("\t"));
  }
}
