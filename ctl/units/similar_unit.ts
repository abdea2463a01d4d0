/**
 * Suggests a unit for a misspelled name.
 *
 * @module
 */

import { nearest } from "../../runtime/spelling.ts";
import { templateOf } from "../../systemd/unit_name.ts";

/** A shorter name is similar to too many others. */
const minNameLength = 3;

/** Returns the most similar unit, but no other instance of the same template, whose name is spelled right. */
export function similarUnit(name: string, candidates: readonly string[]): string | undefined {
  const template = templateOf(name);
  const others = candidates.filter((other) => template === undefined || templateOf(other) !== template);
  const shortNames = new Map(others.map((other) => [withoutService(other), other]));
  const word = withoutService(name);
  return word.length < minNameLength ? undefined : shortNames.get(nearest(word, [...shortNames.keys()]) ?? "");
}

function withoutService(name: string): string {
  return name.replace(/\.service$/, "");
}
