/**
 * Repeats requests to a cluster that does not answer for a while.
 *
 * @module
 */

import { isRefusal } from "../api/refusal.ts";
import { type Io, reasonOf } from "../terminal/port.ts";

/** Longest time for which requests to a cluster that does not answer are repeated, and the pause between them. */
const outage_ms = 60_000;
const pause_ms = 500;

/** Repeats requests that one cluster does not answer. All of them share one limit, from the first failure on. */
export class Patience {
  readonly #limit_ms: number;
  #failing_ms: number | undefined;

  /** `limit_s`: the limit if it is shorter than the usual one; 0 for none. */
  constructor(private readonly io: Io, limit_s: number) {
    this.#limit_ms = Math.min(outage_ms, limit_s > 0 ? limit_s * 1000 : Infinity);
  }

  /** Sends a request, again until it is answered or refused, or time is over. */
  async try<T>(request: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        const answer = await request();
        this.#failing_ms = undefined;
        return answer;
      } catch (error) {
        if (isRefusal(error)) throw error;
        const isFirst = this.#failing_ms === undefined;
        this.#failing_ms ??= this.io.now_ms();
        if (this.io.now_ms() - this.#failing_ms >= this.#limit_ms) throw error;
        if (isFirst) this.io.notice(`${reasonOf(error).replace(/[^.?]$/, "$&.")} Trying again`);
        await this.io.sleep(pause_ms);
      }
    }
  }
}
