/**
 * Requests that are sent on one connection without waiting for answers are carried out one after the other, as their
 * answers go out (RFC 9112, section 9.3.2): a client that sends thousands and reads nothing must not have thousands of
 * answers made. Pure.
 *
 * @module
 */

/** What waits on each connection, behind the request that is under way. */
export class Turns<Connection extends object> {
  readonly #waiting = new WeakMap<Connection, (() => void)[]>();

  /** Begins at once, or when all before it on its connection are done. Returns how many wait there now. */
  take(connection: Connection, begin: () => void): number {
    const waiting = this.#waiting.get(connection);
    if (waiting) return waiting.push(begin);
    this.#waiting.set(connection, []);
    begin();
    return 0;
  }

  /** The one under way is done. */
  done(connection: Connection): void {
    const next = this.#waiting.get(connection)?.shift();
    if (next) next();
    else this.#waiting.delete(connection);
  }

  /** Nobody is there any more to be answered. */
  drop(connection: Connection): void {
    this.#waiting.delete(connection);
  }
}
