/**
 * Detects the deletion or the overwriting of keys that only this process writes, for example by an operator or by the
 * expiry of a lease.
 *
 * @module
 */

import { longestRetry_ms } from "../../runtime/clock.ts";
import { follow, type FollowOptions } from "../views/follow.ts";
import { messageOf } from "../../runtime/log.ts";
import { WrongStoreError } from "../mod.ts";
import type { KeyValue, Range } from "../store/port.ts";

/** The parts of a presence: what it follows the store with, and the time after which its lease expires. */
export interface LeaseOptions extends FollowOptions {
  readonly ttl_s: number;
}

/** Returns the time between two renewals of a lease, which is also the time limit of a renewal. */
export function renewalInterval_ms({ ttl_s }: LeaseOptions): number {
  return ttl_s * 1000 / 3;
}

/** The keys of one process. */
export interface OwnKeys {
  /** The ranges that contain them. */
  readonly ranges: readonly Range[];
  /** Returns the keys that should exist now. */
  readonly keys: () => ReadonlySet<string>;
  /** Returns true if this process has written a value. */
  readonly owns: (kv: KeyValue) => boolean;
  /** Called with the keys that are deleted or overwritten; at least one. */
  readonly lost: (keys: readonly string[]) => void;
}

/** Watches the keys until `signal` aborts, or until the store is found to be another one, which writers detect as well. */
export async function watchOwnKeys(own: OwnKeys, options: FollowOptions, signal: AbortSignal): Promise<void> {
  const report = (keys: readonly string[]) => {
    if (keys.length > 0) own.lost(keys);
  };
  try {
    await follow({ ...options, longestRetry_ms: longestRetry_ms.ofPresence }, own.ranges, {
      fresh(kvs) {
        const found = new Set(kvs.filter(own.owns).map((kv) => kv.key));
        report([...own.keys()].filter((key) => !found.has(key)));
      },
      batch({ events }) {
        const keys = own.keys();
        report(events.flatMap((event) => {
          if (event.kind === "delete") return keys.has(event.key) ? [event.key] : [];
          return own.owns(event.kv) ? [] : [event.kv.key];
        }));
      },
      lost() {},
    }, signal);
  } catch (error) {
    if (!(error instanceof WrongStoreError)) throw error;
    options.log("debug", "this process's own keys are no longer watched", { error: messageOf(error) });
  }
}
