/**
 * The port to a D-Bus connection: method calls, signals, and the end of the connection. Terms are those of the D-Bus
 * specification.
 *
 * Values are JavaScript's strings, numbers and booleans; 64-bit integers are `bigint`, byte arrays
 * `Uint8Array`, dictionaries records, structs arrays, and variants {@link Variant}.
 *
 * @module
 */

/** A method call. */
export interface MethodCall {
  readonly destination: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  /** Signature of `args`; "" for none. */
  readonly signature: string;
  readonly args: readonly unknown[];
  /** Deadline, if it is not the connection's default. */
  readonly timeout_ms?: number;
}

/** A signal that matches one of the match rules. */
export interface Signal {
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly args: readonly unknown[];
}

/** A value with its signature. */
export interface Variant {
  readonly signature: string;
  readonly value: unknown;
}

/** One connection. After its end a new one is needed, see {@link BusConnector.connect}. */
export interface Bus {
  /**
   * Calls a method. `receive` runs when the reply is read, in the order in which replies and signals arrive, so that a
   * reply never overwrites a newer signal. Rejects with `SystemdError`: its code is the name of the D-Bus error,
   * `unavailable` if the connection is lost, or `org.freedesktop.DBus.Error.Timeout` after the deadline.
   */
  call<T>(call: MethodCall, receive: (body: readonly unknown[]) => T): Promise<T>;
  /** Closes the connection; pending calls reject. May be repeated. */
  close(): void;
}

/** Callbacks of a connection, called in the order in which messages arrive. */
export interface BusEvents {
  signal(signal: Signal): void;
  /** Called once when the connection has ended, for any reason, {@link Bus.close} included. */
  closed(reason: string): void;
}

/** Opens connections to a bus, and has the other effects that the code of this folder needs. */
export interface BusConnector {
  /** Connects, authenticates as this process's user, and takes a unique name. Rejects with `SystemdError`, code `unavailable`. */
  connect(events: BusEvents): Promise<Bus>;
  /** Resolves after a pause, or at once when `signal` aborts. */
  pause(duration_ms: number, signal: AbortSignal): Promise<void>;
  /** Address of the bus, for messages. */
  readonly address: string;
  /** ID of this process. */
  readonly pid: number;
}
