/**
 * What the list commands share: columns to choose from, a header, tables and JSON.
 *
 * @module
 */

import type { FlagSpec } from "./args.ts";
import { type Context, exitFailure, exitUsage } from "./command.ts";
import { complain } from "./io.ts";
import { alignRows } from "./table.ts";

/** One column: how a row shows in a table, and what it is in JSON (the whole value, null if there is none). */
export interface Column<Row> {
  text(row: Row, full: boolean): string;
  json(row: Row): unknown;
}

/** The columns of a list, by the name that `--fields` chooses them by. */
export type Columns<Row> = Readonly<Record<string, Column<Row>>>;

/** Stands for an empty value. */
export const nothing = "-";

/** A column that shows a text as it is. */
export function textColumn<Row>(read: (row: Row) => string | undefined): Column<Row> {
  return { text: (row) => read(row) || nothing, json: (row) => read(row) || null };
}

/** Flags of a list command. */
export function listFlags<Row>(columns: Columns<Row>, defaultFields: string): FlagSpec[] {
  const valid = Object.keys(columns).sort().join(",");
  return [
    { name: "fields", kind: "text", fallback: defaultFields, help: `Columns to print, out of "${valid}"` },
    { name: "full", kind: "switch", fallback: false, letter: "l", help: "Do not shorten what is printed" },
    { name: "no-legend", kind: "switch", fallback: false, help: "Do not print the header" },
    { name: "output", kind: "text", fallback: "table", help: 'Print a "table" or "json"' },
  ];
}

/** The columns asked for, or an exit status if they make no sense (which has been said). */
export function chosenFields<Row>(context: Context, columns: Columns<Row>): readonly string[] | number {
  const { io, flags } = context;
  const format = flags.text("output");
  if (format !== "table" && format !== "json") {
    complain(io, `Invalid output ${JSON.stringify(format)}: expected "table" or "json"`);
    return exitUsage;
  }
  if (flags.text("fields") === "") {
    complain(io, "Must define output format");
    return exitFailure;
  }
  const fields = flags.text("fields").split(",");
  const unknown = fields.find((field) => !Object.hasOwn(columns, field));
  if (unknown === undefined) return fields;
  complain(io, `Invalid key in output format: ${JSON.stringify(unknown)}`);
  return exitFailure;
}

/** Prints the rows. */
export function printList<Row>(
  context: Context,
  columns: Columns<Row>,
  fields: readonly string[],
  rows: readonly Row[],
): void {
  const { io, flags } = context;
  const chosen = fields.map((field) => [field, columns[field] as Column<Row>] as const);
  if (flags.text("output") === "json") {
    const objects = rows.map((row) => Object.fromEntries(chosen.map(([field, column]) => [field, column.json(row)])));
    io.out(JSON.stringify(objects, undefined, 2) + "\n");
    return;
  }
  const full = flags.on("full");
  const header = flags.on("no-legend") ? [] : [fields.map((field) => field.toUpperCase())];
  io.out(alignRows([...header, ...rows.map((row) => chosen.map(([, column]) => column.text(row, full)))]));
}
