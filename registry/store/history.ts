/**
 * The latest changes of a store, from which watches start and catch up. Pure.
 *
 * @module
 */

import type { Revision } from "../model.ts";
import { isWithin, type Range, type WatchBatch, type WatchEvent, WatchLostError } from "./port.ts";

/** Limits of a history, whichever is reached first. The latest revision is always kept. */
export interface HistoryLimits {
  readonly revisions: number;
  /** Characters of all keys and values. */
  readonly characters: number;
}

/** One batch for each revision, without gaps; the oldest ones are dropped. */
export class History {
  readonly #batches: WatchBatch[] = [];
  #characters = 0;

  /** `revision` is the store's current one: watches can start after it, not before. */
  constructor(private revision: Revision, private readonly limits: HistoryLimits) {}

  /** The revision of the latest change. */
  get newest(): Revision {
    return this.revision;
  }

  /** Appends all changes of the next revision. */
  push(events: readonly WatchEvent[]): void {
    this.revision++;
    this.#batches.push({ revision: this.revision, events });
    this.#characters += sizeOf(events);
    const { revisions, characters } = this.limits;
    while (this.#batches.length > 1 && (this.#batches.length > revisions || this.#characters > characters)) {
      this.#characters -= sizeOf(this.#batches.shift()!.events);
    }
  }

  /**
   * Returns the first changes after a revision; undefined if there are none yet. Throws {@link WatchLostError} if they are
   * no longer kept, or if the store has not reached that revision.
   */
  next(after: Revision): WatchBatch | undefined {
    const oldest = this.revision - this.#batches.length;
    if (after < oldest) {
      throw new WatchLostError(`the watch fell behind: history up to revision ${oldest} is no longer kept`);
    }
    if (after > this.revision) {
      throw new WatchLostError(
        `the store is at revision ${this.revision}, before revision ${after} that was read from it`,
      );
    }
    return this.#batches[after - oldest];
  }
}

/** Returns true if a change is in one of the ranges. */
export function concerns(event: WatchEvent, ranges: readonly Range[]): boolean {
  const changed = event.kind === "put" ? event.kv.key : event.key;
  return ranges.some((range) => isWithin(changed, range));
}

function sizeOf(events: readonly WatchEvent[]): number {
  return events.reduce(
    (sum, event) => sum + (event.kind === "put" ? event.kv.key.length + event.kv.value.length : event.key.length),
    0,
  );
}
