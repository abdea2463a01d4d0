/**
 * The adapter to D-Bus: connections over the wire code of dbus-next.
 *
 * Only its connection and message types are used. Its `MessageBus` neither ends pending calls when the bus dies nor
 * reports the loss, so this file handles calls, deadlines and the end of a connection.
 *
 * @module
 */

import process from "node:process";
import { SystemdError } from "../port.ts";
import type { Bus, BusConnector, BusEvents, MethodCall, Variant } from "./transport.ts";
import { sleep } from "../../runtime/sleep.ts";

/** dbus-daemon refuses more than 128 pending replies on one connection (its `max_replies_per_connection`). */
export const maxCallsInFlight = 100;

const timeoutCode = "org.freedesktop.DBus.Error.Timeout";

/** The fields of a dbus-next message that are used here. */
interface WireMessage {
  readonly type: number;
  readonly serial: number;
  readonly replySerial?: number;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly errorName: string;
  readonly body: readonly unknown[];
}

/** The members of a dbus-next connection that are used here. */
interface WireConnection {
  readonly stream: {
    on(event: "close" | "end", listener: () => void): void;
    on(event: "error", listener: (error: Error) => void): void;
    destroy(): void;
    cork(): void;
    uncork(): void;
    readonly writable: boolean;
  };
  on(event: "message", listener: (message: WireMessage) => void): void;
  on(event: "error", listener: (error: unknown) => void): void;
  on(event: "connect", listener: () => void): void;
  message(message: unknown): void;
}

type Wire = Awaited<ReturnType<typeof loadWire>>;

const methodReturn = 2, methodError = 3, signalMessage = 4;

/** Loads dbus-next on first use, because that takes 50 ms. */
async function loadWire() {
  const { default: createConnection } = await import("dbus-next/lib/connection.js");
  const { Message } = await import("dbus-next/lib/message-type.js");
  const { Variant: WireVariant } = await import("dbus-next/lib/variant.js");
  /** Replaces variants by those of dbus-next. */
  const toWire = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(toWire);
    const variant = value as Partial<Variant> | null;
    if (typeof variant?.signature !== "string") return value;
    return new WireVariant(variant.signature, toWire(variant.value));
  };
  return {
    connect: (busAddress: string): WireConnection => createConnection({ busAddress, authMethods: ["EXTERNAL"] }),
    methodCall: (serial: number, { args, timeout_ms: _, ...call }: MethodCall) =>
      new Message({ serial, ...call, body: args.map(toWire) }),
  };
}

/** Options of {@link openBusConnector}. */
export interface BusOptions {
  /** `system`, `user`, or an address as in the D-Bus specification, for example `unix:path=/run/dbus/system_bus_socket`. */
  readonly bus: string;
  /** Deadline of a call that has none of its own. */
  readonly timeout_ms: number;
}

/** Returns a connector to a bus, without connecting. Throws {@link SystemdError} if the user bus has no address. */
export function openBusConnector({ bus, timeout_ms }: BusOptions): BusConnector {
  const address = busAddress(bus);
  return {
    address,
    pid: Deno.pid,
    async connect(events) {
      const connection = new DbusConnection(await loadWire(), address, timeout_ms, events, bus === "user");
      await connection.hello();
      return connection;
    },
    pause: sleep,
  };
}

/** Advice for a user who has no bus. */
export const userBusAdvice = "install the package dbus-user-session, then start a new session of the user";

/** The system bus has a fixed path; the address of the user bus is in the environment, see sd_bus_open_user(3). */
function busAddress(bus: string): string {
  if (bus === "system") return "unix:path=/run/dbus/system_bus_socket";
  if (bus !== "user") return bus;
  const address = Deno.env.get("DBUS_SESSION_BUS_ADDRESS");
  if (address) return address;
  const runtime = Deno.env.get("XDG_RUNTIME_DIR");
  if (runtime) return `unix:path=${runtime}/bus`;
  throw new SystemdError(
    "cannot find the user bus: neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR is set",
    "unavailable",
  );
}

/**
 * Returns the first address of a list that dbus-next can use: one with an unescaped path. It is written as `socket=`,
 * because `path=` makes dbus-next look for a native module.
 */
function wireAddress(address: string): string {
  for (const one of address.split(";")) {
    const path = /^unix:path=([^,]+)/.exec(one)?.[1];
    if (path !== undefined && !/[%:=]/.test(path)) return `unix:socket=${path}`;
  }
  throw new Error("it has no unix:path= address whose path needs no escapes");
}

interface PendingCall {
  readonly message: () => unknown;
  readonly receive: (message: WireMessage) => void;
  readonly reject: (error: SystemdError) => void;
  readonly serial: number;
}

class DbusConnection implements Bus {
  readonly #connection: WireConnection;
  readonly #sent = new Map<number, PendingCall>();
  readonly #waiting: PendingCall[] = [];
  #serial = 0;
  #gone: string | undefined;
  #corked = false;

  constructor(
    private readonly wire: Wire,
    private readonly address: string,
    private readonly timeout_ms: number,
    private readonly events: BusEvents,
    private readonly isUser: boolean,
  ) {
    try {
      this.#connection = wire.connect(wireAddress(address));
    } catch (cause) {
      throw new SystemdError(`cannot use the D-Bus address "${address}": ${text(cause)}`, "unavailable", { cause });
    }
    const { stream } = this.#connection;
    stream.on("end", () => this.#end("the bus closed the connection"));
    stream.on("close", () => this.#end("the connection was closed"));
    stream.on("error", (error) => this.#end(error.message));
    // After a refused authentication or a message that cannot be decoded, no later message can be trusted.
    this.#connection.on("error", (error) => this.#end(text(error)));
    this.#connection.on("message", (message) => this.#receive(message));
  }

  /** The first call of every connection (D-Bus specification, "org.freedesktop.DBus.Hello"). */
  async hello(): Promise<void> {
    const bus = "org.freedesktop.DBus";
    const call = { destination: bus, path: "/org/freedesktop/DBus", interface: bus, member: "Hello" };
    try {
      await this.call({ ...call, signature: "", args: [] }, () => {});
    } catch (cause) {
      this.close();
      const advice = this.isUser && text(cause).includes("ENOENT") ? `; ${userBusAdvice}` : "";
      const message = `cannot connect to D-Bus at ${this.address}: ${text(cause)}${advice}`;
      throw new SystemdError(message, "unavailable", { cause });
    }
  }

  call<T>(call: MethodCall, receive: (body: readonly unknown[]) => T): Promise<T> {
    return new Promise((resolve, fail) => {
      if (this.#gone !== undefined) return fail(this.#unavailable(this.#gone));
      const timeout_ms = call.timeout_ms ?? this.timeout_ms;
      const reject = (error: SystemdError) => {
        clearTimeout(deadline);
        fail(error);
      };
      const serial = ++this.#serial;
      const deadline = setTimeout(() => {
        this.#forget(serial);
        fail(new SystemdError(`${call.member} was not answered within ${timeout_ms} ms`, timeoutCode));
      }, timeout_ms);
      this.#waiting.push({
        serial,
        reject,
        message: () => this.wire.methodCall(serial, call),
        receive: (message) => {
          clearTimeout(deadline);
          if (message.type === methodError) {
            return fail(new SystemdError(String(message.body[0] || message.errorName), message.errorName));
          }
          try {
            resolve(receive(message.body));
          } catch (cause) {
            fail(cause);
          }
        },
      });
      this.#send();
    });
  }

  /** Removes a late call from the queue. A call that was sent keeps its slot, because dbus-daemon still counts it. */
  #forget(serial: number): void {
    const index = this.#waiting.findIndex((call) => call.serial === serial);
    if (index >= 0) this.#waiting.splice(index, 1);
  }

  #send(): void {
    while (this.#sent.size < maxCallsInFlight && this.#gone === undefined) {
      const call = this.#waiting.shift();
      if (!call) return;
      this.#sent.set(call.serial, call);
      this.#cork();
      try {
        this.#connection.message(call.message());
      } catch (cause) {
        this.#sent.delete(call.serial);
        call.reject(
          new SystemdError(`cannot be sent over D-Bus: ${text(cause)}`, "org.freedesktop.DBus.Error.InvalidArgs", {
            cause,
          }),
        );
      }
    }
  }

  /** Buffers all calls of one turn of the event loop into one write, so that they wake the bus once. */
  #cork(): void {
    if (this.#corked) return;
    const { stream } = this.#connection;
    this.#corked = true;
    stream.cork();
    process.nextTick(() => {
      this.#corked = false;
      stream.uncork();
    });
  }

  #receive(message: WireMessage): void {
    if (this.#gone !== undefined) return;
    if (message.type === methodReturn || message.type === methodError) {
      const call = this.#sent.get(message.replySerial ?? 0);
      if (!call) return;
      this.#sent.delete(call.serial);
      call.receive(message);
      this.#send();
    } else if (message.type === signalMessage) {
      this.events.signal({
        path: message.path,
        interface: message.interface,
        member: message.member,
        args: message.body,
      });
    }
  }

  close(): void {
    this.#end("it was closed here");
  }

  #end(reason: string): void {
    if (this.#gone !== undefined) return;
    this.#gone = reason;
    this.#connection.stream.destroy();
    const calls = [...this.#sent.values(), ...this.#waiting];
    this.#sent.clear();
    this.#waiting.length = 0;
    this.events.closed(reason);
    for (const call of calls) call.reject(this.#unavailable(reason));
  }

  #unavailable(reason: string): SystemdError {
    return new SystemdError(`D-Bus at ${this.address} is away: ${reason}`, "unavailable");
  }
}

function text(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
