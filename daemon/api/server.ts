/**
 * The API on sockets. 🚪 node:http, because it alone can serve on a socket that systemd has opened.
 *
 * @module
 */

import { createServer, type IncomingMessage, type Server as HttpServer, type ServerResponse } from "node:http";
import { connect, type Socket } from "node:net";
import { lstat, unlink } from "node:fs/promises";
import { getRequestListener } from "@hono/node-server";
import { type Log, messageOf } from "../../registry/log.ts";
import { version } from "../version.ts";
import { describeListen, type ListenSpec, passedSockets } from "./listen.ts";
import { errorReply } from "./replies.ts";
import type { Handler, Peer } from "./routes.ts";

export { type ListenSpec, listenSpec } from "./listen.ts";

/** How long a request may take to arrive, an idle connection may stay, and a closing server waits for answers. */
const limits = {
  headers_ms: 15_000,
  request_ms: 60_000,
  idle_ms: 60_000,
  check_ms: 5_000,
  close_ms: 2_000,
  headers_bytes: 32 * 1024,
  connections: 2_048,
} as const;

/** What {@link serve} needs. */
export interface ServeOptions {
  readonly handler: Handler;
  /** With none, nothing is served. */
  readonly listen: readonly ListenSpec[];
  readonly log: Log;
}

/** A server that accepts connections. */
export interface Server {
  /** Where, in the order asked for: `HOST:PORT`, `unix:PATH`; `fd:N` where only whoever passed it knows. */
  readonly addresses: readonly string[];
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
export async function serve({ handler, listen, log }: ServeOptions): Promise<Server> {
  const closing = new AbortController();
  const open: Listener[] = [];
  try {
    for (const spec of listen) open.push(await Listener.open(spec, handler, closing.signal, log));
  } catch (error) {
    await Promise.all(open.map((listener) => listener.close()));
    throw error;
  }
  let closed: Promise<unknown> | undefined;
  return {
    addresses: open.map((listener) => listener.address),
    close: async () => {
      closing.abort();
      await (closed ??= Promise.all(open.map((listener) => listener.close())));
    },
  };
}

/** One listening socket. */
class Listener {
  private constructor(
    private readonly spec: ListenSpec,
    private readonly server: HttpServer,
    private readonly idle: ReadonlySet<Socket>,
    private readonly log: Log,
  ) {}

  static async open(spec: ListenSpec, handler: Handler, closing: AbortSignal, log: Log): Promise<Listener> {
    const { server, idle } = createHttpServer(handler, closing, log);
    const listener = new Listener(spec, server, idle, log);
    await listener.#listen();
    listener.server.on("error", (error) => log("error", `${describeListen(spec)}: ${error.message}`));
    log("debug", "serving the API", { address: listener.address });
    return listener;
  }

  get address(): string {
    const address = this.server.address();
    if (address === null) return describeListen(this.spec);
    if (typeof address === "string") return `unix:${address}`;
    return describeListen({ kind: "tcp", host: address.address, port: address.port });
  }

  async close(): Promise<void> {
    const { server } = this;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    this.idle.forEach((socket) => socket.destroy());
    const late = setTimeout(() => server.closeAllConnections(), limits.close_ms);
    await closed;
    clearTimeout(late);
  }

  async #listen(): Promise<void> {
    const { spec } = this;
    try {
      await this.#bind();
    } catch (error) {
      const isStale = spec.kind === "unix" && codeOf(error) === "EADDRINUSE" && await isAbandoned(spec.path);
      if (!isStale) throw await explain(spec, error);
      this.log("info", "removing a socket file that nobody listens on any more", { path: spec.path });
      await removeFile(spec.path);
      await this.#bind().catch(async (error) => {
        throw await explain(spec, error);
      });
    }
  }

  #bind(): Promise<void> {
    const { server, spec } = this;
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

/** `idle` are the connections that no request is under way on; closeIdleConnections() leaves out those yet unused. */
function createHttpServer(
  handler: Handler,
  closing: AbortSignal,
  log: Log,
): { readonly server: HttpServer; readonly idle: ReadonlySet<Socket> } {
  const idle = new Set<Socket>();
  const peers = new WeakMap<IncomingMessage, Peer>();
  const answer = getRequestListener((request, { incoming }) => {
    return handler(request, peers.get(incoming as IncomingMessage));
  }, {
    overrideGlobalObjects: false,
    errorHandler: (error) => {
      log("error", "a request could not be answered", { error: messageOf(error) });
      return errorReply(500);
    },
  });
  const server = createServer({
    connectionsCheckingInterval: limits.check_ms,
    headersTimeout: limits.headers_ms,
    requestTimeout: limits.request_ms,
    keepAliveTimeout: limits.idle_ms,
    maxHeaderSize: limits.headers_bytes,
  }, (incoming, outgoing) => {
    peers.set(incoming, takePeer(incoming, closing));
    idle.delete(incoming.socket);
    outgoing.on("close", () => {
      if (closing.aborted) incoming.socket.destroySoon();
      else if (!incoming.socket.destroyed) idle.add(incoming.socket);
    });
    void answer(incoming, outgoing as ServerResponse);
  });
  server.on("connection", (socket) => {
    idle.add(socket);
    socket.on("close", () => idle.delete(socket));
  });
  server.maxConnections = limits.connections;
  server.on("clientError", (error, socket) => {
    log("debug", "a connection is given up", { error: messageOf(error) });
    if (socket.writable) socket.end(refusalOf(codeOf(error)));
  });
  return { server, idle };
}

/**
 * What is known of a request beside the request. The adapter refuses targets and hosts that no URL can hold (`\` in unit
 * names, paths as hosts); the handler goes by the target alone, so the adapter is shown others.
 */
function takePeer(incoming: IncomingMessage, closing: AbortSignal): Peer {
  const target = incoming.url ?? "/";
  const names = incoming.rawHeaders.filter((_, index) => index % 2 === 0);
  const contentTypes = names.filter((name) => name.toLowerCase() === "content-type").length;
  incoming.url = "/";
  incoming.headers.host = "localhost";
  return { target, contentTypes, closing };
}

/** The answer to what is no HTTP request. */
function refusalOf(code: string | undefined): string {
  const [status, message] = code === "HPE_HEADER_OVERFLOW"
    ? ["431 Request Header Fields Too Large", `request header exceeds maximum length (${limits.headers_bytes})`]
    : code === "ERR_HTTP_REQUEST_TIMEOUT"
    ? ["408 Request Timeout", "request did not arrive in time"]
    : ["400 Bad Request", "malformed HTTP request"];
  const body = JSON.stringify({ error: { code: parseInt(status), message } });
  return `HTTP/1.1 ${status}\r\nServer: fleetd/${version}\r\nConnection: close\r\nContent-Type: application/json\r\n` +
    `Content-Length: ${body.length}\r\n\r\n${body}`;
}

async function explain(spec: ListenSpec, cause: unknown): Promise<Error> {
  const address = describeListen(spec);
  const code = codeOf(cause);
  if (spec.kind === "unix" && code === "EADDRINUSE") {
    const why = !await isSocket(spec.path)
      ? "there is a file that is no socket: name another path, or remove the file"
      : "another program answers there: stop it, or name another path";
    return new Error(`cannot listen on ${address}: ${why}`, { cause });
  }
  if (code === "EADDRINUSE") {
    return new Error(`cannot listen on ${address}: another program listens there: stop it, or name another address`, {
      cause,
    });
  }
  if (spec.kind === "fd") {
    const advice = "systemd passes the sockets of a .socket unit, which must be of the kinds ListenStream= makes";
    return new Error(`cannot serve on file descriptor ${spec.fd}: ${advice}`, { cause });
  }
  return new Error(`cannot listen on ${address}`, { cause });
}

/** True if nobody accepts connections at a socket file. */
async function isAbandoned(path: string): Promise<boolean> {
  if (!await isSocket(path)) return false;
  return await new Promise((resolve) => {
    const probe = connect({ path });
    probe.once("connect", () => {
      probe.destroy();
      resolve(false);
    });
    probe.once("error", (error) => resolve(codeOf(error) === "ECONNREFUSED"));
  });
}

async function isSocket(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isSocket();
  } catch (error) {
    if (codeOf(error) === "ENOENT") return false;
    throw error;
  }
}

/** Removes a file that may be gone already. */
async function removeFile(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error;
  }
}

function codeOf(error: unknown): string | undefined {
  return (error as { code?: string } | null)?.code;
}
