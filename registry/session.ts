/**
 * The store as the registry uses it: always the same store, and known to be there or away.
 *
 * @module
 */

import type { Clock } from "./clock.ts";
import { clusterKey } from "./keys.ts";
import { type StoreMemory, StoreUnavailableError, WrongStoreError } from "./mod.ts";
import type { Revision } from "./model.ts";
import {
  type Compare,
  type Op,
  type Range,
  type Snapshot,
  type Store,
  type WatchBatch,
  WatchLostError,
} from "./store.ts";

/**
 * Every read checks the store's id and that it has not gone back; every transaction compares the id. So a store that was
 * wiped, restored or swapped under way is told by {@link WrongStoreError}, and nothing is written to it.
 */
export class StoreSession {
  #id: string | undefined;
  #highest: Revision = 0;
  #away = false;
  #awayUntil_ms = 0;

  constructor(private readonly store: Store, private readonly clock: Clock) {}

  get endpoints(): string {
    return this.store.endpoints;
  }

  get memory(): StoreMemory | undefined {
    return this.#id === undefined ? undefined : { id: this.#id, revision: this.#highest };
  }

  /** See {@link import("./mod.ts").Registry.awayUntil_ms}. */
  get awayUntil_ms(): number {
    return this.#away ? Infinity : this.#awayUntil_ms;
  }

  /** How many conditions of a transaction are the session's own. */
  static readonly ownCompares = 1;

  /** Finds the store, and gives an empty one its id if nothing is remembered. */
  async open(remembered: StoreMemory | undefined): Promise<StoreMemory> {
    const found = await this.#observe(() => this.store.read([{ key: clusterKey }]));
    const id = found.ranges[0]?.[0]?.value;
    if (remembered !== undefined) {
      if (id !== remembered.id || found.revision < remembered.revision) {
        throw new WrongStoreError(remembered, { ...(id === undefined ? {} : { id }), revision: found.revision });
      }
      return this.#adopt(id, found.revision);
    }
    return id === undefined ? await this.#found() : this.#adopt(id, found.revision);
  }

  /** Creates the id; of several daemons that find the store empty at once, one wins and all adopt its id. */
  async #found(): Promise<StoreMemory> {
    const drawn = this.#draw();
    await this.#observe(() =>
      this.store.transact([{ key: clusterKey, create: 0 }], [{ put: clusterKey, value: drawn }])
    );
    const found = await this.#observe(() => this.store.read([{ key: clusterKey }]));
    const id = found.ranges[0]?.[0]?.value;
    if (id === undefined) throw new Error(`the cluster id at ${this.endpoints} vanished right after it was created`);
    return this.#adopt(id, found.revision);
  }

  #draw(): string {
    const word = () => Math.floor(this.clock.random() * 2 ** 32).toString(16).padStart(8, "0");
    return word() + word() + word() + word();
  }

  #adopt(id: string, revision: Revision): StoreMemory {
    this.#id = id;
    this.#highest = revision;
    return { id, revision };
  }

  /** Reads the ranges. Throws {@link WrongStoreError}. */
  async read(ranges: readonly Range[]): Promise<Snapshot> {
    const before = this.#known();
    const { revision, ranges: [cluster, ...found] } = await this.#observe(() =>
      this.store.read([{ key: clusterKey }, ...ranges])
    );
    const id = cluster?.[0]?.value;
    // Compared with what was known when the read was sent: answers may overtake each other.
    if (id !== before.id || revision < before.revision) {
      throw new WrongStoreError(before, { ...(id === undefined ? {} : { id }), revision });
    }
    this.#seen(revision);
    return { revision, ranges: found };
  }

  /** Throws {@link WrongStoreError} if a watch has shown another id than the one known. */
  check(id: string, revision: Revision): void {
    const known = this.#known();
    if (id !== known.id) throw new WrongStoreError(known, { ...(id === "" ? {} : { id }), revision });
  }

  /** Applies a transaction, or not if a compare fails. Throws {@link WrongStoreError}. */
  async transact(
    compares: readonly Compare[],
    ops: readonly Op[],
  ): Promise<{ readonly succeeded: boolean; readonly revision: Revision }> {
    const before = this.#known();
    const result = await this.#observe(() =>
      this.store.transact([{ key: clusterKey, value: before.id }, ...compares], ops)
    );
    if (result.revision < before.revision) throw new WrongStoreError(before, result);
    // A failure may be the id's: a read tells.
    if (!result.succeeded) await this.read([]);
    this.#seen(result.revision);
    return result;
  }

  /** See {@link Store.watch}. */
  async *watch(ranges: readonly Range[], after: Revision, signal: AbortSignal): AsyncIterable<WatchBatch> {
    try {
      for await (const batch of this.store.watch(ranges, after, signal)) {
        this.#seen(batch.revision);
        yield batch;
      }
    } catch (error) {
      if (error instanceof WatchLostError) this.#away = true;
      throw error;
    }
  }

  grant(ttl_s: number): Promise<string> {
    return this.#observe(() => this.store.grant(ttl_s));
  }

  renew(lease: string): Promise<number> {
    return this.#observe(() => this.store.renew(lease));
  }

  revoke(lease: string): Promise<void> {
    return this.#observe(() => this.store.revoke(lease));
  }

  close(): Promise<void> {
    return this.store.close();
  }

  #known(): StoreMemory {
    const known = this.memory;
    if (known === undefined) throw new Error("the registry was used before it was opened");
    return known;
  }

  #seen(revision: Revision): void {
    this.#highest = Math.max(this.#highest, revision);
  }

  async #observe<T>(call: () => Promise<T>): Promise<T> {
    try {
      const result = await call();
      if (this.#away) {
        this.#away = false;
        this.#awayUntil_ms = this.clock.monotonic_ms();
      }
      return result;
    } catch (error) {
      if (error instanceof StoreUnavailableError) this.#away = true;
      throw error;
    }
  }
}
