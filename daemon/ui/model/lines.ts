/**
 * Splits text that comes in parts into lines. Pure.
 *
 * @module
 */

/** The longest line, in characters: a longer one becomes several, so that an endless one is shown and takes no memory. */
export const maxLine = 4_096;

/** Returns a function that takes the next part of a text and returns the lines that are complete with it. */
export function lineSplitter(): (text: string) => string[] {
  let rest = "";
  return (text) => {
    const lines = (rest + text).split("\n").flatMap((line) => line.length <= maxLine ? line : piecesOf(line));
    rest = lines.pop()!;
    return lines;
  };
}

function piecesOf(line: string): string[] {
  return Array.from(
    { length: Math.ceil(line.length / maxLine) },
    (_, index) => line.slice(index * maxLine, (index + 1) * maxLine),
  );
}
