/**
 * Sorts items by what each depends on. Pure.
 *
 * @module
 */

/**
 * Returns the items, each after those that `dependencies` returns for it, in that order; otherwise the items keep their
 * order. A dependency must be one of the items. Cycles are cut somewhere.
 */
export function topologicalSort<T>(items: readonly T[], dependencies: (item: T) => readonly T[]): T[] {
  const sorted = new Set<T>();
  const begun = new Set<T>();
  for (const first of items) {
    // An explicit stack: a chain may be longer than the call stack allows.
    const open = [first];
    for (let item = open.at(-1); item !== undefined; item = open.at(-1)) {
      if (begun.has(item)) {
        sorted.add(item);
        open.pop();
        continue;
      }
      begun.add(item);
      open.push(...dependencies(item).filter((other) => !begun.has(other)).reverse());
    }
  }
  return [...sorted];
}
