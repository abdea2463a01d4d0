/**
 * How many may do the same thing at a time. Pure.
 *
 * @module
 */

/** So many places, and no more. */
export class CountLimit {
  #taken = 0;

  constructor(readonly most: number) {}

  /** Takes one; gives what gives it back, however often that is called; undefined if none is free. */
  take(): (() => void) | undefined {
    if (this.#taken >= this.most) return undefined;
    this.#taken++;
    let isTaken = true;
    return () => {
      if (isTaken) this.#taken--;
      isTaken = false;
    };
  }
}
