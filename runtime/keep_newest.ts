/**
 * A limit for the size of maps and sets. Pure.
 *
 * @module
 */

/** Deletes the entries that were inserted first, until no more than `most` are left. */
export function keepNewest<Key>(entries: Map<Key, unknown> | Set<Key>, most: number): void {
  for (const oldest of entries.keys()) {
    if (entries.size <= most) return;
    entries.delete(oldest);
  }
}
