/**
 * A bus connection that comes back.
 *
 * @module
 */

import { SystemdError } from "../port.ts";
import type { Bus, BusConnector, MethodCall, Signal } from "./transport.ts";

/** Pause between two attempts to connect. Constant: the bus is local, and dark time is what costs. */
export const reconnectPause_ms = 250;

/** What the user of a {@link ReconnectingBus} does at its turns. All but `subscribe` must return at once. */
export interface SessionUser {
  /** Puts the listeners in place on a fresh connection. If it rejects, the attempt has failed. */
  subscribe(bus: Bus): Promise<void>;
  signal(signal: Signal): void;
  /** The connection is gone, and with it every signal until {@link SessionUser.back}. */
  lost(): void;
  /** A connection stands again after one was lost or could not be had. */
  back(): void;
  info(message: string): void;
  warn(message: string): void;
}

/** Connects at first use, then stays connected until {@link ReconnectingBus.close}. */
export class ReconnectingBus {
  readonly #connector: BusConnector;
  readonly #user: SessionUser;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  #bus: Bus | undefined;
  #attempt: Promise<Bus> | undefined;
  #away = "not connected yet";

  constructor(connector: BusConnector, user: SessionUser) {
    this.#connector = connector;
    this.#user = user;
  }

  /** Resolves on a standing connection with listeners in place; an attempt that is under way or due is awaited. */
  async ready(): Promise<void> {
    if (!this.#bus) await this.#next();
  }

  /**
   * {@link Bus.call} on the standing connection. While there is none it rejects at once, unless an attempt to connect
   * is under way, which is awaited.
   */
  async call<T>(call: MethodCall, receive: (body: readonly unknown[]) => T): Promise<T> {
    return await (this.#bus ?? await this.standing()).call(call, receive);
  }

  /** The standing connection; rejects as {@link ReconnectingBus.call} does. */
  async standing(): Promise<Bus> {
    const bus = this.#bus ?? await (this.#running ? this.#attempt : this.#next());
    if (!bus) throw this.#unavailable();
    return bus;
  }

  /** Drops the connection and makes a new one. */
  restart(): void {
    this.#bus?.close();
  }

  /** Closes for good. Harmless when repeated. */
  async close(): Promise<void> {
    this.#away = "it was closed here";
    this.#stop.abort();
    this.#bus?.close();
    await this.#running;
  }

  #next(): Promise<Bus> {
    if (this.#stop.signal.aborted) return Promise.reject(this.#unavailable());
    if (!this.#running) {
      this.#running = this.#run();
    }
    return this.#attempt ?? this.#due.promise;
  }

  #due = Promise.withResolvers<Bus>();

  /** One connection after the other. */
  async #run(): Promise<void> {
    const { signal } = this.#stop;
    let wasAway = false;
    while (!signal.aborted) {
      const lost = Promise.withResolvers<string>();
      const due = this.#due;
      this.#due = Promise.withResolvers();
      this.#attempt = this.#connect(lost.resolve);
      this.#attempt.then(due.resolve, due.reject);
      due.promise.catch(() => {}); // Those who wait for it are told; nobody has to wait.
      try {
        await this.#attempt;
      } catch (error) {
        this.#attempt = undefined;
        if (!wasAway) this.#user.warn(`${(error as Error).message}; trying again every ${reconnectPause_ms} ms`);
        this.#away = (error as Error).message;
        wasAway = true;
        await this.#connector.pause(reconnectPause_ms, signal);
        continue;
      }
      this.#attempt = undefined;
      if (wasAway) {
        this.#user.info(`connected to D-Bus at ${this.#connector.address} again`);
        this.#user.back();
      }
      const reason = await lost.promise;
      if (!signal.aborted) this.#user.warn(`lost D-Bus at ${this.#connector.address}: ${reason}`);
      wasAway = true;
    }
    this.#due.reject(this.#unavailable());
    this.#due.promise.catch(() => {});
  }

  async #connect(lost: (reason: string) => void): Promise<Bus> {
    let gone: string | undefined;
    const bus = await this.#connector.connect({
      signal: (signal) => this.#user.signal(signal),
      closed: (reason) => {
        gone = reason;
        this.#bus = undefined;
        this.#away = reason;
        this.#user.lost();
        lost(reason);
      },
    });
    try {
      await this.#user.subscribe(bus);
    } catch (cause) {
      bus.close();
      const message = `systemd does not answer at ${this.#connector.address}: ${(cause as Error).message}`;
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
    return new SystemdError(`D-Bus at ${this.#connector.address} is away: ${this.#away}`, "unavailable");
  }
}
