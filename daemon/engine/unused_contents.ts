/**
 * Finds contents of attached files that no unit file names any more. A content is uploaded before the unit file that names
 * it, so one without a unit file is kept for a while.
 *
 * @module
 */

import { contentHashesIn } from "../../registry/attached_files.ts";
import type { Cluster, Revision, UnitFileText } from "../../registry/model.ts";
import type { Placement } from "../../registry/mod.ts";

/** The time that a content stays without a unit file that names it: enough for the upload of an application. */
export const unusedContentLife_ms = 10 * 60_000;

/** Shortest time between two searches, which pass over all unit files. */
const searchEvery_ms = 10_000;

/** The hashes in each text, which never changes. */
const known = new WeakMap<UnitFileText, readonly string[]>();

/** Remembers since when contents are unused. A new leader counts from the beginning. */
export class UnusedContents {
  #since_ms: ReadonlyMap<string, { readonly revision: Revision; readonly since_ms: number }> = new Map();
  #searched_ms = -Infinity;

  /** Returns the deletions that are due. `now_ms`: monotonic clock. */
  due({ contents, files }: Pick<Cluster, "contents" | "files">, now_ms: number): readonly Placement[] {
    if (!contents || now_ms - this.#searched_ms < searchEvery_ms) return [];
    this.#searched_ms = now_ms;
    const used = new Set<string>();
    for (const file of files.values()) {
      for (const hash of known.getOrInsertComputed(file, () => contentHashesIn(file.text))) used.add(hash);
    }
    const before = this.#since_ms;
    const unused = [...contents.values()].filter(({ hash }) => !used.has(hash));
    this.#since_ms = new Map(unused.map(({ hash, revision }) => {
      const earlier = before.get(hash);
      return [hash, earlier?.revision === revision ? earlier : { revision, since_ms: now_ms }];
    }));
    return unused.filter(({ hash }) => now_ms - this.#since_ms.get(hash)!.since_ms >= unusedContentLife_ms)
      .map(({ hash, size_bytes, revision }) => ({ kind: "forget", hash, size_bytes, revision }));
  }
}
