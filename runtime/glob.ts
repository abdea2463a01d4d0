/**
 * Patterns of names, with the syntax of Go's `path.Match`, which fleet 1.0 uses for `Conflicts=` and `Replaces=`: `*` is
 * any number of characters but `/`, `?` one character but `/`, `[a-z]` one character of a class, `[^a-z]` one outside of it;
 * `\\` takes the special meaning from the next character.
 *
 * @module
 */

/** One element of a pattern: `*`, or the test of one character. */
type GlobToken = "run" | ((char: string) => boolean);

/**
 * True if a pattern matches the whole name. A malformed pattern matches nothing. Takes at most time proportional to the
 * product of the lengths.
 */
export function globMatch(pattern: string, name: string): boolean {
  return globMatcher(pattern)(name);
}

/** True if the syntax of a pattern is wrong, so that it matches nothing. */
export function isMalformedGlob(pattern: string): boolean {
  return parseGlob(pattern) === undefined;
}

/** Returns {@link globMatch} of one pattern for many names: parses the pattern once, and compares its literal beginning first. */
export function globMatcher(pattern: string): (name: string) => boolean {
  const beginning = /^[^*?[\\]*/.exec(pattern)![0];
  if (beginning === pattern) return (name) => name === pattern;
  const tokens = parseGlob(pattern);
  if (tokens === undefined) return () => false;
  const least = tokens.filter((token) => token !== "run").length;
  return (name) => name.startsWith(beginning) && name.length >= least && matchesTokens(tokens, name);
}

function matchesTokens(tokens: readonly GlobToken[], name: string): boolean {
  const chars = [...name];
  let at = 0;
  let token = 0;
  // The position after the latest `*`: on a mismatch, that `*` takes one more character.
  let retry: { readonly token: number; at: number } | undefined;
  while (at < chars.length || token < tokens.length) {
    const wanted = tokens[token];
    if (wanted === "run") {
      retry = { token: ++token, at };
    } else if (wanted !== undefined && at < chars.length && wanted(chars[at]!)) {
      token++;
      at++;
    } else if (retry !== undefined && retry.at < chars.length && chars[retry.at] !== "/") {
      at = ++retry.at;
      token = retry.token;
    } else {
      return false;
    }
  }
  return true;
}

function parseGlob(pattern: string): GlobToken[] | undefined {
  const chars = [...pattern];
  const tokens: GlobToken[] = [];
  for (let at = 0; at < chars.length; at++) {
    const char = chars[at]!;
    if (char === "*") {
      if (tokens.at(-1) !== "run") tokens.push("run");
    } else if (char === "?") tokens.push((found) => found !== "/");
    else if (char === "[") {
      const found = parseClass(chars, at + 1);
      if (found === undefined) return undefined;
      tokens.push(found.matches);
      at = found.end;
    } else {
      const literal = char === "\\" ? chars[++at] : char;
      if (literal === undefined) return undefined;
      tokens.push((found) => found === literal);
    }
  }
  return tokens;
}

/** Parses a class; `start` is behind the opening bracket, `end` at the closing one. */
function parseClass(
  chars: readonly string[],
  start: number,
): { readonly matches: (char: string) => boolean; readonly end: number } | undefined {
  let at = start;
  const bound = (): number | undefined => {
    const char = chars[at++];
    if (char === "-" || char === "]") return undefined;
    return (char === "\\" ? chars[at++] : char)?.codePointAt(0);
  };
  const negated = chars[at] === "^";
  if (negated) at++;
  const ranges: (readonly [low: number, high: number])[] = [];
  while (chars[at] !== "]" || ranges.length === 0) {
    const low = bound();
    let high = low;
    if (chars[at] === "-") {
      at++;
      high = bound();
    }
    if (low === undefined || high === undefined) return undefined;
    ranges.push([low, high]);
  }
  const matches = (char: string) => {
    const point = char.codePointAt(0)!;
    return ranges.some(([low, high]) => low <= point && point <= high) !== negated;
  };
  return { matches, end: at };
}
