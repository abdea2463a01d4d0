/**
 * The unit that was probably meant by a misspelled name.
 *
 * @module
 */

import { nearest } from "../../runtime/spelling.ts";
import { templateOf } from "../../systemd/unit_name.ts";

/** Names shorter than this are near to too many others. */
const shortestMisspelled = 3;

/** The unit that was probably meant. Another instance of the same template is not: its name is not misspelled. */
export function similarUnit(name: string, candidates: readonly string[]): string | undefined {
  const template = templateOf(name);
  const others = candidates.filter((other) => template === undefined || templateOf(other) !== template);
  const shortNames = new Map(others.map((other) => [withoutService(other), other]));
  const word = withoutService(name);
  return word.length < shortestMisspelled ? undefined : shortNames.get(nearest(word, [...shortNames.keys()]) ?? "");
}

function withoutService(name: string): string {
  return name.replace(/\.service$/, "");
}
