/**
 * Remembers the authors of deletions made through this daemon: the store keeps nothing of a destroyed unit. Pure.
 *
 * @module
 */

import type { Authorship, UnitName } from "../../../registry/model.ts";
import { keepNewest } from "../../../runtime/keep_newest.ts";

/** The number of deletions that are remembered; the event of a deletion follows within moments. */
const maxUnits = 1_000;

/** See the head of this file. */
export class Removals {
  readonly #authors = new Map<UnitName, Authorship>();

  add(unit: UnitName, author: Authorship): void {
    this.#authors.delete(unit);
    this.#authors.set(unit, author);
    keepNewest(this.#authors, maxUnits);
  }

  /** Returns the author of a unit's latest deletion, if known. */
  of(unit: UnitName): Authorship | undefined {
    return this.#authors.get(unit);
  }
}
