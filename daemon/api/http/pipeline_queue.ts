/**
 * A queue for pipelined requests, which are sent on one connection without waiting for responses. They are handled one
 * after the other, as their responses are sent (RFC 9112, section 9.3.2): a client that sends thousands and reads nothing
 * must not make the daemon produce thousands of responses. Pure.
 *
 * @module
 */

/** The requests that wait on each connection behind the one that is being handled. */
export class PipelineQueue<Key extends object> {
  readonly #waiting = new WeakMap<Key, (() => void)[]>();

  /** Calls `begin` at once, or after all earlier ones of its connection are done. Returns how many wait on the connection. */
  add(connection: Key, begin: () => void): number {
    const waiting = this.#waiting.get(connection);
    if (waiting) return waiting.push(begin);
    this.#waiting.set(connection, []);
    begin();
    return 0;
  }

  /** Ends the request that is being handled, and begins the next one. */
  done(connection: Key): void {
    const next = this.#waiting.get(connection)?.shift();
    if (next) next();
    else this.#waiting.delete(connection);
  }

  /** Drops the requests of a connection that can no longer receive responses. */
  drop(connection: Key): void {
    this.#waiting.delete(connection);
  }
}
