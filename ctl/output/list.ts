/**
 * Lists: columns to choose from, selected, sorted and printed in one of several formats.
 *
 * @module
 */

import { type FlagSpec, switchFlag, textFlag, UsageError } from "../cli/argv.ts";
import type { Context } from "../cli/command.ts";
import { globMatcher, isMalformedGlob } from "../../runtime/glob.ts";
import { printLine } from "../terminal/port.ts";
import { alignedLines, spacedLines } from "./table.ts";
import { type CustomColumn, parseCustomColumns, readPath } from "./custom_columns.ts";
import { parseSort, sortRows } from "./sort.ts";

/** The meaning of a state, shown by its color on a terminal. The text says the same: color alone means nothing. */
export type Tone = "good" | "bad" | "busy";

/** One column: the text of a row in a table, and its value in JSON (whole, null if there is none). */
export interface Column<Row> {
  text(row: Row, full: boolean): string;
  json(row: Row): unknown;
  /** The color of the text on a terminal; undefined for the terminal's own. */
  tone?(row: Row): Tone | undefined;
  /** True if the row is one that `--filter COLUMN=WANTED` selects; by default if the pattern `wanted` matches the value. */
  matches?(row: Row, wanted: string): boolean;
  /** True if the column is shown only where `--fields` names it. */
  readonly deprecated?: boolean;
}

/** The columns of a list, by the name that `--fields` chooses them by. */
export type Columns<Row> = Readonly<Record<string, Column<Row>>>;

/** A key of `--filter` that is no column. */
export interface Filter<Row> {
  /** The columns whose values it compares. */
  readonly fields: readonly string[];
  readonly matches: (row: Row, wanted: string) => boolean;
}

/** A list: what it can show, and what identifies its rows. */
export interface List<Row> {
  /** Every column: a new one is one line here, and can be shown, selected and sorted by from then on. */
  readonly columns: Columns<Row>;
  /** The columns that a table shows by default. */
  readonly defaultFields: string;
  /** The columns that distinguish one row from all others. `--output=name` prints the first. */
  readonly key: readonly [string, ...string[]];
  /** Keys of `--filter` other than the names of columns. */
  readonly filters?: Readonly<Record<string, Filter<Row>>>;
}

/** Printed for an empty value. */
export const nothing = "-";

/** A column that shows a text as it is. */
export function textColumn<Row>(read: (row: Row) => string | undefined): Column<Row> {
  return { text: (row) => read(row) || nothing, json: (row) => read(row) || null };
}

/** `--output`, with the letter that every command has for it. `values` are the formats to complete. */
export function outputFlag(
  value: string,
  help: string,
  fallback: string,
  values: readonly string[],
): FlagSpec {
  return textFlag("output", value, help, { fallback, letter: "o", values });
}

/** Flags of a command that prints a list. */
export function listFlags<Row>({ columns, defaultFields, filters }: List<Row>): FlagSpec[] {
  const values = Object.keys(columns).filter((name) => !columns[name]?.deprecated);
  const keys = new Set([...values, ...Object.keys(filters ?? {})]);
  const valid = Object.keys(columns).sort().join(",");
  return [
    textFlag("fields", "NAME,...", `Print these columns of ${valid}`, { fallback: defaultFields, values }),
    textFlag("filter", "KEY=VALUE,...", "Print only rows with these values, which may be patterns", {
      repeats: true,
      values: [...keys].map((key) => `${key}=`),
    }),
    switchFlag("full", "Print whole IDs and hashes", "l"),
    switchFlag("no-legend", "Leave the header out"),
    textFlag("sort", "NAME[:desc],...", "Sort by the values of these columns", { values }),
    outputFlag(
      "FORMAT",
      "Print a table, wide (all columns, whole), json, yaml, name, jsonpath=QUERY or custom-columns=TITLE:NAME,...",
      "table",
      [...listFormats, "name", "jsonpath=", "custom-columns="],
    ),
  ];
}

/** The formats of a document or a table that are chosen by their name alone. */
export const listFormats: readonly string[] = ["table", "wide", "json", "yaml"];

/** Returns the format of `--output`. Throws {@link UsageError} if it is none of `formats`. */
export function formatOf({ flags }: Context, formats: readonly string[]): string {
  const format = flags.text("output");
  if (formats.includes(format)) return format;
  throw new UsageError(`invalid value ${JSON.stringify(format)} for --output: expected ${orList(formats)}`);
}

function orList(words: readonly string[]): string {
  return `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
}

/** The output that the flags of a list command ask for. */
export interface ListView<Row> {
  readonly list: List<Row>;
  readonly format: "table" | "wide" | "json" | "yaml" | "name" | "jsonpath" | "custom-columns";
  /** The columns to print. */
  readonly fields: readonly string[];
  /** The columns whose values are needed: those that are printed, selected or sorted by. */
  readonly needed: ReadonlySet<string>;
  /** The rows to print, in their order. */
  select(rows: readonly Row[]): readonly Row[];
  /** The query of `jsonpath`. */
  readonly query: string;
  readonly custom: readonly CustomColumn[];
}

/** Reads the flags of a list command. Throws if there is no such column, and {@link UsageError} for what is malformed. */
export function listView<Row>({ flags }: Context, list: List<Row>): ListView<Row> {
  const { columns } = list;
  const names = Object.keys(columns).filter((field) => !columns[field]?.deprecated);
  const [format = "", parameter] = /^(jsonpath|custom-columns)=(.*)$/s.exec(flags.text("output"))?.slice(1) ??
    [flags.text("output")];
  const expected = [...listFormats, "name", "jsonpath=QUERY", "custom-columns=TITLE:NAME,..."];
  if (parameter === undefined && !expected.includes(format)) {
    throw new UsageError(`invalid value ${JSON.stringify(format)} for --output: expected ${orList(expected)}`);
  }
  if (flags.text("fields") === "") throw new Error("Must define output format");
  const custom = format === "custom-columns" ? parseCustomColumns(parameter ?? "", columns) : [];
  const isAll = ["wide", "jsonpath"].includes(format) && !flags.given("fields");
  const fields = format === "custom-columns"
    ? [...new Set(custom.map(({ path }) => path[0] as string))]
    : format === "name"
    ? [list.key[0]]
    : isAll
    ? names
    : flags.text("fields").split(",");
  const unknown = fields.find((field) => !Object.hasOwn(columns, field));
  if (unknown !== undefined) throw new Error(`Invalid key in output format: ${JSON.stringify(unknown)}`);
  const filter = parseFilter(flags.text("filter"), list);
  const order = parseSort(flags.text("sort"), names);
  return {
    ...{ list, format: format as ListView<Row>["format"], fields, custom, query: parameter ?? "" },
    needed: new Set([...fields, ...filter.fields, ...order.map(({ field }) => field)]),
    select: (rows) => sortRows(rows.filter(filter.matches), order, (row, field) => columns[field]!.json(row)),
  };
}

/** Reads `--filter`: of each key, one of its values must be met. Throws {@link UsageError}. */
function parseFilter<Row>(text: string, { columns, filters = {} }: List<Row>) {
  const conditions = text.split(",").filter((word) => word !== "").map((word) => {
    const [, key = "", wanted] = /^([^=]*)=(.*)$/s.exec(word) ?? [];
    if (wanted === undefined) throw new UsageError(`${JSON.stringify(word)} is not a filter: write KEY=VALUE`);
    if (isMalformedGlob(wanted)) throw new UsageError(`malformed pattern ${JSON.stringify(wanted)} in --filter`);
    const filter = Object.hasOwn(filters, key)
      ? filters[key]!
      : Object.hasOwn(columns, key)
      ? columnFilter(key, columns[key]!)
      : undefined;
    if (filter) return { ...filter, key, wanted };
    const known = [...new Set([...Object.keys(filters), ...Object.keys(columns)])].sort().join(", ");
    throw new UsageError(`unknown key ${JSON.stringify(key)} in --filter: expected one of ${known}`);
  });
  const byKey = [...Map.groupBy(conditions, ({ key }) => key).values()];
  return {
    fields: conditions.flatMap(({ fields }) => fields),
    matches: (row: Row) =>
      byKey.every((alternatives) => alternatives.some(({ matches, wanted }) => matches(row, wanted))),
  };
}

function columnFilter<Row>(field: string, column: Column<Row>): Filter<Row> {
  const matches = (row: Row, wanted: string) => {
    const value = column.json(row);
    if (column.matches && wanted !== nothing) return column.matches(row, wanted);
    return globMatcher(wanted)(value === null ? nothing : typeof value === "string" ? value : JSON.stringify(value));
  };
  return { fields: [field], matches };
}

/** Prints the rows that the flags select. */
export async function printList<Row>(context: Context, view: ListView<Row>, rows: readonly Row[]): Promise<void> {
  const { io } = context;
  const selected = view.select(rows);
  if (view.format === "json" || view.format === "yaml") {
    io.out(await documentText(selected.map((row) => objectOf(view, row)), view.format));
  } else if (view.format === "jsonpath") {
    const { queryLines } = await import("./json_query.ts");
    for (const line of queryLines(view.query, selected.map((row) => objectOf(view, row)))) printLine(io, line);
  } else for (const line of tableLines(context, view, selected)) printLine(io, line);
}

/** Returns a row as an object, for programs. */
export function objectOf<Row>({ fields, list: { columns } }: ListView<Row>, row: Row): Record<string, unknown> {
  return Object.fromEntries(fields.map((field) => [field, columns[field]!.json(row)]));
}

/** Returns a value that identifies a row. */
export function keyOf<Row>({ list: { columns, key } }: ListView<Row>, row: Row): string {
  return JSON.stringify(key.map((field) => columns[field]!.json(row)));
}

/** Returns the lines of a table, with its header unless `--no-legend` is given. */
export function tableLines<Row>(context: Context, view: ListView<Row>, rows: readonly Row[]): string[] {
  const { io, flags } = context;
  const cells = rows.map((row) => cellsOf(context, view, row));
  if (view.format === "name") return [...new Set(cells.map(([name = ""]) => name))];
  const titles = view.format === "custom-columns" ? view.custom.map(({ title }) => title) : view.fields;
  const header = flags.on("no-legend") ? [] : [titles.map((field) => field.toUpperCase())];
  if (!io.screen) return alignedLines([...header, ...cells]);
  const colored = io.color && view.format !== "custom-columns";
  const toneOf = (line: number, column: number) => {
    const row = rows[line - header.length];
    return colored && row !== undefined ? view.list.columns[view.fields[column]!]?.tone?.(row) : undefined;
  };
  return spacedLines([...header, ...cells], (text, line, column) => inTone(text, toneOf(line, column)));
}

/** Returns the texts of a row. */
export function cellsOf<Row>({ flags }: Context, view: ListView<Row>, row: Row): string[] {
  const { format, fields, list: { columns } } = view;
  if (format === "custom-columns") {
    const object = objectOf(view, row);
    return view.custom.map(({ path }) => readPath(object, path) ?? nothing);
  }
  const full = flags.on("full") || format === "wide" || format === "name";
  return fields.map((field) => format === "name" ? String(columns[field]!.json(row)) : columns[field]!.text(row, full));
}

/** Colors that can be read on dark and on light backgrounds (ECMA-48, SGR). */
const colors: Readonly<Record<Tone, number>> = { good: 32, bad: 31, busy: 33 };

/** Returns a text in a color. */
export function inTone(text: string, tone: Tone | undefined): string {
  return tone === undefined ? text : `\x1b[${colors[tone]}m${text}\x1b[0m`;
}

/** True for a format that is one document, not lines. */
export function isDocumentFormat(format: string): format is "json" | "yaml" {
  return format === "json" || format === "yaml";
}

/** Returns a value as a document of JSON or YAML. */
export async function documentText(value: unknown, format: "json" | "yaml"): Promise<string> {
  if (format === "json") return JSON.stringify(value, undefined, 2) + "\n";
  return (await import("./yaml.ts")).yamlDocument(value);
}
