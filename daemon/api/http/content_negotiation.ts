/**
 * Chooses between media types by the client's `Accept` header (RFC 9110, section 12.5.1). Pure.
 *
 * @module
 */

/** True if an `Accept` header prefers `type` to `other`; without a header, or if both are equal, it does not. */
export function prefers(accept: string | null, type: string, other: string): boolean {
  const ranges = (accept ?? "*/*").match(/(?:[^,"]|"(?:\\.|[^"\\])*"?)+/g) ?? [];
  const parsed = ranges.map(parseRange);
  return qualityOf(parsed, type) > qualityOf(parsed, other);
}

interface MediaRange {
  readonly range: string;
  readonly quality: number;
}

/** Parses one media range. Parameters of the type itself are ignored: the offered types have none. */
function parseRange(text: string): MediaRange {
  const [range = "", ...parameters] = text.split(";").map((part) => part.trim().toLowerCase());
  const weight = parameters.find((parameter) => /^q\s*=/.test(parameter))?.replace(/^q\s*=\s*/, "");
  // An invalid weight counts as 1.
  const quality = weight !== undefined && /^(0(\.\d*)?|1(\.0*)?)$/.test(weight) ? Number(weight) : 1;
  return { range, quality };
}

/** Returns the quality of the most specific range that matches a type; 0 if none does. */
function qualityOf(ranges: readonly MediaRange[], type: string): number {
  const [main] = type.split("/");
  for (const candidate of [type, `${main}/*`, "*/*"]) {
    const qualities = ranges.filter(({ range }) => range === candidate).map(({ quality }) => quality);
    if (qualities.length > 0) return Math.max(...qualities);
  }
  return 0;
}
