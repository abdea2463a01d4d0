/**
 * Takes and gives up the locks of this machine's units of which only one copy may run in the cluster: those with
 * StopWhenDisconnected= or Unique=true.
 *
 * @module
 */

import type { Clock } from "../../runtime/clock.ts";
import { messageOf } from "../../runtime/log.ts";
import type { Revision, UnitName } from "../../registry/model.ts";
import type { Membership } from "../../registry/mod.ts";

/** Dependencies of {@link LockKeeper}. */
export interface LockKeeperOptions {
  readonly membership: Pick<Membership, "lease" | "locks">;
  readonly clock: Clock;
  /** Called when a request to the store has ended. */
  readonly changed: () => void;
}

/** One unit's lock, as far as it is known. */
interface KnownLock {
  /** The lease that the lock was taken for; "" if it is not known to be taken. */
  lease: string;
  /** A request to the store is in progress. */
  isBusy: boolean;
  /** The reason why the lock could not be taken; "" if it was not tried yet. */
  why: string;
  /** Monotonic clock. */
  retryAt_ms: number;
}

/** Pauses before the next request, milliseconds: another machine has the lock; the store has changed; it failed. */
const retry = { held_ms: 500, outdated_ms: 100, failed_ms: 1_000 } as const;

/** Holds the locks of one machine. */
export class LockKeeper {
  readonly #options: LockKeeperOptions;
  readonly #locks = new Map<UnitName, KnownLock>();
  /** The read of the locks that an earlier daemon has left: it may have been killed before it gave them up. */
  #inherited: "unknown" | "reading" | "known" = "unknown";
  #inheritAt_ms = 0;

  constructor(options: LockKeeperOptions) {
    this.#options = options;
  }

  /**
   * Returns the units among `wanted` whose lock this machine does not have, with the reason, "" while that is not known yet.
   * They must not be started. `wanted`: the revision of each unit's assignment. The locks of units that are neither wanted
   * nor on the machine are given up. Requests to the store are not awaited.
   */
  update(wanted: ReadonlyMap<UnitName, Revision>, isHere: (unit: UnitName) => boolean): ReadonlyMap<UnitName, string> {
    const now_ms = this.#options.clock.monotonic_ms();
    const { lease } = this.#options.membership;
    this.#inherit(now_ms);
    const missing = new Map<UnitName, string>();
    for (const [unit, revision] of wanted) {
      const lock = this.#lockOf(unit);
      if (lock.lease !== "" && lock.lease === lease) continue;
      missing.set(unit, lock.why);
      if (!lock.isBusy && lock.retryAt_ms <= now_ms) void this.#take(unit, revision, lock);
    }
    for (const [unit, lock] of this.#locks) {
      if (wanted.has(unit) || isHere(unit) || lock.isBusy || lock.retryAt_ms > now_ms) continue;
      void this.#release(unit, lock);
    }
    return missing;
  }

  /** Has the store confirm the lock and the assignment of a unit before the unit is started again. */
  confirmAgain(unit: UnitName): void {
    const lock = this.#locks.get(unit);
    if (lock) lock.lease = "";
  }

  /** Returns the milliseconds until a request is due; Infinity if none is. */
  nextTry_ms(now_ms: number): number {
    const due_ms = [...this.#locks.values()].map(({ retryAt_ms }) => retryAt_ms);
    if (this.#inherited === "unknown") due_ms.push(this.#inheritAt_ms);
    return Math.min(...due_ms.filter((at_ms) => at_ms > now_ms).map((at_ms) => at_ms - now_ms));
  }

  #lockOf(unit: UnitName): KnownLock {
    let lock = this.#locks.get(unit);
    if (!lock) this.#locks.set(unit, lock = { lease: "", isBusy: false, why: "", retryAt_ms: 0 });
    return lock;
  }

  #inherit(now_ms: number): void {
    const { membership, clock, changed } = this.#options;
    if (this.#inherited !== "unknown" || this.#inheritAt_ms > now_ms) return;
    this.#inherited = "reading";
    membership.locks.held().then((units) => {
      this.#inherited = "known";
      for (const unit of units) this.#lockOf(unit);
      if (units.length > 0) changed();
    }, () => {
      this.#inherited = "unknown";
      this.#inheritAt_ms = clock.monotonic_ms() + retry.failed_ms;
    });
  }

  async #take(unit: UnitName, revision: Revision, lock: KnownLock): Promise<void> {
    const { membership: { locks, lease } } = this.#options;
    if (lease === "") return;
    await this.#request(lock, async () => {
      const outcome = await locks.take(unit, revision, lease);
      if (outcome.kind === "locked") {
        lock.lease = lease;
        lock.why = "";
        return 0;
      }
      if (outcome.kind === "outdated") return retry.outdated_ms;
      lock.why = `waiting until machine ${outcome.machine.slice(0, 8)}... has stopped it or its lease has expired: ` +
        "only one copy may run";
      return retry.held_ms;
    });
  }

  async #release(unit: UnitName, lock: KnownLock): Promise<void> {
    await this.#request(lock, async () => {
      await this.#options.membership.locks.release(unit);
      this.#locks.delete(unit);
      return 0;
    });
  }

  /** Sends a request, which returns the milliseconds until the next one. */
  async #request(lock: KnownLock, send: () => Promise<number>): Promise<void> {
    const { clock, changed } = this.#options;
    lock.isBusy = true;
    let pause_ms: number;
    try {
      pause_ms = await send();
    } catch (error) {
      lock.why = `its lock in the store cannot be taken: ${messageOf(error)}`;
      pause_ms = retry.failed_ms;
    }
    lock.retryAt_ms = clock.monotonic_ms() + pause_ms;
    lock.isBusy = false;
    changed();
  }
}
