/**
 * A daemon's connection to the simulated etcd, over a network that can be slow, lose calls and answers, and be cut.
 *
 * @module
 */

import { OutcomeUnknownError, StoreUnavailableError } from "../../registry/mod.ts";
import {
  type Compare,
  type Op,
  type Range,
  type Snapshot,
  type Store,
  type TransactionResult,
  type WatchBatch,
  WatchLostError,
} from "../../registry/store/port.ts";
import { Notifier } from "../../runtime/notifier.ts";
import type { SimulatedEtcd } from "./etcd.ts";
import type { SimulatedProcess } from "./process.ts";
import type { Timeline } from "./timeline.ts";

/** The way between a machine and the store. */
export interface Link {
  /** Time that a message takes, milliseconds. */
  delay_ms(): number;
  /** True if a message is lost. */
  loses(): boolean;
  /** Carries out a request that has arrived: now, or when a store that hangs continues. */
  arrive(request: () => void): void;
  /** Called when a request has been carried out, before its answer is sent. */
  applied(kind: RequestKind): void;
}

export type RequestKind = "read" | "transact" | "grant" | "renew" | "revoke";

/** Parts of a {@link StoreClient}. */
export interface StoreClientParts {
  readonly etcd: SimulatedEtcd;
  readonly timeline: Timeline;
  readonly process: Pick<SimulatedProcess, "deliver" | "onKill">;
  readonly link: Link;
  readonly timeout_ms: number;
}

interface OpenWatch {
  lose(reason: string): void;
  /** Ends it in etcd. */
  stop(): void;
}

/** Time after which a silent connection counts as lost, milliseconds. */
const silence_ms = 5_000;

export class StoreClient implements Store {
  readonly endpoints = "sim://etcd";
  readonly #watches = new Set<OpenWatch>();
  #closed = false;

  constructor(private readonly parts: StoreClientParts) {
    parts.process.onKill(() => {
      for (const watch of this.#watches) watch.stop();
    });
  }

  read(ranges: readonly Range[]): Promise<Snapshot> {
    return this.#call("read", (etcd) => etcd.read(ranges));
  }

  transact(compares: readonly Compare[], ops: readonly Op[]): Promise<TransactionResult> {
    return this.#call("transact", (etcd) => etcd.transact(compares, ops));
  }

  grant(ttl_s: number): Promise<string> {
    return this.#call("grant", (etcd) => etcd.grant(ttl_s));
  }

  renew(lease: string, timeout_ms = Infinity): Promise<number> {
    return this.#call("renew", (etcd) => etcd.renew(lease), Math.min(timeout_ms, this.parts.timeout_ms));
  }

  revoke(lease: string): Promise<void> {
    return this.#call("revoke", (etcd) => etcd.revoke(lease));
  }

  async *watch(ranges: readonly Range[], after: number, signal: AbortSignal): AsyncIterable<WatchBatch> {
    if (signal.aborted) return;
    const { etcd, timeline, process, link } = this.parts;
    const changed = new Notifier();
    const arrived: WatchBatch[] = [];
    let lost: string | undefined = this.#closed ? "the store was closed" : undefined;
    const stops: (() => void)[] = [];
    const open: OpenWatch = {
      lose: (reason) =>
        process.deliver(() => {
          lost ??= reason;
          changed.notify();
        }),
      stop: () => stops.forEach((stop) => stop()),
    };
    this.#watches.add(open);
    // Each range has its own order: etcd sends the changes of one watch apart from those of another.
    const start = (range: Range) => {
      // Whole milliseconds: the time of a message is never rounded past that of the next one.
      let latest_ms = 0;
      const sent: { readonly batch: WatchBatch; readonly at_ms: number }[] = [];
      const attempt = () => {
        const [next] = sent;
        if (lost !== undefined || !next) return;
        // A stream repeats what was lost before all that follows, until the connection counts as broken.
        if (link.loses()) {
          if (timeline.now_ms() - next.at_ms > silence_ms) return open.lose("the connection was silent");
          latest_ms = Math.ceil(timeline.now_ms() + 200);
          return void timeline.after(latest_ms - timeline.now_ms(), attempt);
        }
        sent.shift();
        process.deliver(() => {
          arrived.push(next.batch);
          changed.notify();
        });
      };
      const push = (batch: WatchBatch) => {
        const at_ms = timeline.now_ms();
        sent.push({ batch, at_ms });
        latest_ms = Math.max(latest_ms, Math.ceil(at_ms + link.delay_ms()));
        timeline.after(latest_ms - at_ms, attempt);
      };
      stops.push(etcd.watch({ range, push }, after));
    };
    try {
      if (lost === undefined) await this.#call("read", () => {}).catch((cause) => lost = String(cause));
      if (lost === undefined) { for (const range of ranges) start(range); }
      while (!signal.aborted) {
        const seen = changed.count;
        const batch = arrived.shift();
        if (batch) yield batch;
        else if (lost !== undefined) throw new WatchLostError(`the watch was lost: ${lost}`);
        else await changed.waitPast(seen, signal);
      }
    } finally {
      this.#watches.delete(open);
      open.stop();
    }
  }

  /** Ends all watches, as the loss of the connection does. */
  loseWatches(): void {
    for (const watch of this.#watches) watch.lose("the connection was lost");
  }

  // deno-lint-ignore require-await -- other stores take their time
  async close(): Promise<void> {
    this.#closed = true;
    for (const watch of this.#watches) watch.lose("the store was closed");
  }

  #call<T>(kind: RequestKind, work: (etcd: SimulatedEtcd) => T, timeout_ms = this.parts.timeout_ms): Promise<T> {
    const { etcd, timeline, process, link } = this.parts;
    const unavailable = (why: string) => new StoreUnavailableError(`${this.endpoints}: ${why}`);
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(unavailable("it was closed"));
      const late = () =>
        process.deliver(() => {
          const why = `${this.endpoints} did not answer a ${kind} in time`;
          reject(kind === "transact" ? new OutcomeUnknownError(why, false) : new StoreUnavailableError(why));
        });
      const cancel = timeline.after(timeout_ms, late);
      const answer = (settle: () => void) => {
        link.applied(kind);
        if (link.loses()) return;
        timeline.after(link.delay_ms(), () =>
          process.deliver(() => {
            cancel();
            settle();
          }));
      };
      const carryOut = () => {
        let result: T;
        try {
          result = work(etcd);
        } catch (error) {
          return answer(() => reject(error));
        }
        answer(() => resolve(result));
      };
      if (link.loses()) return;
      timeline.after(link.delay_ms(), () => link.arrive(carryOut));
    });
  }
}
