/**
 * Serves HTTP on accepted sockets, with and without TLS: limits, access control, and the order of requests. An adapter:
 * node:http and node:tls.
 *
 * @module
 */

import { createServer, type IncomingMessage, type Server as HttpServer, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { createServer as createTlsServer, type Server as TlsServer, type TLSSocket } from "node:tls";
import type { Clock } from "../../../runtime/clock.ts";
import { type Log, messageOf } from "../../../runtime/log.ts";
import { version } from "../../../runtime/version.ts";
import { authorize, denialReply } from "../auth/policy.ts";
import { AuditLog } from "../auth/audit.ts";
import type { Credentials } from "../auth/credentials.ts";
import { openPeerCredentials, type PeerCredentialsReader } from "../auth/peer_credentials.ts";
import { VerifiedCertificates } from "../auth/verified_certs.ts";
import type { ConnectionInfo, Peer } from "../context.ts";
import type { Handler } from "../handler.ts";
import { peerOf } from "./connection_info.ts";
import { forbiddenMethods, toRequest, writeResponse } from "./fetch_adapter.ts";
import { httpOptions, type Limits, malformedReply, refusedReply, socketOptions, usualLimits } from "./limits.ts";
import { PipelineQueue } from "./pipeline_queue.ts";
import { errorReply } from "./responses.ts";
import { nodeErrorCode } from "./socket_file.ts";

/** The parts that a {@link ConnectionHandler} uses. */
export interface ConnectionHandlerOptions {
  readonly handler: Handler;
  readonly credentials: Credentials;
  readonly log: Log;
  /** For the lines about refused requests and changes, of which the log may leave none out; `log` where not given. */
  readonly auditLog?: Log;
  readonly clock: Clock;
  /** Limits that differ from {@link usualLimits}, for tests. */
  readonly limits?: Partial<Limits>;
}

/** One open connection, after its TLS handshake if it has one. */
interface OpenConnection {
  readonly kind: ConnectionInfo["kind"];
  /** True while no request is being handled. */
  isIdle: boolean;
  /** Ends responses without an end, such as event streams. */
  leaving: AbortController;
  /** The newest request, whose body may still be coming. */
  latest?: IncomingMessage;
  /** The request that is or was last being handled. */
  current?: IncomingMessage;
  /** Malformed bytes have come; they are answered after all requests before them. */
  isMalformed?: boolean;
  /** The connection ends with the response that is being sent. */
  isLast?: boolean;
}

/** A request and its response. */
interface Exchange {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
  /** True if too many requests waited on the connection when the request came. */
  isSurplus: boolean;
}

/** See the head of this file. */
export class ConnectionHandler {
  readonly limits: Limits;
  readonly #http: HttpServer;
  #credentials: Credentials;
  #tls: TlsServer | undefined;
  readonly #connections = new Map<Socket, OpenConnection>();
  /** Each kind has a limit of its own, so that root can always connect over the unix socket. */
  readonly #counts = { unix: 0, loopback: 0, network: 0 };
  readonly #peerCredentials: PeerCredentialsReader;
  readonly #verifiedCertificates = new VerifiedCertificates();
  readonly #audit: AuditLog;
  readonly #queue = new PipelineQueue<Socket>();
  /** Responses being sent, with how much their clients had taken when last checked. */
  readonly #responses = new Map<ServerResponse, { readonly taken: number; readonly since_ms: number }>();

  /** `closing`: aborted when the server closes. */
  constructor(private readonly options: ConnectionHandlerOptions, private readonly closing: AbortSignal) {
    this.limits = { ...usualLimits, ...options.limits };
    this.#http = this.#createHttp();
    this.#credentials = options.credentials;
    this.#tls = this.#createTls();
    this.#peerCredentials = openPeerCredentials(options.log);
    this.#audit = new AuditLog(options.clock, options.auditLog ?? options.log, closing);
    closing.addEventListener("abort", () => this.#leave());
    void this.#disconnectStalled();
  }

  get credentials(): Credentials {
    return this.#credentials;
  }

  /** Serves a connection. On network addresses, TLS is used if the credentials have a certificate. */
  accept(socket: Socket, kind: ConnectionInfo["kind"]): void {
    // A client without power sends nothing, and neither does a quiet journal: the kernel probes the connection (tcp(7)).
    if (kind !== "unix") socket.setKeepAlive(true, this.limits.probe_ms);
    if (kind === "network" && this.#tls) this.#tls.emit("connection", socket);
    else this.#open(socket, kind);
  }

  /**
   * Replaces the credentials. Event streams on the network end, so that their clients reconnect and are authorized again.
   * If the clients' authority changes, connections on the network end with the response that is being sent. If only the
   * server's certificate changes, open connections go on.
   */
  use(credentials: Credentials): void {
    const isOtherAuthority = credentials.tls?.clientCa !== this.#credentials.tls?.clientCa;
    this.#credentials = credentials;
    this.#tls = this.#createTls();
    if (isOtherAuthority) this.#verifiedCertificates.forget();
    for (const [socket, connection] of this.#connections) {
      if (connection.kind !== "network") continue;
      connection.leaving.abort();
      connection.leaving = new AbortController();
      connection.isLast ||= isOtherAuthority;
      if (connection.isLast && connection.isIdle) socket.destroy();
    }
  }

  /** Releases what the handler holds; to be called when all sockets are closed. */
  close(): void {
    this.#http.close();
    this.#peerCredentials[Symbol.dispose]();
  }

  /** node:http serves connections that are emitted to it; but it checks timeouts and keeps connections only if it listens. */
  #createHttp(): HttpServer {
    const server = createServer(httpOptions(this.limits), (incoming, outgoing) => this.#enqueue(incoming, outgoing));
    Object.defineProperty(server, "listening", { value: true });
    server.emit("listening");
    // Without this, a client that half-closes its connection (`nc -N`, shutdown(2)) gets no response. @types/node lacks it.
    Object.assign(server, { httpAllowHalfOpen: true });
    // Without this, node:http answers by itself. RFC 9110, section 10.1.1, allows ignoring an unknown expectation.
    server.on("checkExpectation", (incoming, outgoing) => this.#enqueue(incoming, outgoing));
    server.on("connect", (_incoming, socket) => {
      this.#refuse(socket as Socket, refusedReply(405, "CONNECT is not supported"));
    });
    server.on("clientError", (error, socket) => {
      this.options.log("debug", "closing a connection", { error: messageOf(error) });
      this.#refuse(socket as Socket, malformedReply(nodeErrorCode(error)));
    });
    return server;
  }

  /** Certificates of clients are requested and verified, but it is {@link authorize} that refuses a client: with a reason. */
  #createTls(): TlsServer | undefined {
    const { tls } = this.#credentials;
    if (!tls) return undefined;
    const { cert, key, clientCa } = tls;
    const server = createTlsServer({
      ...socketOptions,
      cert,
      key,
      ...(clientCa === undefined ? {} : { ca: [clientCa], requestCert: true, rejectUnauthorized: false }),
      ALPNProtocols: ["http/1.1"],
      handshakeTimeout: this.limits.handshake_ms,
    }, (socket) => {
      const isOtherAuthority = this.#credentials.tls?.clientCa !== clientCa;
      if (isOtherAuthority || this.closing.aborted) return void socket.destroy();
      this.#verifiedCertificates.add(socket);
      this.#open(socket, "network");
    });
    server.on("tlsClientError", (error, socket) => {
      this.options.log("debug", "a TLS handshake failed", { error: messageOf(error) });
      socket.destroy();
    });
    return server;
  }

  /**
   * Takes over a connection. After a client half-closes it, pending responses are still sent; but a client that has
   * disconnected looks the same, so event streams end.
   */
  #open(socket: Socket | TLSSocket, kind: ConnectionInfo["kind"]): void {
    const connection: OpenConnection = { kind, isIdle: true, leaving: new AbortController() };
    this.#connections.set(socket, connection);
    this.#counts[kind]++;
    this.#http.emit("connection", socket);
    socket.on("end", () => {
      connection.leaving.abort();
      if (connection.latest?.complete === false) socket.destroy();
    });
    socket.on("close", () => {
      connection.leaving.abort();
      this.#connections.delete(socket);
      this.#counts[kind]--;
    });
  }

  #leave(): void {
    for (const [socket, { isIdle, leaving }] of this.#connections) {
      leaving.abort();
      if (isIdle) socket.destroy();
    }
  }

  /** Disconnects clients that take nothing of a response: they hold memory and a connection. */
  async #disconnectStalled(): Promise<void> {
    const { limits, options: { clock, log } } = this;
    while (!this.closing.aborted) {
      await clock.sleep(limits.check_ms, this.closing);
      const now_ms = clock.monotonic_ms();
      for (const [response, last] of this.#responses) {
        const { socket } = response;
        const taken = socket && socket.writableLength > 0 ? socket.bytesWritten - socket.writableLength : -1;
        if (!socket || taken < 0 || taken !== last.taken) this.#responses.set(response, { taken, since_ms: now_ms });
        else if (now_ms - last.since_ms >= limits.stalled_ms) {
          log("debug", "disconnecting a client that takes nothing", { seconds: limits.stalled_ms / 1000 });
          socket.destroy();
        }
      }
    }
  }

  /** Handles a request after those that came before it on its connection. */
  #enqueue(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const { socket } = incoming;
    const { limits: { waiting } } = this;
    const connection = this.#connections.get(socket);
    if (!connection) return void socket.destroy();
    connection.latest = incoming;
    const exchange: Exchange = { incoming, outgoing, isSurplus: false };
    const before = this.#queue.add(socket, () => this.#begin(connection, exchange));
    exchange.isSurplus = before > waiting;
    if (before >= 4 * waiting) socket.destroy();
  }

  /**
   * Ends a connection with `reply` after the responses to all complete requests before it; event streams end for that. The
   * malformed request itself gets no other response. Only the first call for a connection counts.
   */
  #refuse(socket: Socket, reply: string): void {
    socket.on("error", () => {});
    const connection = this.#connections.get(socket);
    if (connection?.isMalformed) return;
    if (!connection || socket.destroyed || connection.current?.complete === false) return end(socket, reply);
    connection.isMalformed = true;
    connection.leaving.abort();
    this.#queue.add(socket, () => end(socket, reply));
  }

  #begin(connection: OpenConnection, exchange: Exchange): void {
    const { incoming, outgoing, incoming: { socket } } = exchange;
    if (connection.isMalformed && !incoming.complete) return this.#queue.done(socket);
    connection.current = incoming;
    connection.isIdle = false;
    this.#responses.set(outgoing, { taken: -1, since_ms: 0 });
    const disconnected = new AbortController();
    outgoing.on("close", () => {
      this.#responses.delete(outgoing);
      if (!outgoing.writableFinished) disconnected.abort();
      if (socket.destroyed || !socket.writable) return this.#queue.drop(socket);
      if (this.closing.aborted || connection.isLast) return socket.destroySoon();
      connection.isIdle = true;
      this.#queue.done(socket);
    });
    this.#respond(connection, exchange, disconnected.signal).catch((error) =>
      this.options.log("warn", "a response broke off", { error: messageOf(error) })
    );
  }

  async #respond(
    connection: OpenConnection,
    { incoming, outgoing, isSurplus }: Exchange,
    disconnected: AbortSignal,
  ): Promise<void> {
    const peer: Peer = {
      ...peerOf(incoming, {
        kind: connection.kind,
        closing: connection.leaving.signal,
        now_ms: this.options.clock.now_ms(),
        peerCredentials: this.#peerCredentials,
        verifiedCertificates: this.#verifiedCertificates,
      }),
      whenOver: (callback) => this.#responses.has(outgoing) ? void outgoing.on("close", callback) : callback(),
    };
    let response: Response;
    try {
      response = this.#refusal(connection, incoming, isSurplus) ??
        await this.#handle(toRequest(incoming, disconnected), peer);
    } catch (error) {
      this.options.log("error", "a request could not be handled", { error: messageOf(error) });
      response = last(errorReply(500, messageOf(error)));
    }
    // The unread rest of a body is not received just to be dropped: the connection is closed after the response.
    if (!incoming.complete) response.headers.set("Connection", "close");
    await writeResponse(response, outgoing);
  }

  #refusal({ kind }: OpenConnection, { method }: IncomingMessage, isSurplus: boolean): Response | undefined {
    const { connections, waiting } = this.limits;
    if (this.#counts[kind] > connections) return last(errorReply(503, `too many connections (${connections})`));
    if (isSurplus) return last(errorReply(503, `too many requests wait on this connection (${waiting})`));
    return forbiddenMethods.has(method) ? last(errorReply(405, `${method} is not supported`)) : undefined;
  }

  async #handle(request: Request, peer: Peer): Promise<Response> {
    const { policy } = this.#credentials;
    const access = authorize(policy, request, peer.target ?? "", peer.connection as ConnectionInfo);
    if (access.denial) {
      this.#audit.refused(access.denial, request, peer);
      return last(denialReply(access.denial, policy));
    }
    const response = await this.options.handler(request, { ...peer, ...access });
    if (access.onlyDryRun === undefined) this.#audit.answered(response, request, peer, access.as);
    else if (response.status === 403) this.#audit.refused({ code: 403, message: access.onlyDryRun }, request, peer);
    return response;
  }
}

/** Completes a response that does not come from the handler; the connection is closed after it. */
function last(response: Response): Response {
  response.headers.set("Server", `fleetd/${version}`);
  response.headers.set("Connection", "close");
  return response;
}

/** Sends a reply and closes the connection, even if the client keeps its side open. */
function end(socket: Socket, reply: string): void {
  if (socket.writable) socket.write(reply);
  socket.destroySoon();
}
