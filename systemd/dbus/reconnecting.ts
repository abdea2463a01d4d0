/**
 * A D-Bus connection that is opened again when it is lost.
 *
 * @module
 */

import type { Log } from "../../runtime/log.ts";
import { SystemdError } from "../port.ts";
import type { Bus, BusConnector, MethodCall, Signal } from "./transport.ts";

/** Pause between two attempts to connect. It does not grow: the bus is local, and signals are missed until it is back. */
export const reconnectPause_ms = 250;

/** Callbacks of a {@link ReconnectingBus}. All but `subscribe` must return at once. */
export interface BusCallbacks {
  /** Subscribes a new connection to signals. If it rejects, the attempt to connect has failed. */
  subscribe(bus: Bus): Promise<void>;
  signal(signal: Signal): void;
  /** Called when the connection is lost. No signal arrives until {@link BusCallbacks.back}. */
  lost(): void;
  /** Called when a connection is open again after a loss or a failed attempt. */
  back(): void;
  readonly log: Log;
}

/** Connects at first use, then stays connected until {@link ReconnectingBus.close}. */
export class ReconnectingBus {
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  #bus: Bus | undefined;
  #attempt: Promise<Bus> | undefined;
  #away = "not connected yet";

  constructor(private readonly connector: BusConnector, private readonly callbacks: BusCallbacks) {}

  /** Resolves when a connection is open and subscribed. Awaits an attempt that is in progress or due. */
  async ready(): Promise<void> {
    if (!this.#bus) await this.#next();
  }

  /**
   * Calls {@link Bus.call} on the open connection. Without one it awaits an attempt in progress; without an attempt it
   * rejects at once.
   */
  async call<T>(call: MethodCall, receive: (body: readonly unknown[]) => T): Promise<T> {
    return await (this.#bus ?? await this.standing()).call(call, receive);
  }

  /** Returns the open connection. Rejects as {@link ReconnectingBus.call} does. */
  async standing(): Promise<Bus> {
    const bus = this.#bus ?? await (this.#running ? this.#attempt : this.#next());
    if (!bus) throw this.#unavailable();
    return bus;
  }

  /** Closes the connection and opens a new one. */
  restart(): void {
    this.#bus?.close();
  }

  /** Closes the connection permanently. May be repeated. */
  async close(): Promise<void> {
    this.#away = "it was closed here";
    this.#stop.abort();
    this.#bus?.close();
    await this.#running;
  }

  #next(): Promise<Bus> {
    if (this.#stop.signal.aborted) return Promise.reject(this.#unavailable());
    this.#running ??= this.#run();
    return this.#attempt ?? this.#due.promise;
  }

  #due = Promise.withResolvers<Bus>();

  /** Opens one connection after the other, until {@link close}. */
  async #run(): Promise<void> {
    const { signal } = this.#stop;
    let wasAway = false;
    while (!signal.aborted) {
      const lost = Promise.withResolvers<string>();
      const due = this.#due;
      this.#due = Promise.withResolvers();
      this.#attempt = this.#connect(lost.resolve);
      this.#attempt.then(due.resolve, due.reject);
      due.promise.catch(() => {}); // Only callers that await it need the error.
      try {
        await this.#attempt;
      } catch (error) {
        this.#attempt = undefined;
        if (!wasAway) {
          this.callbacks.log("warn", `${(error as Error).message}; trying again every ${reconnectPause_ms} ms`);
        }
        this.#away = (error as Error).message;
        wasAway = true;
        await this.connector.pause(reconnectPause_ms, signal);
        continue;
      }
      this.#attempt = undefined;
      if (wasAway) {
        this.callbacks.log("info", `connected to D-Bus at ${this.connector.address} again`);
        this.callbacks.back();
      }
      const reason = await lost.promise;
      if (!signal.aborted) this.callbacks.log("warn", `lost D-Bus at ${this.connector.address}: ${reason}`);
      wasAway = true;
    }
    this.#due.reject(this.#unavailable());
    this.#due.promise.catch(() => {});
  }

  async #connect(lost: (reason: string) => void): Promise<Bus> {
    let gone: string | undefined;
    const bus = await this.connector.connect({
      signal: (signal) => this.callbacks.signal(signal),
      closed: (reason) => {
        gone = reason;
        this.#bus = undefined;
        this.#away = reason;
        this.callbacks.lost();
        lost(reason);
      },
    });
    try {
      await this.callbacks.subscribe(bus);
    } catch (cause) {
      bus.close();
      const message = `systemd does not answer at ${this.connector.address}: ${(cause as Error).message}`;
      throw new SystemdError(message, "unavailable", { cause });
    }
    if (gone !== undefined || this.#stop.signal.aborted) {
      bus.close();
      throw this.#unavailable();
    }
    this.#bus = bus;
    return bus;
  }

  #unavailable(): SystemdError {
    return new SystemdError(`D-Bus at ${this.connector.address} is away: ${this.#away}`, "unavailable");
  }
}
