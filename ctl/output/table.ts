/**
 * Text in columns as fleet 1.0 prints it: cells are padded with tabs to multiples of 8.
 *
 * @module
 */

const tabWidth = 8;

/**
 * Aligns rows of cells. A column is at least one character wider than its longest cell, rounded up to a multiple
 * of 8 and filled up with tabs; the last cell of a row is left as it is. Rows must have the same number of cells.
 */
export function alignRows(rows: readonly (readonly string[])[]): string {
  return alignedLines(rows).map((line) => line + "\n").join("");
}

/** Returns the rows as lines without line feeds, so that a cell with a line feed cannot look like another row. */
export function alignedLines(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    row.slice(0, -1).forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, Math.ceil((charactersIn(cell) + 1) / tabWidth) * tabWidth);
    });
  }
  const pad = (cell: string, column: number) =>
    cell + "\t".repeat(Math.ceil((widths[column]! - charactersIn(cell)) / tabWidth));
  return rows.map((row) => row.slice(0, -1).map(pad).join("") + (row.at(-1) ?? ""));
}

/** Space between the columns of a table on a terminal. */
const gap = 2;

/**
 * Returns the rows as lines for a terminal: every column as wide as its longest cell. `paint` colors a cell by the numbers of
 * its row and column.
 */
export function spacedLines(
  rows: readonly (readonly string[])[],
  paint: (text: string, row: number, column: number) => string,
): string[] {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, at) => widths[at] = Math.max(widths[at] ?? 0, charactersIn(cell)));
  return rows.map((row, line) =>
    row.map((cell, at) => {
      const space = at === row.length - 1 ? 0 : widths[at]! - charactersIn(cell) + gap;
      return paint(cell, line, at) + " ".repeat(space);
    }).join("")
  );
}

function charactersIn(text: string): number {
  return [...text].length;
}
