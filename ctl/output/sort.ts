/**
 * The order of rows that `--sort` asks for. Pure.
 *
 * @module
 */

import { UsageError } from "../cli/argv.ts";

/** One column to sort by. */
export interface SortField {
  readonly field: string;
  readonly descending: boolean;
}

/** Reads `NAME[:desc],...`. Throws {@link UsageError} for a column that is none of `known`. */
export function parseSort(text: string, known: readonly string[]): readonly SortField[] {
  return text.split(",").filter((word) => word !== "").map((word) => {
    const [field = "", direction] = word.split(":");
    if (direction !== undefined && !["asc", "desc"].includes(direction)) {
      throw new UsageError(`invalid value ${JSON.stringify(word)} for --sort: expected NAME, NAME:asc or NAME:desc`);
    }
    if (known.includes(field)) return { field, descending: direction === "desc" };
    const expected = `expected one of ${known.toSorted().join(", ")}`;
    throw new UsageError(`unknown column ${JSON.stringify(field)} in --sort: ${expected}`);
  });
}

const collator = new Intl.Collator("en", { numeric: true });

/**
 * Returns the rows in order: numbers by size, texts with numbers in them as people count (`web@2` before `web@10`), rows
 * without a value last in either direction. Rows of equal values stay in the order that they have.
 */
export function sortRows<Row>(
  rows: readonly Row[],
  order: readonly SortField[],
  valueOf: (row: Row, field: string) => unknown,
): readonly Row[] {
  if (order.length === 0) return rows;
  return rows.toSorted((one, other) => {
    for (const { field, descending } of order) {
      const [a, b] = [valueOf(one, field) ?? null, valueOf(other, field) ?? null];
      const result = a === null || b === null ? Number(a === null) - Number(b === null) : compare(a, b, descending);
      if (result !== 0) return result;
    }
    return 0;
  });
}

function compare(a: unknown, b: unknown, descending: boolean): number {
  const [first, second] = descending ? [b, a] : [a, b];
  if (typeof first === "number" && typeof second === "number") return first - second;
  return collator.compare(textOf(first), textOf(second));
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
