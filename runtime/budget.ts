/**
 * A limit for the units of something that are in use at the same time. Pure.
 *
 * @module
 */

/** Grants units, of memory or of anything else, as long as no more than `capacity` are in use. */
export class Budget {
  #used = 0;

  constructor(readonly capacity: number) {}

  /** Takes `amount` units. Returns a function that gives them back at its first call, or undefined if too few are left. */
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
