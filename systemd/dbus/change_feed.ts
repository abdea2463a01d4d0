/**
 * Delivers changes to readers, coalesced.
 *
 * @module
 */

import type { SystemdChange } from "../port.ts";

interface Reader {
  all: boolean;
  names: Set<string>;
  wake: () => void;
}

/** Delivers every change to every reader. A slow reader receives one change with all names. */
export class ChangeFeed {
  readonly #readers = new Set<Reader>();

  /** Reports that a unit may have changed. */
  notify(name: string): void {
    for (const reader of this.#readers) {
      reader.names.add(name);
      reader.wake();
    }
  }

  /** Reports that any unit may have changed. */
  notifyAll(): void {
    for (const reader of this.#readers) {
      reader.all = true;
      reader.wake();
    }
  }

  /** Yields changes from the first `next()` on, until `signal` aborts. */
  async *watch(signal: AbortSignal): AsyncGenerator<SystemdChange> {
    const reader: Reader = { all: false, names: new Set(), wake: () => {} };
    const wake = () => reader.wake();
    this.#readers.add(reader);
    signal.addEventListener("abort", wake);
    try {
      while (!signal.aborted) {
        if (reader.all || reader.names.size > 0) {
          const change = { units: reader.all ? undefined : reader.names };
          reader.all = false;
          reader.names = new Set();
          yield change;
        } else {
          await new Promise<void>((resolve) => reader.wake = resolve);
        }
      }
    } finally {
      this.#readers.delete(reader);
      signal.removeEventListener("abort", wake);
    }
  }
}
