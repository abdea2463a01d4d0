/**
 * Patterns in place of unit names: `fleetctl stop 'web@*'`.
 *
 * @module
 */

import type { UnitEntity } from "../../daemon/api/v1/types.ts";
import { globMatcher, isMalformedGlob } from "../../runtime/glob.ts";
import { isTemplate, mangleUnitName, validateUnitName } from "../../systemd/unit_name.ts";
import type { ApiClient } from "../api/client.ts";
import { UsageError } from "../cli/argv.ts";

/** True if a word is a pattern, whose special characters no unit name contains. */
export function isPattern(word: string): boolean {
  return /[*?[]/.test(word.slice(word.lastIndexOf("/") + 1));
}

/**
 * Returns the function that matches names, with or without `.service`. A backslash is a character of names, as in
 * `a@\x2d.service`. Throws {@link UsageError} for a malformed pattern.
 */
export function unitMatcher(pattern: string): (name: string) => boolean {
  const glob = pattern.replaceAll("\\", "\\\\");
  if (isMalformedGlob(glob)) throw new UsageError(`malformed pattern ${JSON.stringify(pattern)}`);
  if (/\[!/.test(pattern)) {
    throw new UsageError(`malformed pattern ${JSON.stringify(pattern)}: [^...] is any other character, not [!...]`);
  }
  const matches = globMatcher(glob);
  return (name) => matches(name) || matches(name.replace(/\.service$/, ""));
}

/** The units that a pattern selects: all that match, or only those that can run, which leaves out templates. */
export type PatternScope = "every unit" | "runnable units";

/** The arguments of a command line after their patterns have been expanded. */
export interface Expansion {
  /** The arguments with units in place of patterns. */
  readonly args: readonly string[];
  /** The units that only patterns have named. */
  readonly matched: ReadonlyMap<string, UnitEntity>;
  /** An error message for each pattern that matches no unit. */
  readonly unmatched: readonly string[];
}

/**
 * Replaces each pattern by the units of the cluster that it matches, in the server's order, keeping the directory that
 * it names. A template matches only in the scope `every unit`: it cannot run. Replaces
 * nothing without a scope. Throws {@link UsageError}.
 */
export async function expandPatterns(
  words: readonly string[],
  client: ApiClient,
  scope: PatternScope | undefined,
): Promise<Expansion> {
  if (scope === undefined || !words.some(isPattern)) return { args: words, matched: new Map(), unmatched: [] };
  // A selected name becomes a path and an argument of programs. A server that sends other names is faulty or hostile.
  const units = (await client.units()).filter(({ name }) => validateUnitName(name) === undefined);
  const plain = new Map(words.filter((word) => !isPattern(word)).map((word) => [mangleUnitName(word), word]));
  const matched = new Map<string, UnitEntity>();
  const unmatched: string[] = [];
  const args = words.flatMap((word) => {
    if (!isPattern(word)) return [word];
    const base = word.lastIndexOf("/") + 1;
    const matches = unitMatcher(word.slice(base));
    const matching = units.filter(({ name }) => matches(name));
    const meant = matching.filter(({ name }) => scope === "every unit" || !isTemplate(name));
    if (meant.length === 0) unmatched.push(noMatch(word, matching.map(({ name }) => name)));
    for (const unit of meant) if (!plain.has(unit.name)) matched.set(unit.name, unit);
    return meant.map(({ name }) => plain.get(name) ?? word.slice(0, base) + name);
  });
  return { args: [...new Set(args)], matched, unmatched };
}

function noMatch(pattern: string, templates: readonly string[]): string {
  const quoted = JSON.stringify(pattern);
  if (templates.length === 0) return `No unit in the cluster matches ${quoted}`;
  return `${quoted} matches only the template ${templates.join(", ")}, which cannot run: start an instance of it first`;
}
