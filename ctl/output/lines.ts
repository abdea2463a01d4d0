/**
 * Splits text that arrives in chunks into lines. Pure.
 *
 * @module
 */

/** Yields lines without their line feeds; the text after the last line feed is a line too. */
export async function* linesOf(text: AsyncIterable<string>): AsyncGenerator<string> {
  let rest = "";
  for await (const chunk of text) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() as string;
    yield* lines;
  }
  if (rest !== "") yield rest;
}
