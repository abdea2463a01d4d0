/**
 * A fence prevents a write whose response was lost from being applied late.
 *
 * An etcd member that hangs applies the requests that it has received when it continues. By then, the compares of a
 * transaction may succeed again. So each writer has a key of its own, its fence. Every transaction compares the
 * mod-revision of the fence (0: never raised). Putting the key raises the fence: its mod-revision changes, so that all
 * transactions sent before are refused. A mod-revision is never used again, so no late write can undo that, not even a late
 * raise. The key must never be deleted.
 *
 * @module
 */

import { type Clock, retryDelay_ms } from "../../runtime/clock.ts";
import { fenceKey } from "../schema/keys.ts";
import { StoreUnavailableError } from "../mod.ts";
import type { Revision } from "../model.ts";
import type { Compare, Snapshot, Store } from "../store/port.ts";
import { Notifier } from "../../runtime/notifier.ts";

/** The state of a fence in the store. */
export interface KnownFence {
  /** Its mod-revision; 0 if it was never raised. */
  readonly mod: Revision;
  /** The store's revision at which the mod-revision was read: responses may overtake each other. */
  readonly asOf: Revision;
}

/**
 * The mod-revisions of the fence that unsettled writes have compared, by the id of the store. A write is unsettled while it
 * is unknown whether it was or will be applied. All fences that a writer opens one after the other share this map.
 */
export type UnsettledWrites = Map<string, Set<Revision>>;

/** Time that a write waits for the fence to be raised, on top of the time that it has waited for its own response. */
const raiseTimeout_ms = 1_500;

/** The fence of one writer. */
export class Fence {
  readonly #closed = new AbortController();
  #key = "";
  #known: KnownFence = { mod: 0, asOf: 0 };
  #unsettled = new Set<Revision>();
  #isRaising = false;
  /** Counts the attempts to raise the fence that have ended. */
  readonly #attempts = new Notifier();
  /** The error of the last attempt; undefined if it succeeded. */
  #failure: { readonly error: unknown } | undefined;

  constructor(
    /** Its reads throw {@link import("../mod.ts").WrongStoreError}; its transactions compare the store's id as well. */
    private readonly store: Pick<Store, "endpoints" | "read" | "transact">,
    private readonly clock: Clock,
    private readonly unsettledWrites: UnsettledWrites,
  ) {}

  /** Starts with the first read of the store `id`; the range `at` of `snapshot` is the fence key. */
  open(writer: string, id: string, snapshot: Snapshot, at: number): void {
    this.#key = fenceKey(writer);
    this.#known = { mod: snapshot.ranges[at]?.[0]?.modRevision ?? 0, asOf: snapshot.revision };
    this.#unsettled = this.unsettledWrites.getOrInsertComputed(id, () => new Set());
    if (this.isUnsettled) this.#startRaising();
  }

  get known(): KnownFence {
    return this.#known;
  }

  /** The compare that every transaction must contain. */
  get compare(): Compare {
    return { key: this.#key, mod: this.#known.mod };
  }

  /** True if a write may still be applied late: then no other write may be sent before {@link settled}. */
  get isUnsettled(): boolean {
    return this.#unsettled.size > 0;
  }

  /** Reads the fence again. Throws {@link import("../mod.ts").WrongStoreError}. */
  async refresh(): Promise<void> {
    const { revision, ranges: [found] } = await this.store.read([{ key: this.#key }]);
    this.#recordState(found?.[0]?.modRevision ?? 0, revision);
  }

  /** Records that the result of a write is unknown; `compared` is the fence as it was known when the write was sent. */
  markUnsettled(compared: KnownFence): void {
    const raisedSince = this.#known.asOf > compared.asOf && this.#known.mod !== compared.mod;
    if (!raisedSince) this.#unsettled.add(compared.mod);
  }

  /**
   * Resolves when no unsettled write can be applied any more. Throws {@link StoreUnavailableError} if that takes too long;
   * the attempt continues in the background until {@link close}. Throws {@link import("../mod.ts").WrongStoreError}.
   */
  async settled(): Promise<void> {
    if (!this.isUnsettled) return;
    await this.#raised();
    if (this.isUnsettled) {
      throw new StoreUnavailableError(
        `the store at ${this.store.endpoints} was not written to: it is not known yet whether an earlier write was applied`,
      );
    }
  }

  close(): void {
    this.#closed.abort();
  }

  /**
   * Waits until the fence has been raised, at most {@link raiseTimeout_ms}. Throws the failure of the attempt that it waited
   * for. A shared promise of the attempt would keep every call that gave up in memory during an outage of the store.
   */
  async #raised(): Promise<void> {
    const seen = this.#attempts.count;
    this.#startRaising();
    await this.#attempts.waitPastFor(seen, raiseTimeout_ms, this.clock, this.#closed.signal);
    if (this.#attempts.count > seen && this.#failure !== undefined) throw this.#failure.error;
  }

  /** Starts an attempt to raise the fence, unless one is in progress. */
  #startRaising(): void {
    if (this.#isRaising) return;
    this.#isRaising = true;
    this.#failure = undefined;
    this.#raise().catch((error) => this.#failure = { error }).finally(() => {
      this.#isRaising = false;
      this.#attempts.notify();
    });
  }

  /** Retries until the fence's mod-revision differs from all that unsettled writes compared. */
  async #raise(): Promise<void> {
    const signal = this.#closed.signal;
    while (this.isUnsettled && !signal.aborted) {
      // A write that becomes unsettled from now on is settled in the next pass of the loop.
      const unsettled = new Set(this.#unsettled);
      try {
        await this.refresh();
        if (unsettled.has(this.#known.mod)) {
          const raised = await this.store.transact([this.compare], [{ put: this.#key, value: "" }]);
          // Another process of this writer, or an earlier attempt of this one, raised the fence first.
          if (!raised.succeeded) continue;
          this.#recordState(raised.revision, raised.revision);
        }
        for (const mod of unsettled) this.#unsettled.delete(mod);
      } catch (error) {
        // Nothing may be written to a wrong store; the next write checks the store again.
        if (!(error instanceof StoreUnavailableError)) throw error;
        await this.clock.sleep(retryDelay_ms(this.clock), signal);
      }
    }
  }

  #recordState(mod: Revision, asOf: Revision): void {
    if (asOf >= this.#known.asOf) this.#known = { mod, asOf };
  }
}
