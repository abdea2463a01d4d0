/**
 * What the list commands share: columns to choose from, a header, tables and JSON.
 *
 * @module
 */

import { type FlagSpec, UsageError } from "../cli/argv.ts";
import { type Context, exitFailure } from "../cli/command.ts";
import { complain, say } from "../terminal/port.ts";
import { alignedLines } from "./table.ts";

/** One column: how a row shows in a table, and what it is in JSON (the whole value, null if there is none). */
export interface Column<Row> {
  text(row: Row, full: boolean): string;
  json(row: Row): unknown;
  /** True: shown only where it is named. */
  readonly deprecated?: boolean;
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
    {
      name: "output",
      kind: "text",
      fallback: "table",
      help: 'Print a "table", "wide" with all columns, "json" or "yaml"',
    },
  ];
}

/** How a list can be printed. */
const formats = ["table", "wide", "json", "yaml"];

/** True if something can be printed so. */
export function isFormat(format: string): boolean {
  return formats.includes(format);
}

/** The error of a command line that asks for another format. */
export function wrongFormat(format: string): UsageError {
  return new UsageError(`Invalid output ${JSON.stringify(format)}: expected "table", "wide", "json" or "yaml"`, true);
}

/** The columns asked for, or an exit status if they make no sense (which has been said). Throws {@link UsageError}. */
export function chosenFields<Row>(context: Context, columns: Columns<Row>): readonly string[] | number {
  const { io, flags } = context;
  const format = flags.text("output");
  if (!isFormat(format)) throw wrongFormat(format);
  if (flags.text("fields") === "") {
    complain(io, "Must define output format");
    return exitFailure;
  }
  if (format === "wide" && !flags.given("fields")) {
    return Object.keys(columns).filter((field) => !columns[field]?.deprecated);
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
  const format = flags.text("output");
  if (format === "json" || format === "yaml") {
    const objects = rows.map((row) => Object.fromEntries(chosen.map(([field, column]) => [field, column.json(row)])));
    io.out(format === "json" ? JSON.stringify(objects, undefined, 2) + "\n" : yamlList(objects));
    return;
  }
  const full = flags.on("full") || format === "wide";
  const header = flags.on("no-legend") ? [] : [fields.map((field) => field.toUpperCase())];
  const cells = rows.map((row) => chosen.map(([, column]) => column.text(row, full)));
  for (const line of alignedLines([...header, ...cells])) say(io, line);
}

/** A list of flat objects as YAML; values are written as JSON, which YAML 1.2 contains. */
export function yamlList(objects: readonly Readonly<Record<string, unknown>>[]): string {
  if (objects.length === 0) return "[]\n";
  return objects.map((object) =>
    Object.entries(object).map(([key, value], index) =>
      `${index === 0 ? "- " : "  "}${key}: ${JSON.stringify(value)}\n`
    )
      .join("")
  ).join("");
}
