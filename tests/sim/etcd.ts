/**
 * A simulated etcd: one key space with revisions, leases, watches and compaction. It passes the contract suite of stores
 * (tests/contract/store_suite.ts) through {@link import("./store_client.ts").StoreClient}.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import {
  type Compare,
  isWithin,
  type KeyValue,
  maxTransactionOps,
  type Op,
  type Range,
  type Snapshot,
  type TransactionResult,
  type WatchBatch,
  type WatchEvent,
  WatchLostError,
} from "../../registry/store/port.ts";
import type { Timeline } from "./timeline.ts";

interface Lease {
  readonly ttl_s: number;
  readonly keys: Set<string>;
  cancel: () => void;
}

/** A watch of one range. */
export interface Watcher {
  readonly range: Range;
  /** Called with the changes of each revision, in order. */
  readonly push: (batch: WatchBatch) => void;
}

/** The number of revisions that watches can catch up with. */
const history = 400;

/** The state of the store. Calls are carried out at once: delays and losses are the network's. */
export class SimulatedEtcd {
  readonly #keys = new Map<string, KeyValue>();
  readonly #leases = new Map<string, Lease>();
  readonly #batches: WatchBatch[] = [];
  readonly #watchers = new Set<Watcher>();
  #revision = 1;
  #leaseCount = 0;

  /** `committed` is called after each revision. */
  constructor(
    private readonly timeline: Timeline,
    private readonly committed: (batch: WatchBatch) => void = () => {},
  ) {}

  get revision(): number {
    return this.#revision;
  }

  get(key: string): KeyValue | undefined {
    return this.#keys.get(key);
  }

  /** Returns the keys of a range, sorted. */
  range(range: Range): KeyValue[] {
    if ("key" in range) {
      const found = this.#keys.get(range.key);
      return found ? [found] : [];
    }
    const within = [...this.#keys.values()].filter(({ key }) => isWithin(key, range));
    const found = "prefix" in range && range.keysOnly ? within.map((kv) => ({ ...kv, value: "" })) : within;
    return found.sort((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)));
  }

  read(ranges: readonly Range[]): Snapshot {
    refuseTooMany(ranges.length);
    return { revision: this.#revision, ranges: ranges.map((range) => this.range(range)) };
  }

  transact(compares: readonly Compare[], ops: readonly Op[]): TransactionResult {
    refuseTooMany(compares.length);
    refuseTooMany(ops.length);
    refuseRepeatedKeys(ops);
    const succeeded = compares.every((compare) => this.#holds(compare));
    if (succeeded) {
      for (const op of ops) {
        if ("put" in op && op.lease && !this.#leases.has(op.lease)) throw new Error(`lease ${op.lease} does not exist`);
      }
      this.#commit(ops);
    }
    return { succeeded, revision: this.#revision };
  }

  grant(ttl_s: number): string {
    const id = `${++this.#leaseCount}`;
    const lease = { ttl_s: Math.max(1, Math.ceil(ttl_s)), keys: new Set<string>(), cancel: () => {} };
    this.#leases.set(id, lease);
    this.#arm(id, lease);
    return id;
  }

  renew(id: string): number {
    const lease = this.#leases.get(id);
    if (!lease) return 0;
    this.#arm(id, lease);
    return lease.ttl_s;
  }

  /** Ends a lease, if it exists, and deletes its keys at one revision. */
  revoke(id: string): void {
    const lease = this.#leases.get(id);
    if (!lease) return;
    lease.cancel();
    this.#leases.delete(id);
    this.#commit([...lease.keys].sort().map((key) => ({ delete: key })));
  }

  /** Gives every lease its full time again, as a new leader of etcd does. */
  extendLeases(): void {
    for (const [id, lease] of this.#leases) this.#arm(id, lease);
  }

  /** Stops the time of leases while etcd has no leader. */
  suspendLeases(): void {
    for (const lease of this.#leases.values()) lease.cancel();
  }

  /** Forgets the changes up to now: a watch from an earlier revision is lost. */
  compact(): void {
    this.#batches.length = 0;
  }

  /**
   * Starts a watch after a revision, beginning with changes that are known already. Throws {@link WatchLostError} if they
   * were compacted, or if the store has not reached that revision.
   */
  watch(watcher: Watcher, after: number): () => void {
    const oldest = this.#revision - this.#batches.length;
    if (after < oldest) throw new WatchLostError(`history before revision ${oldest} was compacted`);
    if (after > this.#revision) throw new WatchLostError(`the store is at revision ${this.#revision}, before ${after}`);
    for (const batch of this.#batches.slice(after - oldest)) notify(watcher, batch);
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  #holds(compare: Compare): boolean {
    const found = this.#keys.get(compare.key);
    if ("mod" in compare) return (found?.modRevision ?? 0) === compare.mod;
    if ("create" in compare) return (found?.createRevision ?? 0) === compare.create;
    return found?.value === compare.value;
  }

  #commit(ops: readonly Op[]): void {
    const revision = this.#revision + 1;
    const events = ops.flatMap((op) => this.#apply(op, revision));
    if (events.length === 0) return;
    this.#revision = revision;
    const batch = { revision, events };
    this.#batches.push(batch);
    if (this.#batches.length > history) this.#batches.shift();
    for (const watcher of this.#watchers) notify(watcher, batch);
    this.committed(batch);
  }

  #apply(op: Op, revision: number): WatchEvent[] {
    const key = "put" in op ? op.put : op.delete;
    const before = this.#keys.get(key);
    if (before?.lease) this.#leases.get(before.lease)?.keys.delete(key);
    if ("delete" in op) {
      if (!before) return [];
      this.#keys.delete(key);
      return [{ kind: "delete", key, modRevision: revision }];
    }
    const lease = op.lease ?? "";
    const createRevision = before?.createRevision ?? revision;
    const kv = { key, value: op.value, createRevision, modRevision: revision, lease };
    this.#keys.set(key, kv);
    if (lease) this.#leases.get(lease)!.keys.add(key);
    return [{ kind: "put", kv }];
  }

  #arm(id: string, lease: Lease): void {
    lease.cancel();
    lease.cancel = this.timeline.after(lease.ttl_s * 1000, () => this.revoke(id));
  }
}

function notify(watcher: Watcher, { revision, events }: WatchBatch): void {
  const { range } = watcher;
  const found = events.filter((event) => {
    const key = event.kind === "put" ? event.kv.key : event.key;
    return isWithin(key, range);
  });
  if (found.length > 0) watcher.push({ revision, events: found });
}

function refuseTooMany(count: number): void {
  if (count > maxTransactionOps) throw new RangeError(`a transaction has at most ${maxTransactionOps} operations`);
}

function refuseRepeatedKeys(ops: readonly Op[]): void {
  const deleted = new Set(ops.flatMap((op) => "delete" in op ? [op.delete] : []));
  const put = new Set<string>();
  for (const op of ops) {
    if (!("put" in op)) continue;
    if (put.has(op.put) || deleted.has(op.put)) throw new RangeError(`a transaction writes ${op.put} twice`);
    put.add(op.put);
  }
}
