/**
 * A plain client of the API that holds an event stream, as fleetctl does, and knows when it saw what.
 *
 * @module
 */

import { serverEvents } from "../ctl/api/sse.ts";
import type { StateEvent, UnitEvent, UnitOptionEntity } from "../daemon/api/v1/types.ts";

const base = "http://localhost/fleet/v1";

/** What an event stream has told of one unit. */
export interface Seen {
  /** Whether the cluster has the unit. */
  readonly exists: boolean;
  /** systemd's active state by machine ID; a machine that says nothing of the unit is not in it. */
  readonly active: ReadonlyMap<string, string>;
}

interface Knowledge {
  exists: boolean;
  readonly active: Map<string, string>;
}

interface Waiter {
  readonly is: (seen: Seen) => boolean;
  readonly resolve: (at_ms: number) => void;
  readonly reject: (error: Error) => void;
}

/** Longest wait for anything. */
const deadline_ms = 60_000;

/** A client of one machine's API, over its unix socket. */
export class ApiClient implements AsyncDisposable {
  readonly #http: Deno.HttpClient;
  readonly #units = new Map<string, Knowledge>();
  readonly #machines = new Set<string>();
  readonly #waiters = new Map<string, Set<Waiter>>();
  readonly #synced = Promise.withResolvers<void>();
  #following: Promise<void> = Promise.resolve();
  #isClosing = false;
  #reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>> | undefined;

  private constructor(private readonly socket: string) {
    this.#http = Deno.createHttpClient({ proxy: { transport: "unix", path: socket } });
  }

  /** Connects and holds an event stream of all units; resolves once that has told the present. */
  static async open(socket: string): Promise<ApiClient> {
    const client = new ApiClient(socket);
    client.#following = client.#follow().catch((error) => client.#fail(error));
    try {
      await client.#synced.promise;
      return client;
    } catch (error) {
      await client[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Machines that are present. */
  get machines(): ReadonlySet<string> {
    return this.#machines;
  }

  /** PUTs a unit that shall be launched; resolves when that is answered. */
  async launch(name: string, options: readonly UnitOptionEntity[]): Promise<void> {
    await this.#request("PUT", name, JSON.stringify({ desiredState: "launched", options }));
  }

  /** DELETEs a unit; resolves when that is answered. */
  async destroy(name: string): Promise<void> {
    await this.#request("DELETE", name);
  }

  /**
   * Resolves, with the time by performance.now(), at the event after which `is` holds of a unit; at once if it holds
   * already. Rejects after a minute, and when the stream ends.
   */
  when(name: string, is: (seen: Seen) => boolean): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    if (is(this.#units.get(name) ?? { exists: false, active: new Map() })) {
      resolve(performance.now());
      return promise;
    }
    const waiter = { is, resolve, reject };
    let waiters = this.#waiters.get(name);
    if (!waiters) this.#waiters.set(name, waiters = new Set());
    waiters.add(waiter);
    const late = () => reject(new Error(`waited ${deadline_ms} ms for ${name} at ${this.socket}`));
    const timer = setTimeout(late, deadline_ms);
    return promise.finally(() => {
      clearTimeout(timer);
      waiters.delete(waiter);
      if (waiters.size === 0) this.#waiters.delete(name);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosing = true;
    await this.#reader?.cancel();
    await this.#following;
    this.#http.close();
  }

  async #request(method: string, name: string, body?: string): Promise<void> {
    const answer = await fetch(`${base}/units/${encodeURIComponent(name)}`, {
      method,
      client: this.#http,
      ...(body === undefined ? {} : { body, headers: { "content-type": "application/json" } }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} of ${name} at ${this.socket} was answered ${answer.status}: ${text}`);
  }

  async #follow(): Promise<void> {
    const answer = await fetch(`${base}/events`, { client: this.#http });
    if (!answer.ok || !answer.body) {
      throw new Error(`the event stream at ${this.socket} was answered ${answer.status}: ${await answer.text()}`);
    }
    // Cancelled at the end: aborting the request was seen to leave a stream that has carried much waiting for ever.
    const reader = this.#reader = answer.body.getReader();
    const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
      pull: async (controller) => {
        const { done, value } = await reader.read();
        if (done) controller.close();
        else controller.enqueue(value);
      },
    }, { highWaterMark: 0 });
    for await (const { event, data } of serverEvents(body)) {
      const at_ms = performance.now();
      if (event === "synced") this.#synced.resolve();
      else if (event === "machine") this.#toldMachine(JSON.parse(data));
      else if (event === "unit") this.#toldUnit(JSON.parse(data), at_ms);
      else if (event === "state") this.#toldState(JSON.parse(data), at_ms);
    }
    throw new Error(`the event stream at ${this.socket} ended`);
  }

  #toldMachine({ id, machine }: { id: string; machine?: unknown }): void {
    if (machine) this.#machines.add(id);
    else this.#machines.delete(id);
  }

  #toldUnit({ name, unit }: UnitEvent, at_ms: number): void {
    const known = this.#know(name);
    known.exists = unit !== undefined;
    this.#tell(name, known, at_ms);
  }

  #toldState({ name, machineID, state }: StateEvent, at_ms: number): void {
    const known = this.#know(name);
    if (state) known.active.set(machineID, state.systemdActiveState ?? "");
    else known.active.delete(machineID);
    this.#tell(name, known, at_ms);
  }

  #know(name: string): Knowledge {
    let known = this.#units.get(name);
    if (!known) this.#units.set(name, known = { exists: false, active: new Map() });
    return known;
  }

  #tell(name: string, known: Knowledge, at_ms: number): void {
    for (const waiter of this.#waiters.get(name) ?? []) if (waiter.is(known)) waiter.resolve(at_ms);
    if (!known.exists && known.active.size === 0) this.#units.delete(name);
  }

  #fail(error: Error): void {
    if (this.#isClosing) return;
    this.#synced.reject(error);
    for (const waiters of this.#waiters.values()) for (const waiter of waiters) waiter.reject(error);
  }
}

/** Whether a unit is active on some machine. */
export const isActive = ({ active }: Seen): boolean => [...active.values()].includes("active");

/** Whether a unit is gone: the cluster does not have it, and no machine says anything of it any more. */
export const isGone = ({ exists, active }: Seen): boolean => !exists && active.size === 0;
