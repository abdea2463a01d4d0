/**
 * A counted limit for what is in use at the same time. Pure.
 *
 * @module
 */

/** Grants units, of memory or of anything else, as long as no more than `capacity` are in use. */
export class Budget {
  #used = 0;

  constructor(readonly capacity: number) {}

  /** Takes `amount` units. Returns the function that gives them back, once however often it is called; undefined if too few are left. */
  take(amount = 1): (() => void) | undefined {
    if (this.#used + amount > this.capacity) return undefined;
    this.#used += amount;
    let isTaken = true;
    return () => {
      if (isTaken) this.#used -= amount;
      isTaken = false;
    };
  }
}
