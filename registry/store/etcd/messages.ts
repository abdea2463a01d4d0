/**
 * Requests to etcd and its responses, as plain objects of its v3 API (etcdserverpb, mvccpb).
 *
 * int64 fields travel as decimal text; revisions stay far below 2^53 and are turned into numbers here.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import type { Compare, KeyValue, Op, Range, WatchEvent } from "../port.ts";

export interface Header {
  readonly revision: string;
}

export interface KeyValueMessage {
  readonly key: Buffer;
  readonly value: Buffer;
  readonly create_revision: string;
  readonly mod_revision: string;
  readonly lease: string;
}

export interface RangeResponse {
  readonly header: Header;
  readonly kvs: readonly KeyValueMessage[];
}

export interface TxnResponse {
  readonly header: Header;
  readonly succeeded: boolean;
  readonly responses: readonly { readonly response_range?: RangeResponse }[];
}

export interface LeaseResponse {
  readonly ID: string;
  readonly TTL: string;
}

export interface WatchResponse {
  readonly header: Header;
  readonly watch_id: string;
  readonly created: boolean;
  readonly canceled: boolean;
  readonly compact_revision: string;
  readonly cancel_reason: string;
  readonly fragment: boolean;
  readonly events: readonly { readonly type: "Put" | "Delete"; readonly kv: KeyValueMessage }[];
}

/** Converts between the registry's keys and etcd's keys, which start with `prefix`. */
export class Messages {
  readonly #length: number;

  constructor(private readonly prefix: string) {
    this.#length = Buffer.byteLength(prefix);
  }

  key(key: string): Buffer {
    return Buffer.from(this.prefix + key);
  }

  /** Returns the fields that a read and a watch of a range share. */
  range(range: Range): { readonly key: Buffer; readonly range_end?: Buffer } {
    if ("key" in range) return { key: this.key(range.key) };
    if ("prefix" in range) return between(this.key(range.prefix), rangeEnd(this.key(range.prefix)));
    return between(this.key(range.from), range.to === "" ? rangeEnd(this.key("")) : this.key(range.to));
  }

  /** Returns the request that reads a range. */
  rangeRequest(range: Range): object {
    return { ...this.range(range), ...("prefix" in range && range.keysOnly && { keys_only: true }) };
  }

  compare(compare: Compare): object {
    const key = this.key(compare.key);
    if ("mod" in compare) return { key, result: "Equal", target: "Mod", mod_revision: `${compare.mod}` };
    if ("create" in compare) return { key, result: "Equal", target: "Create", create_revision: `${compare.create}` };
    return { key, result: "Equal", target: "Value", value: Buffer.from(compare.value) };
  }

  op(op: Op): object {
    if ("delete" in op) return { request_delete_range: { key: this.key(op.delete) } };
    const lease = op.lease ? { lease: op.lease } : {};
    return { request_put: { key: this.key(op.put), value: Buffer.from(op.value), ...lease } };
  }

  keyValue(kv: KeyValueMessage): KeyValue {
    return {
      key: kv.key.toString("utf8", this.#length),
      value: kv.value.toString("utf8"),
      createRevision: Number(kv.create_revision),
      modRevision: Number(kv.mod_revision),
      lease: kv.lease === "0" ? "" : kv.lease,
    };
  }

  event(event: WatchResponse["events"][number]): WatchEvent {
    const kv = this.keyValue(event.kv);
    return event.type === "Delete" ? { kind: "delete", key: kv.key, modRevision: kv.modRevision } : { kind: "put", kv };
  }
}

/** Returns the range from one key to another. etcd wants `\0` for the empty key. */
function between(key: Buffer, range_end: Buffer): { readonly key: Buffer; readonly range_end: Buffer } {
  return { key: key.length > 0 ? key : Buffer.of(0), range_end };
}

/** Returns the first key after all that start with `prefix`; `\0` means the end of the key space. */
function rangeEnd(prefix: Buffer): Buffer {
  for (let last = prefix.length - 1; last >= 0; last--) {
    const byte = prefix[last] ?? 0;
    if (byte < 0xff) return Buffer.concat([prefix.subarray(0, last), Buffer.of(byte + 1)]);
  }
  return Buffer.of(0);
}
