/**
 * Lists: columns to choose from, printed as a table, JSON or YAML.
 *
 * @module
 */

import { type FlagSpec, switchFlag, textFlag, UsageError } from "../cli/argv.ts";
import type { Context } from "../cli/command.ts";
import { printLine } from "../terminal/port.ts";
import { alignedLines } from "./table.ts";

/** One column: the text of a row in a table, and its value in JSON (whole, null if there is none). */
export interface Column<Row> {
  text(row: Row, full: boolean): string;
  json(row: Row): unknown;
  /** True if the column is shown only where `--fields` names it. */
  readonly deprecated?: boolean;
}

/** The columns of a list, by the name that `--fields` chooses them by. */
export type Columns<Row> = Readonly<Record<string, Column<Row>>>;

/** Printed for an empty value. */
export const nothing = "-";

/** A column that shows a text as it is. */
export function textColumn<Row>(read: (row: Row) => string | undefined): Column<Row> {
  return { text: (row) => read(row) || nothing, json: (row) => read(row) || null };
}

/** Flags of a list command. */
export function listFlags<Row>(columns: Columns<Row>, defaultFields: string): FlagSpec[] {
  const valid = Object.keys(columns).sort().join(",");
  return [
    textFlag("fields", "NAME,...", `Print these columns of ${valid}`, { fallback: defaultFields }),
    switchFlag("full", "Print whole IDs and hashes", "l"),
    switchFlag("no-legend", "Leave the header out"),
    textFlag("output", "FORMAT", "Print a table, wide (all columns, whole), json or yaml", { fallback: "table" }),
  ];
}

/** The formats of a list. */
export const listFormats: readonly string[] = ["table", "wide", "json", "yaml"];

/** Returns the format of `--output`. Throws {@link UsageError} if it is none of `formats`. */
export function formatOf({ flags }: Context, formats: readonly string[]): string {
  const format = flags.text("output");
  if (formats.includes(format)) return format;
  const expected = `${formats.slice(0, -1).join(", ")} or ${formats.at(-1)}`;
  throw new UsageError(`invalid value ${JSON.stringify(format)} for --output: expected ${expected}`);
}

/** Returns the columns of `--fields`. Throws if there is no such column, and {@link UsageError} for an unknown format. */
export function chosenFields<Row>(context: Context, columns: Columns<Row>): readonly string[] {
  const { flags } = context;
  const format = formatOf(context, listFormats);
  if (flags.text("fields") === "") throw new Error("Must define output format");
  if (format === "wide" && !flags.given("fields")) {
    return Object.keys(columns).filter((field) => !columns[field]?.deprecated);
  }
  const fields = flags.text("fields").split(",");
  const unknown = fields.find((field) => !Object.hasOwn(columns, field));
  if (unknown === undefined) return fields;
  throw new Error(`Invalid key in output format: ${JSON.stringify(unknown)}`);
}

/** Prints the rows. */
export async function printList<Row>(
  context: Context,
  columns: Columns<Row>,
  fields: readonly string[],
  rows: readonly Row[],
): Promise<void> {
  const { io, flags } = context;
  const chosen = fields.map((field) => [field, columns[field] as Column<Row>] as const);
  const format = flags.text("output");
  if (format === "json" || format === "yaml") {
    const objects = rows.map((row) => Object.fromEntries(chosen.map(([field, column]) => [field, column.json(row)])));
    io.out(await documentText(objects, format));
    return;
  }
  const full = flags.on("full") || format === "wide";
  const header = flags.on("no-legend") ? [] : [fields.map((field) => field.toUpperCase())];
  const cells = rows.map((row) => chosen.map(([, column]) => column.text(row, full)));
  for (const line of alignedLines([...header, ...cells])) printLine(io, line);
}

/** Returns a value as a document of JSON or YAML. */
export async function documentText(value: unknown, format: "json" | "yaml"): Promise<string> {
  if (format === "json") return JSON.stringify(value, undefined, 2) + "\n";
  return (await import("./yaml.ts")).yamlDocument(value);
}
