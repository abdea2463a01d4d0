/**
 * Delivers changes to readers, coalesced.
 *
 * @module
 */

import { Notifier } from "../../runtime/notifier.ts";
import type { SystemdChange } from "../port.ts";

/** The changes that a reader has not received yet. */
interface Pending {
  all: boolean;
  names: Set<string>;
}

/** Delivers every change to every reader. A slow reader receives one change with all names. */
export class ChangeFeed {
  readonly #readers = new Set<Pending>();
  readonly #notifier = new Notifier();

  /** Reports that a unit may have changed. */
  notify(name: string): void {
    for (const pending of this.#readers) pending.names.add(name);
    this.#notifier.notify();
  }

  /** Reports that any unit may have changed. */
  notifyAll(): void {
    for (const pending of this.#readers) pending.all = true;
    this.#notifier.notify();
  }

  /** Yields changes from the first `next()` on, until `signal` aborts. */
  async *watch(signal: AbortSignal): AsyncGenerator<SystemdChange> {
    const pending: Pending = { all: false, names: new Set() };
    this.#readers.add(pending);
    try {
      while (!signal.aborted) {
        const seen = this.#notifier.count;
        const { all, names } = pending;
        if (all || names.size > 0) {
          Object.assign(pending, { all: false, names: new Set() });
          yield { units: all ? undefined : names };
        } else await this.#notifier.waitPast(seen, signal);
      }
    } finally {
      this.#readers.delete(pending);
    }
  }
}
