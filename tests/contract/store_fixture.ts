/**
 * What the cases of the contract of {@link Store} start from, and what they read and write.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { Revision } from "../../registry/model.ts";
import {
  type KeyValue,
  type Op,
  type Range,
  type Store,
  type WatchBatch,
  type WatchEvent,
  WatchLostError,
} from "../../registry/store/port.ts";

/** An empty store for one case. */
export interface StoreFixture {
  readonly store: Store;
  /** Another user of the same store, where there can be one; else the same. */
  readonly other: Store;
  /** Makes the store forget its history up to now. */
  forgetHistory(): Promise<void>;
}

export interface StoreCase {
  readonly name: string;
  run(fixture: StoreFixture): Promise<void>;
}

/** Only a broken store takes this long. */
export const deadline_ms = 20_000;

export const put = (key: string, value = "", lease = ""): Op => ({ put: key, value, ...(lease ? { lease } : {}) });
export const everything: Range = { prefix: "" };

export async function write(store: Store, ...ops: Op[]): Promise<Revision> {
  const { succeeded, revision } = await store.transact([], ops);
  assert(succeeded);
  return revision;
}

export async function keys(store: Store, range: Range = everything): Promise<string[]> {
  const { ranges } = await store.read([range]);
  return ranges[0]!.map(({ key }) => key);
}

export async function one(store: Store, key: string): Promise<KeyValue | undefined> {
  return (await store.read([{ key }])).ranges[0]![0];
}

/** Returns the first batches of a watch, until `enough`. Fails when that takes too long. */
export async function watched(
  store: Store,
  ranges: readonly Range[],
  after: Revision,
  enough: (batches: readonly WatchBatch[]) => boolean,
): Promise<WatchBatch[]> {
  const late = AbortSignal.timeout(deadline_ms);
  const stop = new AbortController();
  const batches: WatchBatch[] = [];
  for await (const batch of store.watch(ranges, after, AbortSignal.any([late, stop.signal]))) {
    batches.push(batch);
    if (enough(batches)) stop.abort();
  }
  assert(!late.aborted, `the watch only yielded ${JSON.stringify(batches)}`);
  return batches;
}

export const count = (wanted: number) => (batches: readonly WatchBatch[]) => batches.length >= wanted;

export const summary = ({ events }: WatchBatch): string[] => events.map(brief).sort();

export function brief(event: WatchEvent): string {
  return event.kind === "put" ? `${event.kv.key}=${event.kv.value}` : `-${event.key}`;
}

/** Waits until a key is deleted. */
export async function vanished(store: Store, key: string, after: Revision): Promise<WatchBatch> {
  const gone = (batch: WatchBatch | undefined) => batch?.events.some((event) => event.kind === "delete") ?? false;
  return (await watched(store, [{ key }], after, (batches) => gone(batches.at(-1)))).at(-1)!;
}

export async function lost(store: Store, after: Revision): Promise<void> {
  await assert.rejects(watched(store, [everything], after, count(1)), WatchLostError);
}
