/**
 * A copy of the whole store in memory, shared by all readers and closed when it has had none for a while.
 *
 * @module
 */

import { longestRetry_ms } from "../../runtime/clock.ts";
import { ClusterView } from "./cluster_view.ts";
import { follow, type FollowOptions } from "./follow.ts";
import { afterContents, contentPrefix, writtenKey } from "../schema/keys.ts";
import { StoreUnavailableError, type UnitRecord } from "../mod.ts";
import type { Cluster, Revision, UnitName } from "../model.ts";
import type { Range } from "../store/port.ts";
import { RateLimiter } from "./rate_limiter.ts";
import { Notifier } from "../../runtime/notifier.ts";

/**
 * The rate of views for one watcher: the changes of one command are yielded at once, those of many commands in fewer
 * views, because each view costs a pass over the whole cluster.
 */
const viewRate = { burst: 8, interval_ms: 20 } as const;

/** The time that a read waits for the cache to catch up. */
const readTimeout_ms = 2_000;

/** The whole store, without the bytes of attached files. */
const reads: readonly Range[] = [
  { from: "", to: contentPrefix },
  { prefix: contentPrefix, keysOnly: true },
  { from: afterContents, to: "" },
];

export interface ClusterCacheOptions extends FollowOptions {
  /** The time that the cache stays open after its last use. */
  readonly idle_ms: number;
}

export class ClusterCache {
  readonly #view: ClusterView;
  readonly #notifier = new Notifier();
  #users = 0;
  #running: { readonly abort: AbortController; readonly ended: Promise<void> } | undefined;
  #pendingClose: AbortController | undefined;
  /** True if the view is complete and its watch is open. */
  #following = false;
  #failure: { readonly error: unknown } | undefined;

  constructor(private readonly options: ClusterCacheOptions) {
    this.#view = new ClusterView(options.log);
  }

  /** See {@link import("../mod.ts").Registry.watch}. */
  async *watch(signal: AbortSignal): AsyncIterable<Cluster> {
    this.#acquire();
    const limiter = new RateLimiter(this.options.clock, viewRate);
    try {
      let last: Cluster | undefined;
      let revision: Revision | undefined;
      while (!signal.aborted) {
        const seen = this.#notifier.count;
        // A view is made as late as the rate allows, so that it includes all changes until then.
        if (this.#following && this.#view.revision !== revision) await limiter.acquire(signal);
        if (signal.aborted) return;
        const cluster = this.#current();
        if (cluster === undefined || cluster === last) await this.#notifier.waitPast(seen, signal);
        else {
          last = cluster;
          revision = cluster.revision;
          yield cluster;
        }
      }
    } finally {
      this.#release();
    }
  }

  /** See {@link import("../mod.ts").Registry.read}. */
  async read(): Promise<Cluster> {
    this.#acquire();
    try {
      const { ranges: [written] } = await this.options.session.read([{ key: writtenKey }]);
      return await this.#reach(written?.[0]?.modRevision ?? 0);
    } finally {
      this.#release();
    }
  }

  /** See {@link import("../mod.ts").Registry.peek}. */
  peek(name: UnitName): UnitRecord | undefined {
    return this.#following && this.#failure === undefined ? this.#view.unit(name) : undefined;
  }

  /** Returns the text of a file; undefined if it is not in the cache. */
  peekFile(hash: string): string | undefined {
    return this.#following ? this.#view.fileText(hash) : undefined;
  }

  async close(): Promise<void> {
    this.#pendingClose?.abort("over");
    await this.#stop();
  }

  async #reach(revision: Revision): Promise<Cluster> {
    const { clock } = this.options;
    const start_ms = clock.monotonic_ms();
    for (;;) {
      const seen = this.#notifier.count;
      const cluster = this.#current();
      if (cluster && cluster.revision >= revision) return cluster;
      const left_ms = start_ms + readTimeout_ms - clock.monotonic_ms();
      if (left_ms <= 0) {
        throw new StoreUnavailableError(
          `the store at ${this.options.session.endpoints} did not deliver revision ${revision} in time`,
        );
      }
      await this.#notifier.waitPastFor(seen, left_ms, clock);
    }
  }

  #current(): Cluster | undefined {
    if (this.#failure) throw this.#failure.error;
    return this.#following ? this.#view.cluster() : undefined;
  }

  #acquire(): void {
    this.#users++;
    this.#pendingClose?.abort("over");
    this.#pendingClose = undefined;
    if (this.#running !== undefined) return;
    const abort = new AbortController();
    this.#failure = undefined;
    this.#running = { abort, ended: this.#run(abort.signal) };
  }

  #release(): void {
    this.#users--;
    if (this.#users > 0 || this.#running === undefined) return;
    const pending = this.#pendingClose = new AbortController();
    const close = () => pending.signal.aborted ? undefined : this.#stop();
    this.options.clock.sleep(this.options.idle_ms, pending.signal).then(close);
  }

  async #stop(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    this.#following = false;
    running?.abort.abort();
    await running?.ended;
    // Without a reader the view takes no memory. The next use may have begun during the wait.
    if (this.#running === undefined) this.#view.reset([], 0);
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { session } = this.options;
    try {
      await follow({ ...this.options, longestRetry_ms: longestRetry_ms.ofWholeStore, reads }, [{ prefix: "" }], {
        fresh: (kvs, revision) => {
          this.#view.reset(kvs, revision);
          this.#following = true;
          this.#notifier.notify();
        },
        batch: (batch) => {
          this.#view.apply(batch);
          session.check(this.#view.id, batch.revision);
          this.#notifier.notify();
        },
        lost: () => this.#following = false,
      }, signal);
    } catch (error) {
      // Every reader throws the error; the next use opens the cache again.
      if (signal.aborted) return;
      this.#failure = { error };
      this.#running = undefined;
      this.#following = false;
      this.#view.reset([], 0);
      this.#notifier.notify();
    }
  }
}
