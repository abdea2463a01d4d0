/**
 * Patterns in place of unit names: `fleetctl stop 'web@*'`.
 *
 * @module
 */

import type { ApiClient } from "./api.ts";

/** True if a word can only be a pattern: no unit's name has such characters. */
export function isPattern(word: string): boolean {
  return /[*?[]/.test(word.slice(word.lastIndexOf("/") + 1));
}

/** What matches the names that a pattern means (glob(7): `*`, `?`, `[a-c]`, `[!a]`). */
export function globExpression(pattern: string): RegExp {
  const source = pattern.replace(/\[!?[^\]]+\]|[\\^$.|+()[\]{}*?]/g, (part) => {
    if (part === "*") return ".*";
    if (part === "?") return ".";
    if (part.length === 1) return `\\${part}`;
    return part.replace(/\\/g, "\\\\").replace(/^\[!/, "[^");
  });
  return new RegExp(`^(?:${source})$`);
}

/** True if a pattern means a name, with or without its `.service`. */
export function patternMatches(pattern: string, name: string): boolean {
  const whole = globExpression(pattern);
  return whole.test(name) || whole.test(name.replace(/\.service$/, ""));
}

/**
 * Puts in place of each pattern the units of the cluster that it means, in the server's order. A pattern that means none
 * stays, to be told as a unit that is not there.
 */
export async function expandPatterns(words: readonly string[], client: ApiClient): Promise<readonly string[]> {
  if (!words.some(isPattern)) return words;
  const names = (await client.units()).map((unit) => unit.name);
  const expanded = words.flatMap((word) => {
    const meant = isPattern(word) ? names.filter((name) => patternMatches(word, name)) : [];
    return meant.length > 0 ? meant : [word];
  });
  return [...new Set(expanded)];
}
