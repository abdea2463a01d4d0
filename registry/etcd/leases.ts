/**
 * Renewals of leases over one stream. A door: it sets timers.
 *
 * @module
 */

import { StoreUnavailableError } from "../mod.ts";
import type { Connection, DuplexStream } from "./connection.ts";
import type { LeaseResponse } from "./messages.ts";

interface Renewal {
  readonly lease: string;
  readonly resolve: (ttl_s: number) => void;
  readonly reject: (error: Error) => void;
  readonly timer: ReturnType<typeof setTimeout>;
}

/** Keeps one LeaseKeepAlive stream open while it is used. etcd answers in the order asked. */
export class LeaseRenewals {
  #stream: Promise<DuplexStream<LeaseResponse>> | undefined;
  readonly #waiting = new Set<Renewal>();

  constructor(private readonly connection: Connection) {}

  /**
   * The seconds the lease now has; 0 if it is gone. A member that has not answered after half of `timeout_ms` may hang, as a
   * paused leader does: then all members are asked at once, and the first answer counts.
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
    const timer = setTimeout(() => over.abort(new Error(`no member renewed lease ${lease} in time`)), timeout_ms);
    const members = Array.from({ length: this.connection.size }, (_, member) => member);
    try {
      return await Promise.any(members.map((member) => this.#renewAt(member, lease, over.signal)));
    } catch (error) {
      const cause = error instanceof AggregateError ? error.errors[0] : error;
      throw new StoreUnavailableError(`etcd at ${this.connection.endpoints} did not renew a lease`, { cause });
    } finally {
      clearTimeout(timer);
      over.abort(new Error("another member has answered"));
    }
  }

  async #renewAt(member: number, lease: string, signal: AbortSignal): Promise<number> {
    const stream = await this.connection.open<LeaseResponse>("Lease", "leaseKeepAlive", member);
    return await new Promise((resolve, reject) => {
      const end = () => {
        stream.cancel();
        reject(signal.reason);
      };
      if (signal.aborted) return end();
      signal.addEventListener("abort", end, { once: true });
      stream.on("data", (response) => resolve(Math.max(0, Number(response.TTL))));
      stream.on("error", reject);
      stream.on("end", () => reject(new Error("etcd ended the stream")));
      stream.write({ ID: lease });
    });
  }

  async #renewOnStream(lease: string, timeout_ms: number): Promise<number> {
    const opening = this.#stream ??= this.#open();
    const stream = await opening;
    return await new Promise((resolve, reject) => {
      const late = () => {
        this.#fail(opening, new Error(`lease ${lease} was not renewed in time`));
        this.connection.suspect();
      };
      const timer = setTimeout(late, timeout_ms);
      this.#waiting.add({ lease, resolve, reject, timer });
      stream.write({ ID: lease });
    });
  }

  close(): void {
    if (this.#stream) this.#fail(this.#stream, new Error("the connection was closed"));
  }

  async #open(): Promise<DuplexStream<LeaseResponse>> {
    const opening = Promise.resolve().then(() => this.connection.open<LeaseResponse>("Lease", "leaseKeepAlive"));
    let stream: DuplexStream<LeaseResponse>;
    try {
      stream = await opening;
    } catch (error) {
      this.#stream = undefined;
      throw error;
    }
    const current = this.#stream;
    stream.on("data", (response) => this.#answered(response));
    stream.on("error", (error) => current && this.#fail(current, error));
    stream.on("end", () => current && this.#fail(current, new Error("etcd ended the stream")));
    return stream;
  }

  #answered(response: LeaseResponse): void {
    for (const renewal of this.#waiting) {
      if (renewal.lease !== response.ID) continue;
      this.#waiting.delete(renewal);
      clearTimeout(renewal.timer);
      return renewal.resolve(Math.max(0, Number(response.TTL)));
    }
  }

  /** Gives the stream up: a late answer on it would be taken for the next one's. */
  #fail(opened: Promise<DuplexStream<LeaseResponse>>, cause: Error): void {
    if (this.#stream !== opened) return;
    this.#stream = undefined;
    // One that could not be opened has told its callers so already.
    opened.then((stream) => stream.cancel(), () => {});
    for (const renewal of this.#waiting) {
      clearTimeout(renewal.timer);
      renewal.reject(
        new StoreUnavailableError(`etcd at ${this.connection.endpoints} did not renew a lease`, { cause }),
      );
    }
    this.#waiting.clear();
  }
}
