/**
 * The registry's access to the store: checks with every call that it is still the same store, and tracks outages.
 *
 * @module
 */

import type { Clock } from "../../runtime/clock.ts";
import { Fence, type UnsettledWrites } from "./fence.ts";
import { clusterKey, fenceKey } from "../schema/keys.ts";
import { OutcomeUnknownError, type StoreMemory, StoreUnavailableError, WrongStoreError } from "../mod.ts";
import type { Revision } from "../model.ts";
import {
  type Compare,
  type Op,
  type Range,
  type Snapshot,
  type Store,
  type TransactionResult,
  type WatchBatch,
  WatchLostError,
} from "../store/port.ts";

/** Attempts at a transaction while other processes of the same writer raise the fence that it compares. */
const maxAttempts = 5;

/**
 * Every read checks the store's id and that the store has not gone back; every transaction compares the id, and its answer is
 * checked the same way. So a store that was wiped, restored or swapped is reported by {@link WrongStoreError}. Nothing is
 * written to a store with another id. An older copy of the same store has the same id: a transaction whose other conditions
 * hold there too is applied, and only its response reports that the store has gone back. Every transaction compares the
 * writer's {@link Fence}, too, so none is applied after this session has said that it failed.
 */
export class StoreSession {
  readonly #fence: Fence;
  #id: string | undefined;
  #highest: Revision = 0;
  #isAway = false;
  #awayUntil_ms = 0;

  /**
   * `writer` returns the name of the fence, and is called by {@link open}. Sessions that share a fence sometimes have to
   * repeat a write.
   */
  constructor(
    private readonly store: Store,
    private readonly clock: Clock,
    private readonly writer: () => Promise<string>,
    unsettledWrites: UnsettledWrites = new Map(),
  ) {
    this.#fence = new Fence(
      {
        endpoints: store.endpoints,
        read: (ranges) => this.read(ranges),
        transact: (compares, ops) => this.#transact(this.#known(), compares, ops),
      },
      clock,
      unsettledWrites,
    );
  }

  get endpoints(): string {
    return this.store.endpoints;
  }

  get memory(): StoreMemory | undefined {
    return this.#id === undefined ? undefined : { id: this.#id, revision: this.#highest };
  }

  /** See {@link import("../mod.ts").Registry.awayUntil_ms}. */
  get awayUntil_ms(): number {
    return this.#isAway ? Infinity : this.#awayUntil_ms;
  }

  /** The number of compares that the session adds to a transaction: the store's id and the fence. */
  static readonly ownCompares = 2;

  /** Identifies the store, and creates the id of an empty one if no store is remembered. */
  async open(remembered: StoreMemory | undefined): Promise<StoreMemory> {
    const writer = await this.writer();
    const found = await this.#readIdentity(writer);
    const id = found.ranges[0]?.[0]?.value;
    if (remembered !== undefined) {
      if (id !== remembered.id || found.revision < remembered.revision) {
        throw new WrongStoreError(remembered, { ...(id === undefined ? {} : { id }), revision: found.revision });
      }
      return this.#adopt(id, writer, found);
    }
    return id === undefined ? await this.#createId(writer) : this.#adopt(id, writer, found);
  }

  #readIdentity(writer: string): Promise<Snapshot> {
    return this.#observe(() => this.store.read([{ key: clusterKey }, { key: fenceKey(writer) }]));
  }

  /**
   * Creates the id. If several daemons find the store empty at once, one of them creates the id and all adopt it. Needs no
   * fence: applied late, the write does what the next daemon that finds the store empty would do.
   */
  async #createId(writer: string): Promise<StoreMemory> {
    const created = this.randomId();
    await this.#observe(() =>
      this.store.transact([{ key: clusterKey, create: 0 }], [{ put: clusterKey, value: created }])
    );
    const found = await this.#readIdentity(writer);
    const id = found.ranges[0]?.[0]?.value;
    if (id === undefined) throw new Error(`the cluster id at ${this.endpoints} vanished right after it was created`);
    return this.#adopt(id, writer, found);
  }

  /** Returns a unique random text. */
  randomId(): string {
    const word = () => Math.floor(this.clock.random() * 2 ** 32).toString(16).padStart(8, "0");
    return word() + word() + word() + word();
  }

  #adopt(id: string, writer: string, found: Snapshot): StoreMemory {
    this.#id = id;
    this.#highest = found.revision;
    this.#fence.open(writer, id, found, 1);
    return { id, revision: found.revision };
  }

  /** Reads the ranges. Throws {@link WrongStoreError}. */
  async read(ranges: readonly Range[]): Promise<Snapshot> {
    const before = this.#known();
    const { revision, ranges: [cluster, ...found] } = await this.#observe(() =>
      this.store.read([{ key: clusterKey }, ...ranges])
    );
    const id = cluster?.[0]?.value;
    // Compared with the id and revision known when the read was sent: responses may overtake each other.
    if (id !== before.id || revision < before.revision) {
      throw new WrongStoreError(before, { ...(id === undefined ? {} : { id }), revision });
    }
    this.#recordRevision(revision);
    return { revision, ranges: found };
  }

  /** Throws {@link WrongStoreError} if `id`, seen by a watch, is not the id of this store. */
  check(id: string, revision: Revision): void {
    const known = this.#known();
    if (id !== known.id) throw new WrongStoreError(known, { ...(id === "" ? {} : { id }), revision });
  }

  /**
   * Applies a transaction if all compares hold. Throws {@link WrongStoreError}. Throws {@link OutcomeUnknownError} if it is
   * not known whether it was applied; unless that is settled, nothing else is written before the fence is raised.
   */
  async transact(compares: readonly Compare[], ops: readonly Op[]): Promise<TransactionResult> {
    for (let attempt = 1;; attempt++) {
      if (this.#fence.isUnsettled) await this.#fence.settled();
      const before = this.#known();
      const fence = this.#fence.known;
      let result: TransactionResult;
      try {
        result = await this.#transact(before, [this.#fence.compare, ...compares], ops);
      } catch (error) {
        if (!(error instanceof OutcomeUnknownError) || error.settled) throw error;
        this.#fence.markUnsettled(fence);
        throw await this.#settle(error);
      }
      if (result.revision < before.revision) {
        // A transaction that succeeded has compared the id. If it failed, a read finds the id, and throws.
        if (result.succeeded) throw new WrongStoreError(before, { id: before.id, revision: result.revision });
        await this.read([]);
      }
      // The failed compare may be that of the id or of the fence: this read throws in the first case.
      if (!result.succeeded) {
        await this.#fence.refresh();
        if (this.#fence.known.mod !== fence.mod && attempt < maxAttempts) continue;
      }
      this.#recordRevision(result.revision);
      return result;
    }
  }

  #transact(known: StoreMemory, compares: readonly Compare[], ops: readonly Op[]): Promise<TransactionResult> {
    return this.#observe(() => this.store.transact([{ key: clusterKey, value: known.id }, ...compares], ops));
  }

  /** Raises the fence and returns the error as settled; returns it as not settled if the store cannot be reached in time. */
  async #settle({ failure, cause }: OutcomeUnknownError): Promise<OutcomeUnknownError> {
    try {
      await this.#fence.settled();
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error;
      return new OutcomeUnknownError(failure, false, { cause });
    }
    return new OutcomeUnknownError(failure, true, { cause });
  }

  /** See {@link Store.watch}. */
  async *watch(ranges: readonly Range[], after: Revision, signal: AbortSignal): AsyncIterable<WatchBatch> {
    try {
      for await (const batch of this.store.watch(ranges, after, signal)) {
        this.#recordRevision(batch.revision);
        yield batch;
      }
    } catch (error) {
      if (error instanceof WatchLostError) this.#isAway = true;
      throw error;
    }
  }

  grant(ttl_s: number): Promise<string> {
    return this.#observe(() => this.store.grant(ttl_s));
  }

  renew(lease: string, timeout_ms?: number): Promise<number> {
    return this.#observe(() => this.store.renew(lease, timeout_ms));
  }

  revoke(lease: string): Promise<void> {
    return this.#observe(() => this.store.revoke(lease));
  }

  /** Ends the session. The store stays open. */
  close(): void {
    this.#fence.close();
  }

  #known(): StoreMemory {
    const known = this.memory;
    if (known === undefined) throw new Error("the registry was used before it was opened");
    return known;
  }

  #recordRevision(revision: Revision): void {
    this.#highest = Math.max(this.#highest, revision);
  }

  async #observe<T>(call: () => Promise<T>): Promise<T> {
    try {
      const result = await call();
      if (this.#isAway) {
        this.#isAway = false;
        this.#awayUntil_ms = this.clock.monotonic_ms();
      }
      return result;
    } catch (error) {
      if (error instanceof StoreUnavailableError) this.#isAway = true;
      throw error;
    }
  }
}
