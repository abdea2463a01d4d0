/**
 * The adapter to the API: `fetch` over a unix domain socket or TCP, with or without TLS, always with a time limit.
 *
 * @module
 */

import { ApiClient, type ApiRequest, type Send, UnreachableError } from "./client.ts";
import { type ApiEndpoint, ClientSetupError, parseEndpoint } from "./endpoint.ts";
import { onceAborted } from "../../runtime/on_abort.ts";
import { type EndpointCandidate, Failover } from "./failover.ts";
import { type Io, reasonOf } from "../terminal/port.ts";
import { whyUnreachable } from "./unreachable.ts";

/** Settings of the connection to the API. */
export interface ClientSettings {
  /** One endpoint, or several separated by commas. */
  readonly endpoint: string;
  /** Longest time until a response is complete or, if it is a stream, until it begins. */
  readonly timeout_ms: number;
  /** Paths of PEM files; "" for none. */
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
  /** Bearer token to send; "" for none. */
  readonly token?: string;
  /** Creates the `fetch` of a tunnel. `socket` is the path of the API's socket at the far end, if it is a socket. */
  readonly tunnel?: (socket: string | undefined, tls: Tls) => Fetch;
}

/** The part of `fetch` that is used. */
export type Fetch = (url: string, request: FetchRequest) => Promise<Response>;

/** A request as {@link Fetch} takes it. */
export interface FetchRequest {
  readonly method: string;
  readonly body?: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/**
 * Creates an {@link ApiClient} over the network, without sending a request. Of several endpoints, the first that responds is
 * used.
 * Throws {@link ClientSetupError}.
 */
export async function connect(settings: ClientSettings, io: Io): Promise<ApiClient> {
  const endpoints = settings.endpoint.split(",").filter((text) => text !== "").map(parseEndpoint);
  if (endpoints.length === 0) endpoints.push(parseEndpoint(settings.endpoint));
  const tls = await readTls(settings, io);
  const clients: Deno.HttpClient[] = [];
  const candidates = endpoints.map((endpoint): EndpointCandidate => ({
    endpoint: endpoint.text,
    send: senderTo(
      endpoint,
      settings.tunnel?.(endpoint.socket, tls ?? {}) ?? directFetch(endpoint, tls, clients),
      settings,
      io,
    ),
  }));
  const close = () => {
    for (const client of clients.splice(0)) client.close();
  };
  const [only, ...others] = candidates as [EndpointCandidate, ...EndpointCandidate[]];
  const certificates = async () => {
    const direct = settings.tunnel ? [] : endpoints.filter(({ socket }) => socket === undefined);
    if (direct.length === 0) return [];
    const { serverCertificate } = await import("./server_certificate.ts");
    const found = await Promise.all(direct.map(({ text, base }) => serverCertificate(text, base)));
    return found.filter((certificate) => certificate !== undefined);
  };
  if (others.length === 0) {
    return new ApiClient(only.endpoint, retryWhileStarting(only.send, io), close, certificates);
  }
  const failover = new Failover(candidates, io);
  return new ApiClient(() => failover.endpoint, retryWhileStarting(failover.send, io), close, certificates);
}

/** Creates the `fetch` of a direct connection. The HTTP client that must be closed is added to `clients`. */
function directFetch({ socket }: ApiEndpoint, tls: Tls | undefined, clients: Deno.HttpClient[]): Fetch {
  let http: Deno.HttpClient | undefined;
  return (url, request) => {
    if (!http && (socket !== undefined || tls)) {
      http = Deno.createHttpClient(socket === undefined ? tls ?? {} : { proxy: { transport: "unix", path: socket } });
      clients.push(http);
    }
    return fetch(url, { ...request, redirect: "manual", ...(http ? { client: http } : {}) });
  };
}

function senderTo(endpoint: ApiEndpoint, fetch: Fetch, settings: ClientSettings, io: Io): Send {
  return async (path, request) => {
    io.log("DEBUG", `HTTP ${request.method} ${endpoint.base}${path}`);
    const answer = await exchange(endpoint, fetch, path, request, settings);
    io.log("DEBUG", `HTTP ${request.method} ${endpoint.base}${path} ${answer.status}`);
    return answer;
  };
}

/** Time for which requests to a starting daemon are repeated, and the interval, milliseconds. */
const starting = { limit_ms: 10_000, every_ms: 250 } as const;

/** Repeats a request while the daemon refuses it because it is starting. A refused request has changed nothing. */
function retryWhileStarting(send: Send, io: Io): Send {
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

/** TLS options of `Deno.createHttpClient`. */
export type Tls = { readonly caCerts?: string[]; readonly cert?: string; readonly key?: string };

/** Reads the files of the TLS flags; returns undefined if no flag is set. Throws {@link ClientSetupError}. */
export async function readTls(
  settings: Pick<ClientSettings, "caFile" | "certFile" | "keyFile">,
  io: Io,
): Promise<Tls | undefined> {
  const { caFile, certFile, keyFile } = settings;
  if (!caFile && !certFile && !keyFile) return undefined;
  if (!certFile !== !keyFile) {
    throw new ClientSetupError("--cert-file and --key-file must be used together: only one is set");
  }
  const read = async (flag: string, path: string, pattern: RegExp, what: string) => {
    const text = await io.readFile(path).catch((cause) => {
      throw new ClientSetupError(`cannot read ${path}: ${reasonOf(cause)}`, { cause });
    });
    if (text === undefined) throw new ClientSetupError(`cannot read ${path}: no such file`);
    if (!pattern.test(text)) throw new ClientSetupError(`--${flag} ${path} contains no ${what}`);
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

/** Longest duration of a timer: setTimeout takes 32 bits. */
const longestTimer_ms = 2 ** 31 - 1;

async function exchange(
  endpoint: ApiEndpoint,
  fetch: Fetch,
  path: string,
  request: ApiRequest,
  { timeout_ms, token }: ClientSettings,
): Promise<Response> {
  // Not AbortSignal.any: fetch does not always notice the signal that it returns.
  const end = new AbortController();
  // Not setTimeout: its first timer takes as long to create as the whole request.
  const deadline = AbortSignal.timeout(Math.min(timeout_ms, longestTimer_ms));
  const stopListening = onceAborted([deadline, request.signal], () => end.abort());
  try {
    const answer = await fetch(endpoint.base + path, {
      method: request.method,
      signal: end.signal,
      headers: {
        ...(request.body === undefined ? {} : { "content-type": "application/json" }),
        ...(token ? { authorization: `Bearer ${token}` } : {}),
      },
      ...(request.body === undefined ? {} : { body: request.body }),
    });
    // Followed, a redirect would let the server choose where a change is sent: to another cluster of this user, for example.
    if ([301, 302, 303, 307, 308].includes(answer.status)) {
      await answer.body?.cancel();
      const place = answer.headers.get("location") ?? "another address";
      throw new UnreachableError(
        `${endpoint.text} redirects to ${place}: name that address by --endpoint if it is right`,
      );
    }
    if (request.streaming && answer.ok) return answer;
    // The body is read here so that the time limit covers it.
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
