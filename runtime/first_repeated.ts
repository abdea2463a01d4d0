/** Returns the first item that equals an earlier one; undefined if all items differ. */
export function firstRepeated<T>(items: Iterable<T>): T | undefined {
  const seen = new Set<T>();
  for (const item of items) {
    if (seen.has(item)) return item;
    seen.add(item);
  }
  return undefined;
}
