/**
 * The API on sockets. 🚪 node:http, because it alone can serve on a socket that systemd has opened.
 *
 * @module
 */

import { createServer, type IncomingMessage, type Server as HttpServer, type ServerResponse } from "node:http";
import { createServer as createTlsServer, type Server as HttpsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { getRequestListener } from "@hono/node-server";
import type { Clock } from "../../registry/clock.ts";
import { type Log, messageOf } from "../../registry/log.ts";
import { version } from "../version.ts";
import { denialReply, isOpen, judge, type Policy, policyWarnings } from "./access.ts";
import { AuditLog } from "./audit.ts";
import { type Limits, malformedReply, timeouts, usualLimits } from "./limits.ts";
import { describeListen, isLoopback, type ListenSpec, type NetworkAddress, passedSockets, urlFor } from "./listen.ts";
import { takePeer } from "./peer.ts";
import { openPeerCredentials, type PeerCredentialsReader } from "./peer_credentials.ts";
import { errorReply } from "./replies.ts";
import { Turns } from "./turns.ts";
import type { Connection } from "./context.ts";
import type { Handler, Peer } from "./routes.ts";

import { codeOf, explainListen, isAbandoned, removeSocketFile } from "./socket_file.ts";

export { type ListenSpec, listenSpec } from "./listen.ts";

/** PEM texts. With `clientCa`, clients are asked for a certificate of that authority; what is shown is judged later. */
export interface TlsTexts {
  readonly cert: string;
  readonly key: string;
  readonly clientCa?: string;
}

/** How strangers from the network are met: without TLS texts in plain text, without a policy not at all. */
export interface Credentials {
  readonly policy: Policy;
  readonly tls?: TlsTexts;
}

/** What {@link serve} needs. */
export interface ServeOptions {
  readonly handler: Handler;
  /** With none, nothing is served. */
  readonly listen: readonly ListenSpec[];
  readonly credentials: Credentials;
  readonly log: Log;
  readonly clock: Clock;
  /** For tests that cannot wait: other limits than usual. */
  readonly limits?: Partial<Limits>;
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
  const door = new Door(options, closing.signal);
  const open: Listener[] = [];
  const closeAll = async () => {
    await Promise.all(open.map((listener) => listener.close()));
    door.processes[Symbol.dispose]();
  };
  try {
    for (const spec of options.listen) open.push(await Listener.open(spec, door, options.log));
  } catch (error) {
    closing.abort();
    await closeAll();
    throw error;
  }
  const networkAddresses = open.flatMap((listener) => listener.networkAddress ?? []);
  const warn = ({ policy, tls }: Credentials) => {
    if (networkAddresses.length === 0) return;
    for (const warning of policyWarnings(policy, tls !== undefined)) options.log("warn", warning);
  };
  warn(options.credentials);
  let closed: Promise<void> | undefined;
  return {
    addresses: open.map((listener) => listener.address),
    urlFor: (ip) => {
      return isOpen(door.credentials.policy)
        ? urlFor(ip, networkAddresses, door.credentials.tls !== undefined)
        : undefined;
    },
    use: (credentials) => {
      door.credentials = credentials;
      open.forEach((listener) => listener.useCertificate());
      warn(credentials);
    },
    close: async () => {
      closing.abort();
      await (closed ??= closeAll());
    },
  };
}

/** One open connection. */
interface Visit {
  /** Ends answers without an end. */
  readonly leaving: AbortController;
  /** The request that came last; its body may be coming yet. */
  latest?: IncomingMessage;
}

/** What stands between every socket and the handler: who may pass. */
class Door {
  credentials: Credentials;
  readonly limits: Limits;
  readonly #open = new Map<Socket, Visit>();
  readonly processes: PeerCredentialsReader;
  readonly #audit: AuditLog;
  readonly #peers = new WeakMap<IncomingMessage, Peer>();
  readonly #turns = new Turns<Socket>();
  /** Requests of which too many waited on their connection. */
  readonly #surplus = new WeakSet<IncomingMessage>();
  /** Answers under way, with how much their clients had taken when last looked at. */
  readonly #answers = new Map<ServerResponse, { readonly taken: number; readonly since_ms: number }>();

  constructor(private readonly options: ServeOptions, private readonly closing: AbortSignal) {
    this.credentials = options.credentials;
    this.limits = { ...usualLimits, ...options.limits };
    this.processes = openPeerCredentials(options.log);
    this.#audit = new AuditLog(options.clock, options.log);
    closing.addEventListener("abort", () => this.#open.forEach(({ leaving }) => leaving.abort()));
    void this.#dropStalled();
  }

  /**
   * Counts a connection. Who has ended his side of it may still be waiting for what he has asked for, and is given that;
   * he may as well have gone, so that answers without an end end.
   */
  enter(socket: Socket): void {
    const visit: Visit = { leaving: new AbortController() };
    this.#open.set(socket, visit);
    socket.on("end", () => {
      visit.leaving.abort();
      if (visit.latest?.complete === false) socket.destroy();
    });
    socket.on("close", () => {
      visit.leaving.abort();
      this.#open.delete(socket);
    });
  }

  /** Who takes nothing of an answer that waits for him is cut off: it holds memory and a place. */
  async #dropStalled(): Promise<void> {
    const { limits, options: { clock, log } } = this;
    while (!this.closing.aborted) {
      await clock.sleep(limits.check_ms, this.closing);
      const now_ms = clock.monotonic_ms();
      for (const [answer, last] of this.#answers) {
        const { socket } = answer;
        const taken = socket && socket.writableLength > 0 ? socket.bytesWritten - socket.writableLength : -1;
        if (!socket || taken < 0 || taken !== last.taken) this.#answers.set(answer, { taken, since_ms: now_ms });
        else if (now_ms - last.since_ms >= limits.stalled_ms) {
          log("debug", "a client that takes nothing is cut off", { seconds: limits.stalled_ms / 1000 });
          socket.destroy();
        }
      }
    }
  }

  readonly #listener = getRequestListener(async (request, { incoming }) => {
    const peer = this.#peers.get(incoming as IncomingMessage) as Peer;
    const { policy } = this.credentials;
    if (this.#open.size > this.limits.connections) {
      return asOurs(errorReply(503, `too many connections (${this.limits.connections})`));
    }
    if (this.#surplus.has(incoming as IncomingMessage)) {
      return asOurs(errorReply(503, `too many requests wait on this connection (${this.limits.waiting})`));
    }
    const verdict = judge(policy, request, peer.target ?? "", peer.connection as Connection);
    if (verdict.denial) {
      this.#audit.refused(verdict.denial, request, peer);
      return asOurs(denialReply(verdict.denial, policy));
    }
    const reply = await this.options.handler(request, peer);
    this.#audit.answered(reply, request, peer, verdict.as);
    return reply;
  }, {
    overrideGlobalObjects: false,
    errorHandler: (error) => {
      this.options.log("error", "a request could not be answered", { error: messageOf(error) });
      return errorReply(500);
    },
  });

  answer(incoming: IncomingMessage, outgoing: ServerResponse, kind: Connection["kind"], idle: Set<Socket>): void {
    const { socket } = incoming;
    const { limits: { waiting } } = this;
    const visit = this.#open.get(socket);
    if (visit) visit.latest = incoming;
    const before = this.#turns.take(socket, () => this.#begin(incoming, outgoing, kind, idle));
    if (before > waiting) this.#surplus.add(incoming);
    if (before >= 4 * waiting) socket.destroy();
  }

  #begin(incoming: IncomingMessage, outgoing: ServerResponse, kind: Connection["kind"], idle: Set<Socket>): void {
    const { closing } = this;
    const { socket } = incoming;
    const leaving = this.#open.get(socket)?.leaving.signal ?? closing;
    this.#peers.set(incoming, takePeer(incoming, kind, leaving, this.options.clock.now_ms(), this.processes));
    idle.delete(socket);
    this.#answers.set(outgoing, { taken: -1, since_ms: 0 });
    outgoing.on("close", () => {
      this.#answers.delete(outgoing);
      if (socket.destroyed || !socket.writable) return this.#turns.drop(socket);
      if (closing.aborted) return socket.destroySoon();
      idle.add(socket);
      this.#turns.done(socket);
    });
    void this.#listener(incoming, outgoing);
  }
}

/** The last answer on its connection. */
function asOurs(reply: Response): Response {
  reply.headers.set("Server", `fleetd/${version}`);
  reply.headers.set("Connection", "close");
  return reply;
}

/** One listening socket. */
class Listener {
  /** Connections that no request is under way on; closeIdleConnections() leaves out those yet unused. */
  readonly #idle = new Set<Socket>();
  readonly #sockets = new Set<Socket>();
  readonly #server: HttpServer;
  #tlsServer: HttpsServer | undefined;
  #kind: Connection["kind"] = "unix";

  private constructor(private readonly spec: ListenSpec, private readonly door: Door, private readonly log: Log) {
    this.#server = createServer(timeouts(door.limits), (incoming, outgoing) => this.#answer(incoming, outgoing));
    this.#server.maxConnections = 2 * door.limits.connections;
    this.#receive(this.#server);
  }

  static async open(spec: ListenSpec, door: Door, log: Log): Promise<Listener> {
    const listener = new Listener(spec, door, log);
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

  get networkAddress(): NetworkAddress | undefined {
    const bound = this.#bound;
    return bound && this.#kind === "network" ? { host: bound.address, port: bound.port } : undefined;
  }

  /** Connections that are open keep the certificate they were made with. */
  useCertificate(): void {
    const { tls } = this.door.credentials;
    if (tls && this.#tlsServer) this.#tlsServer.setSecureContext(secureContext(tls));
  }

  #answer(incoming: IncomingMessage, outgoing: ServerResponse): void {
    this.door.answer(incoming, outgoing, this.#kind, this.#idle);
  }

  /** The socket is bound first and asked where: an inherited one may be any. Who speaks is then told connection by connection. */
  #choosePlainOrTls(): void {
    const plain = this.#server.listeners("connection") as ((socket: Socket) => void)[];
    this.#server.removeAllListeners("connection");
    this.#server.on("connection", (socket) => {
      if (!this.door.credentials.tls) return plain.forEach((receive) => receive.call(this.#server, socket));
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
      this.#openTls(this.door.credentials.tls).emit("connection", socket);
    });
  }

  #openTls(tls: TlsTexts): HttpsServer {
    if (this.#tlsServer) return this.#tlsServer;
    const options = {
      ...timeouts(this.door.limits),
      ...secureContext(tls),
      handshakeTimeout: this.door.limits.handshake_ms,
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
      this.#idle.add(socket);
      this.door.enter(socket);
      socket.on("close", () => this.#idle.delete(socket));
    });
    server.on("clientError", (error, socket) => {
      this.log("debug", "a connection is given up", { error: messageOf(error) });
      if (socket.writable) socket.end(malformedReply(codeOf(error)));
    });
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#idle.forEach((socket) => socket.destroy());
    const late = setTimeout(() => {
      this.#server.closeAllConnections();
      this.#sockets.forEach((socket) => socket.destroy());
    }, this.door.limits.close_ms);
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

/** A client's certificate is asked for and looked at, but only {@link deny} turns its owner away: with a reason. */
function secureContext({ cert, key, clientCa }: TlsTexts) {
  return {
    cert,
    key,
    ...(clientCa === undefined ? {} : { ca: [clientCa], requestCert: true, rejectUnauthorized: false }),
  };
}
