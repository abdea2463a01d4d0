/**
 * The columns of `--output=custom-columns=TITLE:NAME,...`. Pure.
 *
 * @module
 */

import { UsageError } from "../cli/argv.ts";

/** A column with a title of its own. */
export interface CustomColumn {
  readonly title: string;
  /** The name of a column of the list, then names of properties of its value. */
  readonly path: readonly string[];
}

/**
 * Reads `TITLE:NAME,...`. A NAME may begin with a point, as in kubectl, and may go on below the value of a column:
 * `metadata.zone`. Throws {@link UsageError}.
 */
export function parseCustomColumns(text: string, columns: Readonly<Record<string, unknown>>): readonly CustomColumn[] {
  return text.split(",").map((word) => {
    const [, title, name = ""] = /^([^:]+):\.?(.+)$/s.exec(word) ?? [];
    if (title === undefined) {
      throw new UsageError(`invalid column ${JSON.stringify(word)} in custom-columns: write TITLE:NAME`);
    }
    const path = name.split(".");
    if (Object.hasOwn(columns, path[0]!)) return { title, path };
    const known = Object.keys(columns).sort().join(", ");
    throw new UsageError(`unknown column ${JSON.stringify(path[0])} in custom-columns: expected one of ${known}`);
  });
}

/** Returns the value at a path as text; undefined if there is none. Names of properties may contain points. */
export function readPath(value: unknown, path: readonly string[]): string | undefined {
  if (path.length === 0) {
    if (value === null || value === undefined || value === "") return undefined;
    return typeof value === "string" ? value : JSON.stringify(value);
  }
  if (typeof value !== "object" || value === null) return undefined;
  for (let count = path.length; count > 0; count--) {
    const name = path.slice(0, count).join(".");
    if (Object.hasOwn(value, name)) return readPath((value as Record<string, unknown>)[name], path.slice(count));
  }
  return undefined;
}
