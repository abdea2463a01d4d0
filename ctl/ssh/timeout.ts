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
  readonly #late = new AbortController();
  #since_ms = 0;
  #running = new AbortController();

  /** Starts at once. After `left_ms` the signal aborts with `reason`. */
  constructor(private readonly io: Io, private left_ms: number, private readonly reason: Error) {
    this.#run();
  }

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
    this.left_ms -= this.io.now_ms() - this.#since_ms;
    this.#running.abort();
  }

  #run(): void {
    const running = this.#running = new AbortController();
    this.#since_ms = this.io.now_ms();
    void this.io.sleep(Math.max(this.left_ms, 0), running.signal).then(() => {
      if (!running.signal.aborted) this.#late.abort(this.reason);
    });
  }
}

/** Settles like `work`, or rejects with the reason of `signal` as soon as it aborts. */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const stopListening = onceAborted([signal], () => aborted.reject(signal.reason));
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    stopListening();
  }
}

/** The same for a stream that is being opened: a stream that is late is destroyed. */
export async function openUnlessAborted(opening: Promise<Duplex>, signal: AbortSignal): Promise<Duplex> {
  try {
    return await unlessAborted(opening, signal);
  } catch (error) {
    opening.then((late) => late.destroy(), () => {});
    throw error;
  }
}
