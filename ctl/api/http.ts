/**
 * The adapter to the API: `fetch` over a unix domain socket or TCP, with or without TLS, always with a time limit.
 *
 * @module
 */

import { type ApiClient, type ApiRequest, createApiClient, type Send, UnreachableError } from "./client.ts";
import { ClientSetupError, type Endpoint, parseEndpoint } from "./endpoint.ts";
import { onceAborted } from "../../runtime/on_abort.ts";
import { Failover, type Place } from "./failover.ts";
import { type Io, reasonOf } from "../terminal/port.ts";
import { whyUnreachable } from "./unreachable.ts";

/** How to reach the API. */
export interface ClientSettings {
  /** One endpoint, or several between commas. */
  readonly endpoint: string;
  /** Longest time until an answer is complete, or has begun if it streams. */
  readonly timeout_ms: number;
  /** Paths of PEM files; "" for none. */
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
  /** Bearer token to show; "" for none. */
  readonly token?: string;
  /** Makes the way to an API that is not to be reached from here: the socket's path there, if it is one. */
  readonly wire?: (socket: string | undefined, tls: Tls) => Fetch;
}

/** As much of `fetch` as is needed. */
export type Fetch = (url: string, request: FetchRequest) => Promise<Response>;

/** A request as {@link Fetch} takes it. */
export interface FetchRequest {
  readonly method: string;
  readonly body?: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/**
 * An {@link ApiClient} over the network; nothing is sent yet. Of several endpoints, the first that answers is used.
 * Throws {@link ClientSetupError}.
 */
export async function connect(settings: ClientSettings, io: Io): Promise<ApiClient> {
  const endpoints = settings.endpoint.split(",").filter((text) => text !== "").map(parseEndpoint);
  if (endpoints.length === 0) endpoints.push(parseEndpoint(settings.endpoint));
  const tls = await readTls(settings, io);
  const clients: Deno.HttpClient[] = [];
  const places = endpoints.map((endpoint): Place => ({
    endpoint: endpoint.text,
    send: senderTo(
      endpoint,
      settings.wire?.(endpoint.socket, tls ?? {}) ?? directly(endpoint, tls, clients),
      settings,
      io,
    ),
  }));
  const close = () => {
    for (const client of clients.splice(0)) client.close();
  };
  const [only, ...others] = places as [Place, ...Place[]];
  const certificates = async () => {
    const direct = settings.wire ? [] : endpoints.filter(({ socket }) => socket === undefined);
    if (direct.length === 0) return [];
    const { serverCertificate } = await import("./server_certificate.ts");
    const found = await Promise.all(direct.map(({ text, base }) => serverCertificate(text, base)));
    return found.filter((certificate) => certificate !== undefined);
  };
  if (others.length === 0) return createApiClient(only.endpoint, patient(only.send, io), close, certificates);
  const failover = new Failover(places, io);
  return createApiClient(() => failover.endpoint, patient(failover.send, io), close, certificates);
}

/** Requests from this machine. What has to be closed is added to `clients`. */
function directly({ socket }: Endpoint, tls: Tls | undefined, clients: Deno.HttpClient[]): Fetch {
  let http: Deno.HttpClient | undefined;
  return (url, request) => {
    if (!http && (socket !== undefined || tls)) {
      http = Deno.createHttpClient(socket === undefined ? tls ?? {} : { proxy: { transport: "unix", path: socket } });
      clients.push(http);
    }
    return fetch(url, { ...request, ...(http ? { client: http } : {}) });
  };
}

function senderTo(endpoint: Endpoint, wire: Fetch, settings: ClientSettings, io: Io): Send {
  return async (path, request) => {
    io.log("DEBUG", `HTTP ${request.method} ${endpoint.base}${path}`);
    const answer = await exchange(endpoint, wire, path, request, settings);
    io.log("DEBUG", `HTTP ${request.method} ${endpoint.base}${path} ${answer.status}`);
    return answer;
  };
}

/** How long a daemon that is starting is asked again, and how often, milliseconds. */
const starting = { limit_ms: 10_000, every_ms: 250 } as const;

/** Sends a request again while the daemon refuses it because it is starting: nothing of it was done. */
function patient(send: Send, io: Io): Send {
  return async (path, request) => {
    const until_ms = io.now_ms() + starting.limit_ms;
    for (;;) {
      const answer = await send(path, request);
      if (answer.status !== 503 || io.now_ms() >= until_ms) return answer;
      const text = await answer.clone().text();
      if (!text.includes("fleetd is starting")) return answer;
      io.log("DEBUG", `HTTP ${request.method} ${path}: fleetd is starting, trying again`);
      await io.sleep(starting.every_ms, request.signal);
    }
  };
}

/** What createHttpClient takes of the TLS flags. */
export type Tls = { readonly caCerts?: string[]; readonly cert?: string; readonly key?: string };

/** Reads the files of the TLS flags; undefined if none is given. Throws {@link ClientSetupError}. */
export async function readTls(
  settings: Pick<ClientSettings, "caFile" | "certFile" | "keyFile">,
  io: Io,
): Promise<Tls | undefined> {
  const { caFile, certFile, keyFile } = settings;
  if (!caFile && !certFile && !keyFile) return undefined;
  if (!certFile !== !keyFile) throw new ClientSetupError("--cert-file and --key-file go together: only one is given");
  const read = async (flag: string, path: string, holds: RegExp, what: string) => {
    const text = await io.readFile(path).catch((cause) => {
      throw new ClientSetupError(`cannot read ${path}: ${reasonOf(cause)}`, { cause });
    });
    if (text === undefined) throw new ClientSetupError(`cannot read ${path}: no such file`);
    if (!holds.test(text)) throw new ClientSetupError(`--${flag} ${path} holds no ${what}`);
    return text;
  };
  // The labels of RFC 7468.
  const [certificate, key] = [/^-----BEGIN (TRUSTED )?CERTIFICATE-----/m, /^-----BEGIN .*PRIVATE KEY-----/m];
  return {
    ...(caFile ? { caCerts: [await read("ca-file", caFile, certificate, "certificate")] } : {}),
    ...(certFile
      ? {
        cert: await read("cert-file", certFile, certificate, "certificate"),
        key: await read("key-file", keyFile, key, "private key"),
      }
      : {}),
  };
}

/** A timer cannot be longer than this. */
const longestTimer_ms = 2 ** 31 - 1;

async function exchange(
  endpoint: Endpoint,
  wire: Fetch,
  path: string,
  request: ApiRequest,
  { timeout_ms, token }: ClientSettings,
): Promise<Response> {
  // Not AbortSignal.any: fetch does not always notice the signal that it returns.
  const end = new AbortController();
  // Not setTimeout: making its first timer takes as long as the whole request.
  const deadline = AbortSignal.timeout(Math.min(timeout_ms, longestTimer_ms));
  const stopListening = onceAborted([deadline, request.signal], () => end.abort());
  try {
    const answer = await wire(endpoint.base + path, {
      method: request.method,
      signal: end.signal,
      headers: {
        ...(request.body === undefined ? {} : { "content-type": "application/json" }),
        ...(token ? { authorization: `Bearer ${token}` } : {}),
      },
      ...(request.body === undefined ? {} : { body: request.body }),
    });
    if (request.streaming && answer.ok) return answer;
    // Reading it here keeps the body within the time limit too.
    const empty = [101, 204, 205, 304].includes(answer.status);
    return new Response(empty ? null : await answer.arrayBuffer(), { status: answer.status, headers: answer.headers });
  } catch (cause) {
    if (request.signal?.aborted) throw request.signal.reason;
    if (cause instanceof UnreachableError) throw cause;
    const late_ms = deadline.aborted ? timeout_ms : undefined;
    throw new UnreachableError(whyUnreachable(endpoint, path, request, late_ms, cause), { cause });
  } finally {
    stopListening();
  }
}
