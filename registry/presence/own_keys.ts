/**
 * Notices that something else has deleted or overwritten the keys that only this process writes: an operator's hand, or a
 * lease that has expired.
 *
 * @module
 */

import { follow, type FollowOptions } from "../views/follow.ts";
import { messageOf } from "../../runtime/log.ts";
import { WrongStoreError } from "../mod.ts";
import type { KeyValue, Range } from "../store/port.ts";

/** The keys of one process. */
export interface OwnKeys {
  /** Where all of them are. */
  readonly ranges: readonly Range[];
  /** Those that ought to be there now. */
  readonly keys: () => ReadonlySet<string>;
  /** Whether this process has written a value. */
  readonly owns: (kv: KeyValue) => boolean;
  /** Called with keys that are not, or no longer, as this process has written them; at least one. */
  readonly lost: (keys: readonly string[]) => void;
}

/** Watches the keys until `signal` aborts, or until the store turns out to be another one, which whoever writes finds out. */
export async function watchOwnKeys(own: OwnKeys, options: FollowOptions, signal: AbortSignal): Promise<void> {
  const tell = (keys: readonly string[]) => {
    if (keys.length > 0) own.lost(keys);
  };
  try {
    await follow(options, own.ranges, {
      fresh(kvs) {
        const found = new Set(kvs.filter(own.owns).map((kv) => kv.key));
        tell([...own.keys()].filter((key) => !found.has(key)));
      },
      batch({ events }) {
        const keys = own.keys();
        tell(events.flatMap((event) => {
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
