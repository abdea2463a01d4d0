import type { UnitTraits } from "./feasibility.ts";

/**
 * Compares two units by the revision at which they were launched (a unit that is not launched comes last), then by name.
 * Negative when `a` precedes `b`.
 */
export function precedence(a: UnitTraits, b: UnitTraits): number {
  const first = (subject: UnitTraits) => subject.launchedAt === 0 ? Infinity : subject.launchedAt;
  if (first(a) !== first(b)) return first(a) < first(b) ? -1 : 1;
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}
