/**
 * The port in front of a key-value store with revisions, leases and watches: the small part of etcd v3 that the
 * registry is built on. Keys are given without the configured prefix. Values are text.
 *
 * Every implementation passes `tests/contract/store_suite.ts`. Terms are those of the etcd v3 API reference.
 *
 * @module
 */

import type { Revision } from "../model.ts";

/** One key as the store holds it. */
export interface KeyValue {
  readonly key: string;
  readonly value: string;
  readonly createRevision: Revision;
  readonly modRevision: Revision;
  /** The lease it is bound to; "" if none. */
  readonly lease: string;
}

/** The content of several ranges, all read at one revision. */
export interface Snapshot {
  /** The store's revision at the time of the read. */
  readonly revision: Revision;
  /** One list for each requested range, in the order of the request, each sorted by key. */
  readonly ranges: readonly (readonly KeyValue[])[];
}

/**
 * A range of keys: one key, every key that starts with a prefix ("" for all), or every key from one to another, which is
 * not part of it ("" for the end). `keysOnly`: a read leaves out the values, which are then "". A watch never does.
 */
export type Range =
  | { readonly key: string }
  | { readonly prefix: string; readonly keysOnly?: true }
  | { readonly from: string; readonly to: string };

/** True if a range contains a key. */
export function isWithin(key: string, range: Range): boolean {
  if ("key" in range) return range.key === key;
  if ("prefix" in range) return key.startsWith(range.prefix);
  return key >= range.from && (range.to === "" || key < range.to);
}

/** A condition of a transaction. `mod` and `create` compare revisions (0: the key does not exist). */
export type Compare =
  | { readonly key: string; readonly mod: Revision }
  | { readonly key: string; readonly create: Revision }
  | { readonly key: string; readonly value: string };

/** A write of a transaction. */
export type Op =
  | { readonly put: string; readonly value: string; readonly lease?: string }
  | { readonly delete: string };

/** One change of one key. */
export type WatchEvent =
  | { readonly kind: "put"; readonly kv: KeyValue }
  | { readonly kind: "delete"; readonly key: string; readonly modRevision: Revision };

/** All changes below the watched ranges that happened at `revision`, never split. */
export interface WatchBatch {
  readonly revision: Revision;
  readonly events: readonly WatchEvent[];
}

/** The result of a transaction, and the revision of the store afterwards. */
export interface TransactionResult {
  readonly succeeded: boolean;
  readonly revision: Revision;
}

/** etcd's default `--max-txn-ops`: no more compares, nor more operations, in one transaction. */
export const maxTransactionOps = 128;

/** A key-value store with revisions. Every call has a deadline and rejects with `StoreUnavailableError` past it. */
export interface Store {
  /** Linearizable read of all ranges at one revision. */
  read(ranges: readonly Range[]): Promise<Snapshot>;
  /**
   * Applies all `ops` if every compare holds, else none. Throws {@link import("../mod.ts").OutcomeUnknownError} if the
   * transaction may have been applied or, unless the error is settled, may still be applied. With any other error it was
   * not applied and never will be.
   */
  transact(compares: readonly Compare[], ops: readonly Op[]): Promise<TransactionResult>;
  /**
   * Yields every change of the ranges after revision `after`, in order, starting with the first. For one range a batch
   * holds all changes of its revision; several ranges are each in order, but may arrive one after the other. Rejects with
   * {@link WatchLostError} when changes may have been missed (connection lost, compacted, canceled): read the ranges again
   * and open another watch. Ends when `signal` aborts.
   */
  watch(ranges: readonly Range[], after: Revision, signal: AbortSignal): AsyncIterable<WatchBatch>;
  /** Grants a lease of whole seconds and returns its id. */
  grant(ttl_s: number): Promise<string>;
  /** Renews a lease over a stream that is kept open; returns its remaining seconds, 0 if it no longer exists. */
  renew(lease: string, timeout_ms?: number): Promise<number>;
  /** Revokes a lease: every key bound to it is deleted. Succeeds for a lease that no longer exists. */
  revoke(lease: string): Promise<void>;
  /** The addresses or the path of the store, for messages. */
  readonly endpoints: string;
  close(): Promise<void>;
}

/** A watch has ended and may have missed changes. */
export class WatchLostError extends Error {
  override name = "WatchLostError";
}
