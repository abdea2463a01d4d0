/**
 * Who destroyed units through this daemon: the store keeps nothing of a unit that is gone. Pure.
 *
 * @module
 */

import type { Authorship, UnitName } from "../../../registry/model.ts";
import { keepNewest } from "../../../runtime/keep_newest.ts";

/** Units that are remembered; the event of a removal follows within moments. */
const maxUnits = 1_000;

/** See the head of this file. */
export class Removals {
  readonly #authors = new Map<UnitName, Authorship>();

  add(unit: UnitName, author: Authorship): void {
    this.#authors.delete(unit);
    this.#authors.set(unit, author);
    keepNewest(this.#authors, maxUnits);
  }

  /** Who destroyed a unit last, if that is known. */
  of(unit: UnitName): Authorship | undefined {
    return this.#authors.get(unit);
  }
}
