/**
 * Time limits of SSH connections.
 *
 * @module
 */

import type { Duplex } from "node:stream";
import { onceAborted } from "../../runtime/on_abort.ts";
import type { Io } from "../terminal/port.ts";

/** A time limit that does not run while the user is being asked a question. */
export class PausableTimeout {
  readonly #io: Io;
  readonly #late = new AbortController();
  #left_ms: number;
  #since_ms = 0;
  #running = new AbortController();

  /** Starts at once. After `limit_ms` the signal aborts with `reason`. */
  constructor(io: Io, limit_ms: number, reason: Error) {
    this.#io = io;
    this.#left_ms = limit_ms;
    this.#reason = reason;
    this.#run();
  }

  readonly #reason: Error;

  /** Aborts when the time limit has passed. */
  get signal(): AbortSignal {
    return this.#late.signal;
  }

  /** Runs `work`, whose time does not count. */
  async without<T>(work: () => Promise<T>): Promise<T> {
    this.stop();
    try {
      return await work();
    } finally {
      this.#run();
    }
  }

  /** Stops the clock. */
  stop(): void {
    if (this.#running.signal.aborted) return;
    this.#left_ms -= this.#io.now_ms() - this.#since_ms;
    this.#running.abort();
  }

  #run(): void {
    const running = this.#running = new AbortController();
    this.#since_ms = this.#io.now_ms();
    void this.#io.sleep(Math.max(this.#left_ms, 0), running.signal).then(() => {
      if (!running.signal.aborted) this.#late.abort(this.#reason);
    });
  }
}

/** Returns a stream that is being opened. Rejects with the reason of `signal` as soon as it aborts; a late stream is destroyed. */
export async function openUnlessAborted(opening: Promise<Duplex>, signal: AbortSignal): Promise<Duplex> {
  const aborted = Promise.withResolvers<never>();
  const stopListening = onceAborted([signal], () => {
    opening.then((late) => late.destroy(), () => {});
    aborted.reject(signal.reason);
  });
  try {
    return await Promise.race([opening, aborted.promise]);
  } finally {
    stopListening();
  }
}
