/**
 * What a client would rather have (RFC 9110, section 12.5.1). Pure.
 *
 * @module
 */

/** Whether an `Accept` header prefers one media type to another; without a header, or when they are equal, it does not. */
export function prefers(accept: string | null, type: string, other: string): boolean {
  const ranges = (accept ?? "*/*").match(/(?:[^,"]|"(?:\\.|[^"\\])*"?)+/g) ?? [];
  const parsed = ranges.map(parseRange);
  return qualityOf(parsed, type) > qualityOf(parsed, other);
}

interface MediaRange {
  readonly range: string;
  readonly quality: number;
}

/** Parameters of the type itself are passed over: what we have has none. */
function parseRange(text: string): MediaRange {
  const [range = "", ...parameters] = text.split(";").map((part) => part.trim().toLowerCase());
  const weight = parameters.find((parameter) => /^q\s*=/.test(parameter))?.replace(/^q\s*=\s*/, "");
  // A weight that is none is not wanted less for it.
  const quality = weight !== undefined && /^(0(\.\d*)?|1(\.0*)?)$/.test(weight) ? Number(weight) : 1;
  return { range, quality };
}

/** By the range that says most of a type; 0 where none takes it. */
function qualityOf(ranges: readonly MediaRange[], type: string): number {
  const [main] = type.split("/");
  for (const wanted of [type, `${main}/*`, "*/*"]) {
    const qualities = ranges.filter(({ range }) => range === wanted).map(({ quality }) => quality);
    if (qualities.length > 0) return Math.max(...qualities);
  }
  return 0;
}
