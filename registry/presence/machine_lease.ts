/**
 * The lease of a machine: it is renewed until the membership ends, and replaced when it has expired.
 *
 * @module
 */

import { jittered_ms, retryDelay_ms } from "../../runtime/clock.ts";
import { messageOf } from "../../runtime/log.ts";
import { Notifier } from "../../runtime/notifier.ts";
import { type LeaseOptions, renewalInterval_ms } from "./own_keys.ts";

/** Dependencies and callbacks of a {@link MachineLease}. */
export interface MachineLeaseOptions extends LeaseOptions {
  /** Called after the lease was renewed in time. */
  readonly renewed: () => void;
  /** Called when the lease is found to have expired. */
  readonly expired: () => void;
}

/** Holds one lease. */
export class MachineLease {
  readonly #options: MachineLeaseOptions;
  readonly #interval = new Notifier();
  #every_ms = Infinity;
  #id: string;
  #since_ms = -Infinity;

  /** `id`: a lease that an earlier process has left; "" if there is none. */
  constructor(options: MachineLeaseOptions, id: string) {
    this.#options = options;
    this.#id = id;
  }

  /** The lease's ID; "" without a lease. */
  get id(): string {
    return this.#id;
  }

  /** Start of the latest call that renewed or granted the lease, milliseconds of the monotonic clock. */
  get since_ms(): number {
    return this.#since_ms;
  }

  /** Renews the lease at least every `interval_ms` from now on, and as often as its TTL needs. */
  renewEvery(interval_ms: number): void {
    if (interval_ms === this.#every_ms) return;
    this.#every_ms = interval_ms;
    this.#interval.notify();
  }

  /** Returns the lease's ID and has none from now on: the next daemon of this machine must not continue it. */
  giveUp(): string {
    const id = this.#id;
    this.#id = "";
    return id;
  }

  /** Renews the lease, or takes a new one if it has expired or has another TTL. Returns what has happened. */
  async ensure(): Promise<"renewed" | "first" | "replaced" | "expired"> {
    const { clock, session, ttl_s } = this.#options;
    const renewing_ms = clock.monotonic_ms();
    const left_s = this.#id === "" ? undefined : await session.renew(this.#id);
    // A renewed lease has its full TTL again, so another TTL was configured when it was granted.
    if (left_s === ttl_s) {
      this.#since_ms = renewing_ms;
      return "renewed";
    }
    const granting_ms = clock.monotonic_ms();
    this.#id = await session.grant(ttl_s);
    this.#since_ms = granting_ms;
    return left_s === undefined ? "first" : left_s > 0 ? "replaced" : "expired";
  }

  /** Renews the lease in time until `signal` aborts. Failures are logged, and the call is repeated. */
  async keepAlive(signal: AbortSignal): Promise<void> {
    const { clock, session, log, renewed, expired } = this.#options;
    let failing = false;
    while (!signal.aborted) {
      const seen = this.#interval.count;
      const interval_ms = () => Math.min(renewalInterval_ms(this.#options), this.#every_ms);
      if (failing) await clock.sleep(retryDelay_ms(clock), signal);
      else await this.#interval.waitPastFor(seen, jittered_ms(clock, interval_ms()), clock, signal);
      const id = this.#id;
      if (signal.aborted || id === "") continue;
      try {
        const begun_ms = clock.monotonic_ms();
        const left_s = await session.renew(id, interval_ms());
        failing = false;
        if (id !== this.#id) continue;
        if (left_s <= 0) expired();
        else {
          this.#since_ms = Math.max(this.#since_ms, begun_ms);
          renewed();
        }
      } catch (error) {
        log("warn", "this machine's lease could not be renewed, trying again", { error: messageOf(error) });
        failing = true;
      }
    }
  }
}
