/**
 * The adapter to an API at the far end of `--tunnel`: HTTP over streams of an SSH connection.
 *
 * @module
 */

import { type ClientRequest, type IncomingMessage, request as httpRequest, type RequestOptions } from "node:http";
import { request as httpsRequest } from "node:https";
import type { Duplex } from "node:stream";
import { connect as connectTls } from "node:tls";
import type { Fetch, Tls } from "../api/http.ts";
import { UnreachableError } from "../api/client.ts";
import { onceAborted } from "../../runtime/on_abort.ts";
import { type Io, reasonOf } from "../terminal/port.ts";
import { shellWord } from "./remote.ts";
import { openUnlessAborted, unlessAborted } from "./timeout.ts";
import { ChannelRefusedError, type SshConnection } from "./port.ts";

/** A {@link Fetch} that connects from the far end of the tunnel. `socket` is the path of the API's socket there. */
export function tunnelledFetch(
  tunnel: () => Promise<SshConnection>,
  socket: string | undefined,
  tls: Tls,
  io: Io,
): Fetch {
  const streams = new Streams(tunnel, io);
  return async (url, { method, body, headers, signal }) => {
    const { protocol, hostname, port, pathname, search, host } = new URL(url);
    const secure = protocol === "https:";
    const name = hostname.replace(/^\[|\]$/g, "");
    const opening = socket === undefined
      ? streams.tcp(name, Number(port || (secure ? 443 : 80)))
      : streams.unix(socket);
    const opened = opening.catch((cause) => {
      throw new UnreachableError(`cannot reach the fleet API through the tunnel: ${reasonOf(cause)}`, { cause });
    });
    const stream = await openUnlessAborted(opened, signal);
    const verified = { servername: name, ...(tls.caCerts ? { ca: tls.caCerts } : {}), cert: tls.cert, key: tls.key };
    const options: RequestOptions = {
      method,
      path: pathname + search,
      headers: { ...headers, host, ...(body === undefined ? {} : { "content-length": byteLength(body) }) },
      // deno-lint-ignore no-explicit-any -- the types ask for a socket, but any stream works
      createConnection: (() => secure ? connectTls({ ...verified, socket: stream } as any) : stream) as any,
    };
    const request = secure ? httpsRequest(options) : httpRequest(options);
    stream.once("close", onceAborted([signal], () => stream.destroy()));
    try {
      // ssh2 closes a stream only once the server has answered, so a request must not wait for the end of its stream.
      return await unlessAborted(exchange(request, body, signal, streams.causeOfLoss(stream)), signal);
    } catch (error) {
      stream.destroy();
      throw error;
    }
  };
}

function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}

function exchange(
  request: ClientRequest,
  body: string | undefined,
  signal: AbortSignal,
  causeOfLoss: () => Promise<string | undefined>,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    request.on("error", async (cause) => {
      const why = await causeOfLoss();
      reject(why === undefined ? cause : new UnreachableError(why, { cause }));
    });
    request.on("response", (answer: IncomingMessage) => {
      const status = answer.statusCode ?? 0;
      const headers = Object.entries(answer.headers).map(([name, value]): [string, string] => [name, `${value}`]);
      const empty = [101, 204, 205, 304].includes(status);
      if (empty) answer.resume();
      resolve(new Response(empty ? null : ReadableStream.from(chunksOf(answer, signal)), { status, headers }));
    });
    request.end(body);
  });
}

async function* chunksOf(answer: IncomingMessage, signal: AbortSignal): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const chunks = answer[Symbol.asyncIterator]();
  try {
    for (;;) {
      const { done, value } = await unlessAborted(chunks.next(), signal);
      if (done) return;
      yield new Uint8Array(value as Uint8Array);
    }
  } catch (cause) {
    if (signal.aborted) throw signal.reason;
    throw new UnreachableError(`the connection through the tunnel was lost: ${reasonOf(cause)}`, { cause });
  } finally {
    answer.destroy();
  }
}

/** Opens streams to the API through the tunnel. */
class Streams {
  readonly #causes = new WeakMap<Duplex, () => Promise<string | undefined>>();
  #canForward = true;

  constructor(readonly tunnel: () => Promise<SshConnection>, readonly io: Io) {}

  async tcp(host: string, port: number): Promise<Duplex> {
    return await (await this.tunnel()).toTcp(host, port);
  }

  /** Lets sshd forward to the socket or, if it refuses, runs `fleetctl fd-forward` on the host. */
  async unix(path: string): Promise<Duplex> {
    const tunnel = await this.tunnel();
    if (this.#canForward) {
      try {
        return await tunnel.toSocket(path);
      } catch (error) {
        if (!(error instanceof ChannelRefusedError)) throw error;
        this.io.log("DEBUG", `${reasonOf(error)}; trying fleetctl fd-forward`);
        this.#canForward = false;
      }
    }
    const session = await tunnel.session({ command: `fleetctl fd-forward ${shellWord(path)}` });
    let errors = "";
    session.stderr.on("data", (chunk) => errors = (errors + chunk).slice(-1000));
    const ended = session.ended.catch((error) => errors ||= reasonOf(error));
    this.#causes.set(session.stream, async () => {
      // Error output may arrive after the end of the stream.
      await ended;
      return `cannot reach the fleet API through the tunnel: neither sshd nor "fleetctl fd-forward" on that host ` +
        `connects to ${path}${errors && ": " + errors.trim()}. May ${tunnel.to} write to it? Try --ssh-username=root`;
    });
    return session.stream;
  }

  /** Returns a function that finds out why a stream ended; it returns undefined if nothing more is known. */
  causeOfLoss(stream: Duplex): () => Promise<string | undefined> {
    return this.#causes.get(stream) ?? (() => Promise.resolve(undefined));
  }
}
