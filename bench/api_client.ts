/**
 * A minimal client of the API that holds an event stream, as fleetctl does, and records the time of each event.
 *
 * @module
 */

import { serverEvents } from "../ctl/api/sse.ts";
import type { StateEvent, UnitEvent, UnitOptionEntity } from "../daemon/api/v1/types.ts";

const base = "http://localhost/fleet/v1";

/** The state of one unit according to the event stream. */
export interface ObservedUnit {
  /** True if the cluster has the unit. */
  readonly exists: boolean;
  /** systemd's active state by machine ID, of machines that report the unit. */
  readonly active: ReadonlyMap<string, string>;
}

interface MutableUnit {
  exists: boolean;
  readonly active: Map<string, string>;
}

interface Waiter {
  readonly matches: (seen: ObservedUnit) => boolean;
  readonly resolve: (at_ms: number) => void;
  readonly reject: (error: Error) => void;
}

/** Longest wait for an event. */
const deadline_ms = 60_000;

/** A client of one machine's API, over its unix socket. */
export class ApiClient implements AsyncDisposable {
  readonly #http: Deno.HttpClient;
  readonly #units = new Map<string, MutableUnit>();
  readonly #machines = new Set<string>();
  readonly #waiters = new Map<string, Set<Waiter>>();
  readonly #synced = Promise.withResolvers<void>();
  #following: Promise<void> = Promise.resolve();
  #isClosing = false;
  #reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>> | undefined;

  private constructor(private readonly socket: string) {
    this.#http = Deno.createHttpClient({ proxy: { transport: "unix", path: socket } });
  }

  /** Connects and holds an event stream of all units; resolves when the stream is synced. */
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

  /** PUTs a unit with desired state launched; resolves with the response. */
  async launch(name: string, options: readonly UnitOptionEntity[]): Promise<void> {
    await this.#request("PUT", name, JSON.stringify({ desiredState: "launched", options }));
  }

  /** Starts a roll-out that creates launched units of an application; resolves with the response. */
  async apply(app: string, names: readonly string[], options: readonly UnitOptionEntity[]): Promise<void> {
    const units = names.map((name) => ({ name, revision: 0, desiredState: "launched", options }));
    await this.#send("POST", `apps/${app}`, JSON.stringify({ units, what: "apply" }));
  }

  /** DELETEs a unit; resolves with the response. */
  async destroy(name: string): Promise<void> {
    await this.#request("DELETE", name);
  }

  /**
   * Resolves, with the time by performance.now(), at the event after which a unit `matches`; at once if it
   * does already. Rejects after a minute, and when the stream ends.
   */
  when(name: string, matches: (unit: ObservedUnit) => boolean): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    if (matches(this.#units.get(name) ?? { exists: false, active: new Map() })) {
      resolve(performance.now());
      return promise;
    }
    const waiter = { matches, resolve, reject };
    let waiters = this.#waiters.get(name);
    if (!waiters) this.#waiters.set(name, waiters = new Set());
    waiters.add(waiter);
    const timedOut = () => reject(new Error(`waited ${deadline_ms} ms for ${name} at ${this.socket}`));
    const timer = setTimeout(timedOut, deadline_ms);
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

  #request(method: string, name: string, body?: string): Promise<void> {
    return this.#send(method, `units/${encodeURIComponent(name)}`, body);
  }

  async #send(method: string, path: string, body?: string): Promise<void> {
    const answer = await fetch(`${base}/${path}`, {
      method,
      client: this.#http,
      ...(body === undefined ? {} : { body, headers: { "content-type": "application/json" } }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} of ${path} at ${this.socket} was answered ${answer.status}: ${text}`);
  }

  async #follow(): Promise<void> {
    const answer = await fetch(`${base}/events`, { client: this.#http });
    if (!answer.ok || !answer.body) {
      throw new Error(`the event stream at ${this.socket} was answered ${answer.status}: ${await answer.text()}`);
    }
    // Canceled at the end: an aborted request was seen to leave the read of a long stream pending for ever.
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
      else if (event === "machine") this.#onMachine(JSON.parse(data));
      else if (event === "unit") this.#onUnit(JSON.parse(data), at_ms);
      else if (event === "state") this.#onState(JSON.parse(data), at_ms);
    }
    throw new Error(`the event stream at ${this.socket} ended`);
  }

  #onMachine({ id, machine }: { id: string; machine?: unknown }): void {
    if (machine) this.#machines.add(id);
    else this.#machines.delete(id);
  }

  #onUnit({ name, unit }: UnitEvent, at_ms: number): void {
    const known = this.#unit(name);
    known.exists = unit !== undefined;
    this.#notify(name, known, at_ms);
  }

  #onState({ name, machineID, state }: StateEvent, at_ms: number): void {
    const known = this.#unit(name);
    if (state) known.active.set(machineID, state.systemdActiveState ?? "");
    else known.active.delete(machineID);
    this.#notify(name, known, at_ms);
  }

  #unit(name: string): MutableUnit {
    let known = this.#units.get(name);
    if (!known) this.#units.set(name, known = { exists: false, active: new Map() });
    return known;
  }

  #notify(name: string, known: MutableUnit, at_ms: number): void {
    for (const waiter of this.#waiters.get(name) ?? []) if (waiter.matches(known)) waiter.resolve(at_ms);
    if (!known.exists && known.active.size === 0) this.#units.delete(name);
  }

  #fail(error: Error): void {
    if (this.#isClosing) return;
    this.#synced.reject(error);
    for (const waiters of this.#waiters.values()) for (const waiter of waiters) waiter.reject(error);
  }
}

/** True if a unit is active on a machine. */
export const isActive = ({ active }: ObservedUnit): boolean => [...active.values()].includes("active");

/** True if a unit is gone: the cluster does not have it, and no machine reports it. */
export const isGone = ({ exists, active }: ObservedUnit): boolean => !exists && active.size === 0;
