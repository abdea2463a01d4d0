/**
 * Renewals of leases over one stream. An adapter: it sets timers.
 *
 * @module
 */

import { onceAborted } from "../../../runtime/on_abort.ts";
import { StoreUnavailableError } from "../../mod.ts";
import type { DuplexStream, EtcdConnection } from "./connection.ts";
import type { LeaseResponse } from "./messages.ts";

interface Renewal extends PromiseWithResolvers<number> {
  readonly lease: string;
  readonly timer: ReturnType<typeof setTimeout>;
}

/** Keeps one LeaseKeepAlive stream open while it is used. etcd answers renewals in order. */
export class LeaseRenewals {
  #stream: Promise<DuplexStream<LeaseResponse>> | undefined;
  readonly #waiting = new Set<Renewal>();

  constructor(private readonly connection: Pick<EtcdConnection, "size" | "endpoints" | "open" | "suspect">) {}

  /**
   * Renews a lease; returns its remaining seconds, 0 if it is gone. A member that has not answered after half of
   * `timeout_ms` may hang, as a paused leader does: then the lease is renewed at all members, and the first answer counts.
   */
  async renew(lease: string, timeout_ms: number): Promise<number> {
    if (this.connection.size === 1) return await this.#renewOnStream(lease, timeout_ms);
    try {
      return await this.#renewOnStream(lease, timeout_ms / 2);
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error;
      return await this.#renewAtAny(lease, timeout_ms / 2);
    }
  }

  async #renewAtAny(lease: string, timeout_ms: number): Promise<number> {
    const over = new AbortController();
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => late.reject(new Error(`no member renewed lease ${lease} in time`)), timeout_ms);
    const members = Array.from({ length: this.connection.size }, (_, member) => member);
    try {
      const answers = members.map((member) => this.#renewAt(member, lease, over.signal));
      return await Promise.race([Promise.any(answers), late.promise]);
    } catch (error) {
      const cause = error instanceof AggregateError ? error.errors[0] : error;
      throw this.#unavailable(cause);
    } finally {
      clearTimeout(timer);
      over.abort(new Error(`the renewal of lease ${lease} is over`));
    }
  }

  async #renewAt(member: number, lease: string, signal: AbortSignal): Promise<number> {
    const stream = await this.connection.open<LeaseResponse>("Lease", "leaseKeepAlive", member);
    return await new Promise((resolve, reject) => {
      onceAborted([signal], () => {
        stream.cancel();
        reject(signal.reason);
      });
      if (signal.aborted) return;
      stream.on("data", (response) => resolve(Math.max(0, Number(response.TTL))));
      stream.on("error", reject);
      stream.on("end", () => reject(new Error("etcd ended the stream")));
      stream.write({ ID: lease });
    });
  }

  /** Renews on the shared stream. `timeout_ms` includes the opening of the stream. */
  async #renewOnStream(lease: string, timeout_ms: number): Promise<number> {
    const opening = this.#stream ??= this.#open();
    const answer = Promise.withResolvers<number>();
    const late = () => {
      const cause = new Error(`lease ${lease} was not renewed in time`);
      this.#fail(opening, cause);
      this.connection.suspect();
      answer.reject(this.#unavailable(cause));
    };
    const renewal = { lease, ...answer, timer: setTimeout(late, timeout_ms) };
    const send = (stream: DuplexStream<LeaseResponse>) => {
      if (this.#stream !== opening) throw this.#unavailable(new Error("the stream was abandoned"));
      this.#waiting.add(renewal);
      stream.write({ ID: lease });
    };
    opening.then(send).catch(answer.reject);
    try {
      return await answer.promise;
    } finally {
      clearTimeout(renewal.timer);
      this.#waiting.delete(renewal);
    }
  }

  close(): void {
    if (this.#stream) this.#fail(this.#stream, new Error("the connection was closed"));
  }

  #open(): Promise<DuplexStream<LeaseResponse>> {
    const opening = this.connection.open<LeaseResponse>("Lease", "leaseKeepAlive").then((stream) => {
      stream.on("data", (response) => this.#answered(response));
      stream.on("error", (error) => this.#fail(opening, error));
      stream.on("end", () => this.#fail(opening, new Error("etcd ended the stream")));
      return stream;
    });
    opening.catch(() => {
      if (this.#stream === opening) this.#stream = undefined;
    });
    return opening;
  }

  #answered(response: LeaseResponse): void {
    for (const renewal of this.#waiting) {
      if (renewal.lease !== response.ID) continue;
      this.#waiting.delete(renewal);
      clearTimeout(renewal.timer);
      return renewal.resolve(Math.max(0, Number(response.TTL)));
    }
  }

  /** Abandons the stream and rejects its renewals: a late answer would be taken for that of the next renewal. */
  #fail(opened: Promise<DuplexStream<LeaseResponse>>, cause: Error): void {
    if (this.#stream !== opened) return;
    this.#stream = undefined;
    // A stream that could not be opened has rejected its renewals already.
    opened.then((stream) => stream.cancel(), () => {});
    for (const renewal of this.#waiting) {
      clearTimeout(renewal.timer);
      renewal.reject(this.#unavailable(cause));
    }
    this.#waiting.clear();
  }

  #unavailable(cause: unknown): StoreUnavailableError {
    return new StoreUnavailableError(`etcd at ${this.connection.endpoints} did not renew a lease`, { cause });
  }
}
