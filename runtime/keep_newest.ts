/**
 * A limit for maps and sets that remember. Pure.
 *
 * @module
 */

/** Deletes what was inserted first, until no more than `most` entries are left. */
export function keepNewest<Key>(entries: Map<Key, unknown> | Set<Key>, most: number): void {
  for (const oldest of entries.keys()) {
    if (entries.size <= most) return;
    entries.delete(oldest);
  }
}
