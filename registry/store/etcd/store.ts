/**
 * The store on an etcd v3 cluster. An adapter.
 *
 * @module
 */

import type { Revision } from "../../model.ts";
import type { Compare, Op, Range, Snapshot, Store, TransactionResult, WatchBatch } from "../port.ts";
import { EtcdConnection, type EtcdOptions } from "./connection.ts";
import { LeaseRenewals } from "./leases.ts";
import { type LeaseResponse, Messages, type RangeResponse, type TxnResponse } from "./messages.ts";
import { EtcdRefusedError } from "./refusals.ts";
import { watchRanges } from "./watch.ts";

export type { EtcdOptions };

/** Deadline of a read of the whole store: longer than gRPC needs to detect a dead connection. */
const wholeStoreTimeout_ms = 10_000;

/** Opens a store on an etcd cluster. Loads the client library; the first call connects. */
export async function openEtcdStore(options: EtcdOptions): Promise<Store> {
  return new EtcdStore(await EtcdConnection.create(options), options.prefix);
}

/** True if a range holds most of the store. */
function isLarge(range: Range): boolean {
  return "from" in range || "prefix" in range && range.prefix === "";
}

class EtcdStore implements Store {
  readonly #messages: Messages;
  readonly #renewals: LeaseRenewals;

  constructor(private readonly connection: EtcdConnection, prefix: string) {
    this.#messages = new Messages(prefix.endsWith("/") ? prefix : `${prefix}/`);
    this.#renewals = new LeaseRenewals(connection);
  }

  get endpoints(): string {
    return this.connection.endpoints;
  }

  async read(ranges: readonly Range[]): Promise<Snapshot> {
    const success = ranges.map((range) => ({ request_range: this.#messages.rangeRequest(range) }));
    const response = await this.connection.call<TxnResponse>("KV", "txn", { success }, {
      repeatable: true,
      ...(ranges.some(isLarge) ? { timeout_ms: wholeStoreTimeout_ms } : {}),
    });
    const found = response.responses.map((each) => each.response_range?.kvs ?? []);
    return {
      revision: Number(response.header.revision),
      ranges: found.map((kvs: RangeResponse["kvs"]) => kvs.map((kv) => this.#messages.keyValue(kv))),
    };
  }

  async transact(compares: readonly Compare[], ops: readonly Op[]): Promise<TransactionResult> {
    const compare = compares.map((each) => this.#messages.compare(each));
    const success = ops.map((op) => this.#messages.op(op));
    const response = await this.connection.call<TxnResponse>("KV", "txn", { compare, success }, {
      repeatable: false,
    });
    return { succeeded: response.succeeded, revision: Number(response.header.revision) };
  }

  watch(ranges: readonly Range[], after: Revision, signal: AbortSignal): AsyncIterable<WatchBatch> {
    return watchRanges(this.connection, this.#messages, ranges, after, signal);
  }

  async grant(ttl_s: number): Promise<string> {
    // Repeatable: a lease whose id was lost expires.
    const request = { TTL: `${Math.max(1, Math.ceil(ttl_s))}` };
    const { ID } = await this.connection.call<LeaseResponse>("Lease", "leaseGrant", request, { repeatable: true });
    return ID;
  }

  renew(lease: string, timeout_ms = Infinity): Promise<number> {
    return this.#renewals.renew(lease, Math.min(timeout_ms, this.connection.requestTimeout_ms));
  }

  async revoke(lease: string): Promise<void> {
    try {
      await this.connection.call("Lease", "leaseRevoke", { ID: lease }, { repeatable: true });
    } catch (error) {
      if (!(error instanceof EtcdRefusedError && error.isNotFound)) throw error;
    }
  }

  // deno-lint-ignore require-await -- the port allows other stores to take their time
  async close(): Promise<void> {
    this.#renewals.close();
    this.connection.close();
  }
}
