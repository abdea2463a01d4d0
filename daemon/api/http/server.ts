/**
 * Serves the API on sockets. An adapter: node:net, because nothing else serves on a socket that systemd has opened.
 *
 * @module
 */

import { type AddressInfo, createServer, type Server as NetServer, type Socket } from "node:net";
import type { Credentials } from "../auth/credentials.ts";
import { isOpen, loopbackWarning, policyWarnings } from "../auth/policy.ts";
import type { ConnectionInfo } from "../context.ts";
import { ConnectionHandler, type ConnectionHandlerOptions } from "./connection_handler.ts";
import { socketOptions } from "./limits.ts";
import { describeListen, isLoopback, type ListenSpec, type NetworkAddress, passedSockets, urlFor } from "./listen.ts";
import { explainListen, isAbandoned, nodeErrorCode, removeSocketFile, restrictToOwner } from "./socket_file.ts";

export { type ListenSpec, listenSpec } from "./listen.ts";

/** The options of {@link serve}. */
export interface ServeOptions extends ConnectionHandlerOptions {
  /** The sockets; with none, nothing is served. */
  readonly listen: readonly ListenSpec[];
}

/** A server that accepts connections. */
export interface Server {
  /** The addresses in the order of `listen`: `HOST:PORT`, `unix:PATH`, or `fd:N` for an inherited unix socket. */
  readonly addresses: readonly string[];
  /** Returns the base URL for other machines, given this machine's public address; undefined if the API is closed to them. */
  urlFor(ip: string): string | undefined;
  /** Uses other credentials from the next request on, and another certificate from the next connection on. */
  use(credentials: Credentials): void;
  /**
   * Accepts no more connections, ends event streams, gives other responses a moment to finish, then closes all
   * connections. Socket files of `unix` are removed (node:net does that); sockets that systemd passed stay open in systemd.
   * May be called again.
   */
  close(): Promise<void>;
}

/** Returns the sockets that systemd passed to this process. Throws when LISTEN_FDS makes no sense. */
export function inheritedSockets(): ListenSpec[] {
  return passedSockets({ LISTEN_PID: Deno.env.get("LISTEN_PID"), LISTEN_FDS: Deno.env.get("LISTEN_FDS") }, Deno.pid);
}

/** Serves on every socket, or on none: throws, naming the address and a remedy, when a socket cannot be opened. */
export async function serve(options: ServeOptions): Promise<Server> {
  const closing = new AbortController();
  const connectionHandler = new ConnectionHandler(options, closing.signal);
  const open: Listener[] = [];
  const closeAll = async () => {
    await Promise.all(open.map((listener) => listener.close(connectionHandler.limits.close_ms)));
    connectionHandler.close();
  };
  try {
    for (const spec of options.listen) open.push(await Listener.open(spec, connectionHandler, options.log));
  } catch (error) {
    closing.abort();
    await closeAll();
    throw error;
  }
  const networkAddresses = open.flatMap((listener) => listener.networkAddress ?? []);
  for (const { isLoopback, address } of open) if (isLoopback) options.log("warn", loopbackWarning(address));
  const warn = ({ policy, tls }: Credentials) => {
    if (networkAddresses.length === 0) return;
    for (const warning of policyWarnings(policy, tls !== undefined)) options.log("warn", warning);
  };
  warn(options.credentials);
  let closed: Promise<void> | undefined;
  return {
    addresses: open.map((listener) => listener.address),
    urlFor: (ip) => {
      const { policy, tls } = connectionHandler.credentials;
      return isOpen(policy) ? urlFor(ip, networkAddresses, tls !== undefined) : undefined;
    },
    use: (credentials) => {
      connectionHandler.use(credentials);
      warn(credentials);
    },
    close: async () => {
      closing.abort();
      await (closed ??= closeAll());
    },
  };
}

/** One listening socket. */
class Listener {
  readonly #sockets = new Set<Socket>();
  readonly #server: NetServer;
  #kind: ConnectionInfo["kind"] = "unix";

  private constructor(private readonly spec: ListenSpec, connectionHandler: ConnectionHandler) {
    this.#server = createServer({ ...socketOptions, allowHalfOpen: true }, (socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
      connectionHandler.accept(socket, this.#kind);
    });
    this.#server.maxConnections = 2 * connectionHandler.limits.connections;
  }

  static async open(
    spec: ListenSpec,
    connectionHandler: ConnectionHandler,
    log: ConnectionHandlerOptions["log"],
  ): Promise<Listener> {
    const listener = new Listener(spec, connectionHandler);
    await listener.#listen(log);
    listener.#server.on("error", (error) => log("error", `${describeListen(spec)}: ${error.message}`));
    log("debug", "serving the API", { address: listener.address });
    return listener;
  }

  /** The address of a TCP socket. A unix socket has its path instead, or null if it was inherited. */
  get #bound(): AddressInfo | undefined {
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address : undefined;
  }

  get address(): string {
    const bound = this.#bound;
    if (bound !== undefined) return describeListen({ kind: "tcp", host: bound.address, port: bound.port });
    const path = this.#server.address();
    return typeof path === "string" ? `unix:${path}` : describeListen(this.spec);
  }

  get isLoopback(): boolean {
    return this.#kind === "loopback";
  }

  get networkAddress(): NetworkAddress | undefined {
    const bound = this.#bound;
    return bound && this.#kind === "network" ? { host: bound.address, port: bound.port } : undefined;
  }

  /** Closes the socket; connections that are still open after `grace_ms` are destroyed. */
  async close(grace_ms: number): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    const late = setTimeout(() => this.#sockets.forEach((socket) => socket.destroy()), grace_ms);
    await closed;
    clearTimeout(late);
  }

  async #listen(log: ConnectionHandlerOptions["log"]): Promise<void> {
    const { spec } = this;
    try {
      await this.#bind();
    } catch (error) {
      const isStale = spec.kind === "unix" && nodeErrorCode(error) === "EADDRINUSE" && await isAbandoned(spec.path);
      if (!isStale) throw await explainListen(spec, error);
      log("info", "removing the socket file of a process that has ended", { path: spec.path });
      await removeSocketFile(spec.path);
      await this.#bind().catch(async (error) => {
        throw await explainListen(spec, error);
      });
    }
  }

  #bind(): Promise<void> {
    const { spec } = this;
    const server = this.#server;
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      const done = () => {
        server.off("error", reject);
        // Inherited sockets may be of any kind.
        if (this.#bound) this.#kind = isLoopback(this.#bound.address) ? "loopback" : "network";
        resolve();
      };
      if (spec.kind === "fd") server.listen({ fd: spec.fd }, done);
      else if (spec.kind === "unix") {
        server.listen({ path: spec.path }, () => {
          restrictToOwner(spec.path).then(done, (error) => server.close(() => reject(error)));
        });
      } else server.listen({ host: spec.host, port: spec.port }, done);
    });
  }
}
