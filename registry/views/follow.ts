/**
 * Follows ranges of the store: a full read, then every change. After a lost watch, compaction or an outage it reads again.
 *
 * @module
 */

import { type Clock, retryDelay_ms } from "../../runtime/clock.ts";
import { type Log, messageOf } from "../../runtime/log.ts";
import { StoreUnavailableError, WrongStoreError } from "../mod.ts";
import type { Revision } from "../model.ts";
import type { StoreSession } from "../writes/session.ts";
import { type KeyValue, type Range, type WatchBatch, WatchLostError } from "../store/port.ts";

/** Callbacks of {@link follow}. Between {@link lost} and the next {@link fresh} the data is not current. */
export interface Follower {
  fresh(kvs: readonly KeyValue[], revision: Revision): void;
  batch(batch: WatchBatch): void;
  lost(): void;
}

/** The parts that everything which follows the store uses. */
export interface FollowOptions {
  readonly session: StoreSession;
  readonly clock: Clock;
  readonly log: Log;
  /** The longest pause before the store is read again, see {@link retryDelay_ms}. Default: that of a small read. */
  readonly longestRetry_ms?: number;
  /** The ranges that are read; by default those that are watched. */
  readonly reads?: readonly Range[];
}

/** Follows `ranges` until `signal` aborts. Throws {@link import("../mod.ts").WrongStoreError}. */
export async function follow(
  { session, clock, log, longestRetry_ms, reads }: FollowOptions,
  ranges: readonly Range[],
  follower: Follower,
  signal: AbortSignal,
): Promise<void> {
  let failures = 0;
  while (!signal.aborted) {
    try {
      const snapshot = await session.read(reads ?? ranges);
      if (signal.aborted) return;
      failures = 0;
      follower.fresh(snapshot.ranges.flat(), snapshot.revision);
      for await (const batch of session.watch(ranges, snapshot.revision, signal)) {
        if (signal.aborted) return;
        follower.batch(batch);
      }
    } catch (error) {
      if (signal.aborted) return;
      follower.lost();
      if (error instanceof WrongStoreError) throw error;
      const expected = error instanceof WatchLostError || error instanceof StoreUnavailableError;
      log(expected ? "debug" : "error", "the watch of the store was lost, reading the store again", {
        endpoints: session.endpoints,
        error: messageOf(error),
      });
    }
    await clock.sleep(retryDelay_ms(clock, failures++, longestRetry_ms), signal);
  }
}
