/**
 * `fleetctl top`: measures, and prints or draws.
 *
 * @module
 */

import type { UsageEntity } from "../../daemon/api/v1/types.ts";
import { UsageError } from "../cli/argv.ts";
import { onceAborted } from "../../runtime/on_abort.ts";
import type { Context } from "../cli/command.ts";
import { machineIdLegend } from "../machines/format.ts";
import { type List, type ListView, listView, printList, tableLines } from "../output/list.ts";
import { printError, printLine, reasonOf } from "../terminal/port.ts";
import { machineList, unitList } from "./lists.ts";
import { machineRows, unitRows } from "./rows.ts";

type Subject = "units" | "machines";

/** Keys that sort the table, with the order that each asks for. */
const sortKeys: Readonly<Record<string, string>> = {
  ...{ c: "cpu:desc", m: "memory:desc", t: "tasks:desc", r: "read:desc", w: "written:desc" },
};

/** Prints tables, or draws them on a terminal until the user ends it. Returns the exit status. */
export async function showTop(context: Context, subject: Subject): Promise<number> {
  const { flags, io } = context;
  if (flags.number("interval") === 0) throw new UsageError("--interval must be longer than 0");
  const isLive = io.screen !== undefined && ["table", "wide"].includes(flags.text("output"));
  return isLive ? await drawTables(context, subject) : await printTables(context, subject);
}

/** The latest measurement, and the one before it. */
interface Measured {
  readonly usage: UsageEntity;
  readonly earlier?: UsageEntity;
}

/** Reads the flags for one of the lists. */
function viewOf<Row>(context: Context, list: List<Row>, sort: string): ListView<Row> {
  const { flags } = context;
  return listView({
    ...context,
    flags: flags.with(
      new Map([
        ["fields", flags.text("fields") || list.defaultFields],
        ["sort", sort],
      ]),
    ),
  }, list);
}

/** A table as text, and as it is printed in the format of `--output`. */
interface Table {
  lines(): string[];
  print(): Promise<void>;
}

function tableOf(context: Context, subject: Subject, sort: string, { usage, earlier }: Measured): Table {
  const of = <Row>(list: List<Row>, rows: readonly Row[]): Table => {
    const view = viewOf(context, list, sort);
    return {
      lines: () => tableLines(context, view, view.select(rows)),
      print: () => printList(context, view, rows),
    };
  };
  return subject === "units" ? of(unitList, unitRows(usage, earlier)) : of(machineList, machineRows(usage, earlier));
}

/** Returns a line for each machine that has not answered. */
function silentMachines({ machines }: UsageEntity): string[] {
  return machines.filter(({ error }) => error !== undefined)
    .map(({ machineID, error }) => `Machine ${machineIdLegend(machineID, false)}: ${error}`);
}

/** The order that the flags ask for. */
const orderOf = ({ flags }: Context) => flags.given("sort") ? flags.text("sort") : "cpu:desc";

async function printTables(context: Context, subject: Subject): Promise<number> {
  const { client, flags, io } = context;
  let earlier = await client.usage(true);
  let status = 0;
  // Wrong flags are reported before anything is awaited.
  tableOf(context, subject, orderOf(context), { usage: earlier });
  for (let left = flags.number("iterations") || 1; left > 0; left--) {
    await io.sleep(1000 * flags.number("interval"));
    const usage = await client.usage(true);
    await tableOf(context, subject, orderOf(context), { usage, earlier }).print();
    const silent = silentMachines(usage);
    for (const line of silent) printError(io, line);
    if (silent.length > 0) status = 1;
    if (left > 1 && flags.text("output") === "table") printLine(io, "");
    earlier = usage;
  }
  return status;
}

async function drawTables(context: Context, first: Subject): Promise<number> {
  const { client, flags, io } = context;
  let shown = { subject: first, sort: orderOf(context) };
  let measured: Measured = { usage: await client.usage(true) };
  let problem: string | undefined;
  const draw = () => {
    const { subject, sort } = shown;
    const { machines } = measured.usage;
    io.redraw([
      `${machines.length} machines, sorted by ${sort.split(":")[0]}  ` +
      `(c m t r w n: sort, Tab: ${subject === "units" ? "machines" : "units"}, q: quit)`,
      ...tableOf(context, subject, sort, measured).lines(),
      ...silentMachines(measured.usage),
      ...problem === undefined ? [] : [problem],
    ]);
  };
  draw();
  const end = new AbortController();
  const stopKeys = io.onKey((key) => {
    if (key === "q" || key === "\x03") return end.abort();
    const next = afterKey(shown, key);
    if (next === undefined) return;
    const before = shown;
    try {
      shown = next;
      draw();
    } catch (error) {
      // The other list has no such column.
      [shown, problem] = [before, reasonOf(error)];
      draw();
    }
  });
  try {
    for (let left = (flags.number("iterations") || Infinity) - 1; left > 0; left--) {
      await io.sleep(1000 * flags.number("interval"), end.signal);
      const { usage: earlier } = measured;
      const next = client.usage(true).then((usage) => ({ usage, earlier }), reasonOf);
      let stopWaiting = () => {};
      const ended = new Promise<undefined>((resolve) => {
        stopWaiting = onceAborted([end.signal], () => resolve(undefined));
      });
      const result = await Promise.race([next, ended]);
      stopWaiting();
      if (result === undefined) break;
      if (typeof result === "string") problem = result;
      else [measured, problem] = [result, undefined];
      draw();
    }
    return 0;
  } finally {
    stopKeys();
  }
}

/** Returns the table and its order after a key; undefined for a key without a meaning. */
function afterKey({ subject, sort }: { readonly subject: Subject; readonly sort: string }, key: string) {
  if (key === "\t") return { subject: subject === "units" ? "machines" : "units", sort: "cpu:desc" } as const;
  const order = key === "n" ? (subject === "units" ? unitList : machineList).key[0] : sortKeys[key];
  return order === undefined || order === sort ? undefined : { subject, sort: order };
}
