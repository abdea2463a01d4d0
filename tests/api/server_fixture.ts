/** The API on real sockets, and clients that may send any bytes. */

import { systemClock } from "../../daemon/host/system_clock.ts";
import type { Handler } from "../../daemon/api/handler.ts";
import type { Limits } from "../../daemon/api/http/limits.ts";
import type { Credentials } from "../../daemon/api/auth/credentials.ts";
import { type ListenSpec, serve, type Server } from "../../daemon/api/http/server.ts";
import type { Certificate } from "./authority.ts";

export const loopback: ListenSpec = { kind: "tcp", host: "127.0.0.1", port: 0 };

/** A socket on every address, which other machines can reach. */
export const network: ListenSpec = { kind: "tcp", host: "0.0.0.0", port: 0 };

/** The time limit of reads: long enough for a busy test machine. */
export const deadline_ms = 20_000;

/** Servers, and a directory for their socket files; disposing closes and removes them. */
export class ServerFixture implements AsyncDisposable {
  readonly directory = Deno.makeTempDirSync({ prefix: "fleet-api-" });
  /** The log lines above `debug`, with their fields. */
  readonly logged: string[] = [];
  readonly #servers: Server[] = [];

  unix(name = "fleet.sock"): ListenSpec {
    return { kind: "unix", path: `${this.directory}/${name}` };
  }

  async serve(
    handler: Handler,
    spec: ListenSpec | readonly ListenSpec[],
    credentials: Credentials = { policy: {} },
    limits: Partial<Limits> = {},
  ): Promise<Server> {
    const server = await serve({
      limits,
      handler,
      listen: [spec].flat(),
      credentials,
      clock: systemClock,
      log: (level, message, fields) =>
        level === "debug" || this.logged.push([message, ...Object.values(fields ?? {})].join(" ")),
    });
    this.#servers.push(server);
    return server;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) await server.close();
    await Deno.remove(this.directory, { recursive: true });
  }
}

/** The authority and the certificate of a TLS client. */
export interface ClientTls {
  readonly ca: string;
  readonly shows?: Certificate;
}

/** Connects to a server on this machine. */
export async function connect(address: string, tls?: ClientTls): Promise<Deno.Conn> {
  if (address.startsWith("unix:")) return await Deno.connect({ transport: "unix", path: address.slice(5) });
  const port = Number(address.split(":").at(-1));
  if (!tls) return await Deno.connect({ hostname: "127.0.0.1", port });
  return await Deno.connectTls({ hostname: "127.0.0.1", port, caCerts: [tls.ca], ...tls.shows });
}

/** A request as it is sent. */
export interface RawRequest {
  readonly method?: string;
  readonly path: string;
  readonly host?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** A response as it was received. */
export interface RawAnswer {
  readonly code: number;
  readonly head: string;
  readonly body: string;
}

/** Returns the bytes of a request after which the connection is closed. */
export function written({ method = "GET", path, host = "localhost", headers = {}, body }: RawRequest): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`).join("");
  const length = body === undefined ? "" : `Content-Length: ${new TextEncoder().encode(body).length}\r\n`;
  return `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n${lines}${length}\r\n${body ?? ""}`;
}

/** Sends one request and reads until the server closes. */
export async function ask(address: string, request: RawRequest, tls?: ClientTls): Promise<RawAnswer> {
  return answerOf(await talk(address, written(request), tls));
}

/** Splits a response into its parts. */
export function answerOf(text: string): RawAnswer {
  const end = text.indexOf("\r\n\r\n");
  return { code: Number(text.slice(9, 12)), head: text.slice(0, end), body: text.slice(end + 4) };
}

/** Sends bytes unchanged, and reads until the server closes. */
export async function talk(address: string, text: string, tls?: ClientTls): Promise<string> {
  using connection = await connect(address, tls);
  await write(connection, text);
  return await readUntil(connection, () => false);
}

/** Writes a whole text; a server that closes meanwhile is no error here. */
export async function write(connection: Deno.Conn, text: string): Promise<void> {
  const bytes = new TextEncoder().encode(text);
  try {
    for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
  } catch (error) {
    const isClosed = [Deno.errors.BrokenPipe, Deno.errors.ConnectionReset].some((kind) => error instanceof kind);
    if (!isClosed) throw error;
  }
}

/** Reads until `enough` is true for the text so far, or the other side closes. */
export async function readUntil(connection: Deno.Conn, enough: (text: string) => boolean): Promise<string> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(65536);
  let text = "";
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    connection.close();
  }, deadline_ms);
  try {
    while (!enough(text)) {
      const count = await connection.read(buffer).catch((error: unknown) => {
        if (isLate) throw new Error(`nothing more came within ${deadline_ms} ms, only: ${text.slice(0, 500)}`);
        if (error instanceof Deno.errors.ConnectionReset || error instanceof Deno.errors.UnexpectedEof) return null;
        throw error;
      });
      if (count === null) break;
      text += decoder.decode(buffer.subarray(0, count), { stream: true });
    }
    return text;
  } finally {
    clearTimeout(timer);
  }
}
