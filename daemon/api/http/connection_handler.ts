/**
 * What stands between the API's sockets and its routes: who may pass, and how much at a time. An adapter. node:http's requests.
 *
 * @module
 */

import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { getRequestListener } from "@hono/node-server";
import type { Clock } from "../../../runtime/clock.ts";
import { type Log, messageOf } from "../../../runtime/log.ts";
import { version } from "../../version.ts";
import { denialReply, judge, type Policy } from "../auth/policy.ts";
import { AuditLog } from "../auth/audit.ts";
import type { Connection, Peer } from "../context.ts";
import { type Limits, usualLimits } from "./limits.ts";
import { takePeer } from "./connection_info.ts";
import { openPeerCredentials, type PeerCredentialsReader } from "../auth/peer_credentials.ts";
import { errorReply } from "./responses.ts";
import type { Handler } from "../handler.ts";
import { Turns } from "./pipeline_queue.ts";
import { VerifiedCertificates } from "../auth/verified_certs.ts";

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

/** What a {@link ConnectionHandler} needs. */
export interface ConnectionHandlerOptions {
  readonly handler: Handler;
  readonly credentials: Credentials;
  readonly log: Log;
  /** For the lines about refused requests and changes, of which the log may leave none out; `log` where not given. */
  readonly auditLog?: Log;
  readonly clock: Clock;
  /** For tests that cannot wait: other limits than usual. */
  readonly limits?: Partial<Limits>;
}

/** One open connection. */
interface OpenConnection {
  readonly kind: Connection["kind"];
  /** Ends answers without an end. */
  leaving: AbortController;
  /** The request that came last; its body may be coming yet. */
  latest?: IncomingMessage;
  /** The request that is being answered, or was last. */
  current?: IncomingMessage;
  /** Malformed bytes have come: they are answered when all requests before them are. */
  isMalformed?: boolean;
  /** The answer under way is the last one. */
  isOver?: boolean;
}

/** What stands between every socket and the handler: who may pass. */
export class ConnectionHandler {
  readonly limits: Limits;
  #credentials: Credentials;
  readonly #open = new Map<Socket, OpenConnection>();
  /** Whoever fills up one way in leaves the others open: root's own above all. */
  readonly #counts = { unix: 0, loopback: 0, network: 0 };
  readonly processes: PeerCredentialsReader;
  readonly verifiedCertificates = new VerifiedCertificates();
  readonly #audit: AuditLog;
  readonly #peers = new WeakMap<IncomingMessage, Peer>();
  readonly #turns = new Turns<Socket>();
  /** Requests of which too many waited on their connection. */
  readonly #surplus = new WeakSet<IncomingMessage>();
  /** Answers under way, with how much their clients had taken when last looked at. */
  readonly #answers = new Map<ServerResponse, { readonly taken: number; readonly since_ms: number }>();

  constructor(private readonly options: ConnectionHandlerOptions, private readonly closing: AbortSignal) {
    this.#credentials = options.credentials;
    this.limits = { ...usualLimits, ...options.limits };
    this.processes = openPeerCredentials(options.log);
    this.#audit = new AuditLog(options.clock, options.auditLog ?? options.log, closing);
    closing.addEventListener("abort", () => this.#open.forEach(({ leaving }) => leaving.abort()));
    void this.#dropStalled();
  }

  get credentials(): Credentials {
    return this.#credentials;
  }

  /**
   * Goes by other credentials. Who reads on from the network comes back and is judged anew. Connections that were made
   * with a certificate of another authority end with the answer that is under way.
   */
  use(credentials: Credentials): void {
    const isOver = credentials.tls?.clientCa !== this.#credentials.tls?.clientCa;
    this.#credentials = credentials;
    if (isOver) this.verifiedCertificates.forget();
    for (const entry of this.#open.values()) {
      if (entry.kind !== "network") continue;
      entry.leaving.abort();
      entry.leaving = new AbortController();
      entry.isOver ||= isOver;
    }
  }

  /**
   * Counts a connection. Who has ended his side of it may still be waiting for what he has asked for, and is given that;
   * he may as well have gone, so that answers without an end end.
   */
  enter(socket: Socket, kind: Connection["kind"]): void {
    const entry: OpenConnection = { kind, leaving: new AbortController() };
    this.#open.set(socket, entry);
    this.#counts[kind]++;
    if ("getPeerCertificate" in socket) this.verifiedCertificates.see(socket as TLSSocket);
    socket.on("end", () => {
      entry.leaving.abort();
      if (entry.latest?.complete === false) socket.destroy();
    });
    socket.on("close", () => {
      entry.leaving.abort();
      this.#open.delete(socket);
      this.#counts[kind]--;
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
    const { policy } = this.#credentials;
    const entry = this.#open.get((incoming as IncomingMessage).socket);
    if (entry && this.#counts[entry.kind] > this.limits.connections) {
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
    const reply = await this.options.handler(request, verdict.as === undefined ? peer : { ...peer, as: verdict.as });
    this.#audit.answered(reply, request, peer, verdict.as);
    // What was not worth reading to its end is not read just to be thrown away.
    if (!(incoming as IncomingMessage).complete) reply.headers.set("Connection", "close");
    return reply;
  }, {
    overrideGlobalObjects: false,
    // Bodies are read by the routes. What they leave is not worth reading, and is cut off.
    autoCleanupIncoming: false,
    errorHandler: (error) => {
      this.options.log("error", "a request could not be answered", { error: messageOf(error) });
      return errorReply(500, messageOf(error));
    },
  });

  answer(incoming: IncomingMessage, outgoing: ServerResponse, kind: Connection["kind"], idle: Set<Socket>): void {
    const { socket } = incoming;
    const { limits: { waiting } } = this;
    const entry = this.#open.get(socket);
    if (entry) entry.latest = incoming;
    const before = this.#turns.take(socket, () => this.#begin(incoming, outgoing, kind, idle));
    if (before > waiting) this.#surplus.add(incoming);
    if (before >= 4 * waiting) socket.destroy();
  }

  /**
   * Calls `end` when every complete request that came before on the connection has been answered; event streams end for
   * that. The request whose own bytes are malformed is not answered. Only the first call of a connection counts.
   */
  endAfterAnswers(socket: Socket, end: () => void): void {
    const entry = this.#open.get(socket);
    if (entry?.isMalformed) return;
    if (!entry || socket.destroyed || entry.current?.complete === false) return end();
    entry.isMalformed = true;
    entry.leaving.abort();
    this.#turns.take(socket, end);
  }

  #begin(incoming: IncomingMessage, outgoing: ServerResponse, kind: Connection["kind"], idle: Set<Socket>): void {
    const { closing } = this;
    const { socket } = incoming;
    const entry = this.#open.get(socket);
    if (entry?.isMalformed && !incoming.complete) return this.#turns.done(socket);
    if (entry) entry.current = incoming;
    const leaving = entry?.leaving.signal ?? closing;
    this.#peers.set(incoming, {
      ...takePeer(incoming, kind, leaving, this.options.clock.now_ms(), this),
      whenOver: (callback) => this.#answers.has(outgoing) ? void outgoing.on("close", callback) : callback(),
    });
    idle.delete(socket);
    this.#answers.set(outgoing, { taken: -1, since_ms: 0 });
    outgoing.on("close", () => {
      this.#answers.delete(outgoing);
      if (socket.destroyed || !socket.writable) return this.#turns.drop(socket);
      if (closing.aborted || entry?.isOver) return socket.destroySoon();
      idle.add(socket);
      this.#turns.done(socket);
    });
    writeUsualNames(outgoing);
    void this.#listener(incoming, outgoing);
  }
}

/** Headers are in lower case; scripts look for `Location:` and `Content-Type:`, as fleet 1.0 writes them. */
function writeUsualNames(outgoing: ServerResponse): void {
  const writeHead = outgoing.writeHead.bind(outgoing) as (code: number, headers: Record<string, unknown>) => unknown;
  const usual = (name: string) => name.replace(/(?<=^|-)[a-z]/g, (letter) => letter.toUpperCase());
  const write = (code: number, headers: Readonly<Record<string, unknown>> = {}) => {
    writeHead(code, Object.fromEntries(Object.entries(headers).map(([name, value]) => [usual(name), value])));
    return outgoing;
  };
  Object.assign(outgoing, { writeHead: write });
}

/** The last answer on its connection. */
function asOurs(reply: Response): Response {
  reply.headers.set("Server", `fleetd/${version}`);
  reply.headers.set("Connection", "close");
  return reply;
}
