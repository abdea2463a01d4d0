/**
 * The API on sockets. An adapter. node:http, because it alone can serve on a socket that systemd has opened.
 *
 * @module
 */

import { createServer, type IncomingMessage, type Server as HttpServer, type ServerResponse } from "node:http";
import { createServer as createTlsServer, type Server as HttpsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { messageOf } from "../../../runtime/log.ts";
import { isOpen, loopbackWarning, policyWarnings } from "../auth/policy.ts";
import type { Connection } from "../context.ts";
import {
  ConnectionHandler,
  type ConnectionHandlerOptions,
  type Credentials,
  type TlsTexts,
} from "./connection_handler.ts";
import { malformedReply, refusedReply, settings } from "./limits.ts";
import { describeListen, isLoopback, type ListenSpec, type NetworkAddress, passedSockets, urlFor } from "./listen.ts";
import { codeOf, explainListen, isAbandoned, removeSocketFile } from "./socket_file.ts";

export { type ListenSpec, listenSpec } from "./listen.ts";

/** What {@link serve} needs. */
export interface ServeOptions extends ConnectionHandlerOptions {
  /** With none, nothing is served. */
  readonly listen: readonly ListenSpec[];
}

/** A server that accepts connections. */
export interface Server {
  /** Where, in the order asked for: `HOST:PORT`, `unix:PATH`; `fd:N` where only whoever passed it knows. */
  readonly addresses: readonly string[];
  /** Base URL for other machines, whose public address is `ip`; undefined if the API is closed to them. */
  urlFor(ip: string): string | undefined;
  /** Goes by other credentials from the next request on, by another certificate from the next connection on. */
  use(credentials: Credentials): void;
  /**
   * Accepts no more, ends event streams, lets other answers finish for a moment, then cuts what is left. Socket files of
   * `unix` are removed (node:net does that); sockets that systemd passed stay open in systemd. May be called again.
   */
  close(): Promise<void>;
}

/** The sockets that systemd passed to this process. Throws when LISTEN_FDS makes no sense. */
export function inheritedSockets(): ListenSpec[] {
  return passedSockets({ LISTEN_PID: Deno.env.get("LISTEN_PID"), LISTEN_FDS: Deno.env.get("LISTEN_FDS") }, Deno.pid);
}

/** Serves on every socket, or on none: throws, naming the address and what to do, when one cannot be had. */
export async function serve(options: ServeOptions): Promise<Server> {
  const closing = new AbortController();
  const connectionHandler = new ConnectionHandler(options, closing.signal);
  const open: Listener[] = [];
  const closeAll = async () => {
    await Promise.all(open.map((listener) => listener.close()));
    connectionHandler.processes[Symbol.dispose]();
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
      return isOpen(connectionHandler.credentials.policy)
        ? urlFor(ip, networkAddresses, connectionHandler.credentials.tls !== undefined)
        : undefined;
    },
    use: (credentials) => {
      const { tls } = connectionHandler.credentials;
      connectionHandler.use(credentials);
      open.forEach((listener) => listener.useCertificate(tls));
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
  /** Connections that no request is under way on; closeIdleConnections() leaves out those yet unused. */
  readonly #idle = new Set<Socket>();
  readonly #sockets = new Set<Socket>();
  /** Those of them whose TLS handshake is not over, by the address and port at the other end. */
  readonly #handshakes = new Map<string, Socket>();
  readonly #server: HttpServer;
  #tlsServer: HttpsServer | undefined;
  #kind: Connection["kind"] = "unix";

  private constructor(
    private readonly spec: ListenSpec,
    private readonly connectionHandler: ConnectionHandler,
    private readonly log: ConnectionHandlerOptions["log"],
  ) {
    this.#server = createServer(
      settings(connectionHandler.limits),
      (incoming, outgoing) => this.#answer(incoming, outgoing),
    );
    this.#server.maxConnections = 2 * connectionHandler.limits.connections;
    this.#receive(this.#server);
  }

  static async open(
    spec: ListenSpec,
    connectionHandler: ConnectionHandler,
    log: ConnectionHandlerOptions["log"],
  ): Promise<Listener> {
    const listener = new Listener(spec, connectionHandler, log);
    await listener.#listen();
    listener.#server.on("error", (error) => log("error", `${describeListen(spec)}: ${error.message}`));
    const bound = listener.#bound;
    if (bound !== undefined) listener.#kind = isLoopback(bound.address) ? "loopback" : "network";
    if (listener.#kind === "network") listener.#choosePlainOrTls();
    log("debug", "serving the API", { address: listener.address });
    return listener;
  }

  /** Of a TCP socket. That of a unix socket is its path, or null if it was inherited. */
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

  /** Connections that are open keep the server's certificate they were made with, but not another authority for clients. */
  useCertificate(before: TlsTexts | undefined): void {
    const { tls } = this.connectionHandler.credentials;
    if (tls && this.#tlsServer) {
      this.#tlsServer.setSecureContext(secureContext(tls));
      // It does not take these along.
      Object.assign(this.#tlsServer, { requestCert: tls.clientCa !== undefined, rejectUnauthorized: false });
    }
    if (this.#kind !== "network" || tls?.clientCa === before?.clientCa) return;
    this.#idle.forEach((socket) => socket.destroy());
    this.#handshakes.forEach((socket) => socket.destroy());
  }

  #answer(incoming: IncomingMessage, outgoing: ServerResponse): void {
    this.connectionHandler.answer(incoming, outgoing, this.#kind, this.#idle);
  }

  /** The socket is bound first and asked where: an inherited one may be any. Who speaks is then told connection by connection. */
  #choosePlainOrTls(): void {
    const plain = this.#server.listeners("connection") as ((socket: Socket) => void)[];
    this.#server.removeAllListeners("connection");
    this.#server.on("connection", (socket) => {
      if (!this.connectionHandler.credentials.tls) {
        return plain.forEach((receive) => receive.call(this.#server, socket));
      }
      const remote = remoteOf(socket);
      this.#sockets.add(socket);
      this.#handshakes.set(remote, socket);
      socket.on("close", () => {
        this.#sockets.delete(socket);
        if (this.#handshakes.get(remote) === socket) this.#handshakes.delete(remote);
      });
      this.#openTls(this.connectionHandler.credentials.tls).emit("connection", socket);
    });
  }

  #openTls(tls: TlsTexts): HttpsServer {
    if (this.#tlsServer) return this.#tlsServer;
    const options = {
      ...settings(this.connectionHandler.limits),
      ...secureContext(tls),
      handshakeTimeout: this.connectionHandler.limits.handshake_ms,
    };
    const server = createTlsServer(options, (incoming, outgoing) => this.#answer(incoming, outgoing));
    this.#receive(server);
    server.on("tlsClientError", (error, socket) => {
      this.log("debug", "a TLS handshake failed", { error: messageOf(error) });
      socket.destroy();
    });
    // It never listens itself. Unless it believes to, it checks no connection for timeouts, and ends each with its first answer.
    Object.defineProperty(server, "listening", { get: () => this.#server.listening });
    server.emit("listening");
    return this.#tlsServer = server;
  }

  #receive(server: HttpServer | HttpsServer): void {
    // Else whoever ends his side (`nc -N`, shutdown(2)) gets no answer to what he has asked. The types do not know it.
    Object.assign(server, { httpAllowHalfOpen: true });
    server.on(server === this.#server ? "connection" : "secureConnection", (socket: Socket) => {
      this.#handshakes.delete(remoteOf(socket));
      // A client that has lost power says nothing, nor does a journal that is quiet: tcp(7) asks whether it is still there.
      if (this.#kind !== "unix") socket.setKeepAlive(true, this.connectionHandler.limits.probe_ms);
      this.#idle.add(socket);
      this.connectionHandler.enter(socket, this.#kind);
      socket.on("close", () => this.#idle.delete(socket));
    });
    // Else node:http would answer by itself, without a word; RFC 9110, section 10.1.1, lets us look over an expectation.
    server.on("checkExpectation", (incoming, outgoing) => this.#answer(incoming, outgoing));
    server.on("connect", (_incoming, socket) => {
      this.#giveUp(socket as Socket, refusedReply(405, "CONNECT is not supported"));
    });
    server.on("clientError", (error, socket) => {
      this.log("debug", "a connection is given up", { error: messageOf(error) });
      this.#giveUp(socket as Socket, malformedReply(codeOf(error)));
    });
  }

  /** The reply comes after the answers to the requests before. */
  #giveUp(socket: Socket, reply: string): void {
    socket.on("error", () => {});
    this.connectionHandler.endAfterAnswers(socket, () => giveUp(socket, reply));
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#idle.forEach((socket) => socket.destroy());
    const late = setTimeout(() => {
      this.#server.closeAllConnections();
      this.#sockets.forEach((socket) => socket.destroy());
    }, this.connectionHandler.limits.close_ms);
    await closed;
    clearTimeout(late);
    this.#tlsServer?.close();
  }

  async #listen(): Promise<void> {
    const { spec } = this;
    try {
      await this.#bind();
    } catch (error) {
      const isStale = spec.kind === "unix" && codeOf(error) === "EADDRINUSE" && await isAbandoned(spec.path);
      if (!isStale) throw await explainListen(spec, error);
      this.log("info", "removing a socket file that nobody listens on any more", { path: spec.path });
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
        resolve();
      };
      if (spec.kind === "fd") server.listen({ fd: spec.fd }, done);
      else if (spec.kind === "unix") server.listen({ path: spec.path }, done);
      else server.listen({ host: spec.host, port: spec.port }, done);
    });
  }
}

const remoteOf = ({ remoteAddress, remotePort }: Socket) => `${remoteAddress}:${remotePort}`;

/** A client that keeps its side open must not hold the connection. */
function giveUp(socket: Socket, reply: string): void {
  if (socket.writable) socket.write(reply);
  socket.destroySoon();
}

/** A client's certificate is asked for and looked at, but only {@link deny} turns its owner away: with a reason. */
function secureContext({ cert, key, clientCa }: TlsTexts) {
  return {
    cert,
    key,
    ...(clientCa === undefined ? {} : { ca: [clientCa], requestCert: true, rejectUnauthorized: false }),
  };
}
