/**
 * What makes sure that a write whose answer was lost is not carried out late.
 *
 * A member of etcd that hangs carries out what it was sent when it goes on, and all that a transaction compares may be
 * true again by then. So each writer has a key of its own, its fence: every transaction compares its mod-revision (0: it
 * was never raised), and to put it anew, which is to raise it, refuses all that was sent before. Mod-revisions never come
 * back, so nothing can undo that, no raise that comes late either. The key must never be deleted.
 *
 * @module
 */

import { type Clock, retryDelay_ms } from "../../runtime/clock.ts";
import { fenceKey } from "../schema/keys.ts";
import { StoreUnavailableError } from "../mod.ts";
import type { Revision } from "../model.ts";
import type { Compare, Op, Range, Snapshot } from "../store/port.ts";
import { Notifier } from "../../runtime/notifier.ts";

/** The store, as a fence needs it. */
export interface FenceStore {
  readonly endpoints: string;
  /** Throws {@link import("../mod.ts").WrongStoreError}. */
  read(ranges: readonly Range[]): Promise<Snapshot>;
  /** A transaction that compares no fence, but which store it is. */
  transact(
    compares: readonly Compare[],
    ops: readonly Op[],
  ): Promise<{ readonly succeeded: boolean; readonly revision: Revision }>;
}

/** What the store said of a fence. */
export interface KnownFence {
  /** Its mod-revision; 0: it was never raised. */
  readonly mod: Revision;
  /** The store's revision at which that was so: answers may overtake each other. */
  readonly asOf: Revision;
}

/**
 * By a store's id: what writes compared of which nobody knows whether they were, or will be, carried out. One writer's
 * fences share it if one takes another's place, so that doubt outlives the one that raised it.
 */
export type UnsettledWrites = Map<string, Set<Revision>>;

/** How long a write waits for the fence to be raised, on top of what it has waited for its own answer. */
const patience_ms = 1_500;

/** One writer's fence. */
export class Fence {
  readonly #closed = new AbortController();
  #key = "";
  #known: KnownFence = { mod: 0, asOf: 0 };
  #doubted = new Set<Revision>();
  #isRaising = false;
  /** Attempts to raise the fence that have ended. */
  readonly #attempts = new Notifier();
  /** The error of the last attempt; undefined if it succeeded. */
  #failure: { readonly error: unknown } | undefined;

  constructor(
    private readonly store: FenceStore,
    private readonly clock: Clock,
    private readonly unsettledWrites: UnsettledWrites,
  ) {}

  /** Takes it as a first read of the store `id` found it; `snapshot` has it as the range `at`. */
  open(writer: string, id: string, snapshot: Snapshot, at: number): void {
    this.#key = fenceKey(writer);
    this.#known = { mod: snapshot.ranges[at]?.[0]?.modRevision ?? 0, asOf: snapshot.revision };
    this.#doubted = this.unsettledWrites.get(id) ?? new Set();
    this.unsettledWrites.set(id, this.#doubted);
    if (this.isUnsettled) this.#begin();
  }

  get known(): KnownFence {
    return this.#known;
  }

  /** What a transaction has to compare. */
  get compare(): Compare {
    return { key: this.#key, mod: this.#known.mod };
  }

  /** Whether a write may be carried out late: then no other may be sent before {@link settled}. */
  get isUnsettled(): boolean {
    return this.#doubted.size > 0;
  }

  /** Looks what has become of it, and which store it is in. Throws {@link import("../mod.ts").WrongStoreError}. */
  async look(): Promise<void> {
    const { revision, ranges: [found] } = await this.store.read([{ key: this.#key }]);
    this.#learn(found?.[0]?.modRevision ?? 0, revision);
  }

  /** The outcome of a write is unknown; `compared` is what was known when it was sent. */
  markUnsettled(compared: KnownFence): void {
    const raisedSince = this.#known.asOf > compared.asOf && this.#known.mod !== compared.mod;
    if (!raisedSince) this.#doubted.add(compared.mod);
  }

  /**
   * Resolves when no write in doubt can be carried out any more. Throws {@link StoreUnavailableError} when that takes too
   * long; it is gone on with all the same, until {@link close}. Throws {@link import("../mod.ts").WrongStoreError}.
   */
  async settled(): Promise<void> {
    if (!this.isUnsettled) return;
    await this.#raised();
    if (this.isUnsettled) {
      throw new StoreUnavailableError(
        `the store at ${this.store.endpoints} was not written to: it does not say yet what became of an earlier write`,
      );
    }
  }

  close(): void {
    this.#closed.abort();
  }

  /**
   * Waits until the fence has been raised, at most {@link patience_ms}. Throws the failure of the attempt that it waited
   * for. A promise of the attempt would keep every call that gave up, for as long as the store is away.
   */
  async #raised(): Promise<void> {
    const seen = this.#attempts.count;
    this.#begin();
    const late = new AbortController();
    const ended = new AbortController();
    this.clock.sleep(patience_ms, ended.signal).then(() => late.abort());
    await this.#attempts.waitPast(seen, late.signal);
    ended.abort();
    if (this.#attempts.count > seen && this.#failure !== undefined) throw this.#failure.error;
  }

  /** Starts an attempt to raise the fence, unless one is in progress. */
  #begin(): void {
    if (this.#isRaising) return;
    this.#isRaising = true;
    this.#failure = undefined;
    this.#raise().catch((error) => this.#failure = { error }).finally(() => {
      this.#isRaising = false;
      this.#attempts.notify();
    });
  }

  /** Tries until its mod-revision is another than all that are doubted. */
  async #raise(): Promise<void> {
    const signal = this.#closed.signal;
    while (this.isUnsettled && !signal.aborted) {
      // What is doubted from now on, by somebody who shares the doubt, is for the next round.
      const doubted = new Set(this.#doubted);
      try {
        await this.look();
        if (doubted.has(this.#known.mod)) {
          const raised = await this.store.transact([this.compare], [{ put: this.#key, value: "" }]);
          // Somebody else of our name was quicker, or an earlier try of ours: it is looked at again.
          if (!raised.succeeded) continue;
          this.#learn(raised.revision, raised.revision);
        }
        for (const mod of doubted) this.#doubted.delete(mod);
      } catch (error) {
        // A wrong store is not ours to write to; the next write finds out whether it is right by then.
        if (!(error instanceof StoreUnavailableError)) throw error;
        await this.clock.sleep(retryDelay_ms(this.clock), signal);
      }
    }
  }

  #learn(mod: Revision, asOf: Revision): void {
    if (asOf >= this.#known.asOf) this.#known = { mod, asOf };
  }
}
