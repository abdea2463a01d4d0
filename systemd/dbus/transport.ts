/**
 * The port in front of a D-Bus connection: method calls, signals, and the news that the connection is gone. Terms are
 * those of the D-Bus specification.
 *
 * Values arrive as JavaScript has them: strings, numbers, booleans; 64-bit integers as `bigint`, byte arrays as
 * `Uint8Array`, dictionaries as records, structs as arrays, variants as {@link Variant}.
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
  /** Deadline, where the connection's own does not do. */
  readonly timeout_ms?: number;
}

/** A signal that one of the match rules let through. */
export interface Signal {
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly args: readonly unknown[];
}

/** A value that carries its own signature. */
export interface Variant {
  readonly signature: string;
  readonly value: unknown;
}

/** One connection. It does not come back: see {@link BusConnector.connect}. */
export interface Bus {
  /**
   * Calls a method. `receive` is run the moment the reply is read, in the order in which replies and signals arrive on
   * the wire: what it stores cannot be older than what an earlier signal stored. Rejects with `SystemdError`: the code is the D-Bus error's
   * name, `unavailable` when the connection is lost, and `org.freedesktop.DBus.Error.Timeout` past the deadline.
   */
  call<T>(call: MethodCall, receive: (body: readonly unknown[]) => T): Promise<T>;
  /** Closes the connection; pending calls reject. Harmless when repeated. */
  close(): void;
}

/** What a connection tells, in the order of the wire. */
export interface BusEvents {
  signal(signal: Signal): void;
  /** Told once, when the connection is gone for whatever reason, {@link Bus.close} included. */
  closed(reason: string): void;
}

/** The way to a bus, and all that the code behind it needs of the world. */
export interface BusConnector {
  /** Connects, authenticates as this process's user, and takes a unique name. Rejects with `SystemdError`, code `unavailable`. */
  connect(events: BusEvents): Promise<Bus>;
  /** Resolves after a pause, or at once when `signal` aborts. */
  pause(duration_ms: number, signal: AbortSignal): Promise<void>;
  /** Where the bus is, for messages. */
  readonly address: string;
  /** This process's id. */
  readonly pid: number;
}
