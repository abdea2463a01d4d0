/**
 * The gRPC connection to one member of etcd. An adapter: it opens sockets.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { isIP } from "node:net";
import { checkServerIdentity } from "node:tls";
import type { Address } from "./reachable.ts";

/** How to reach an etcd cluster. */
export interface EtcdOptions {
  /** `http://host:port` or `https://host:port`. */
  readonly endpoints: readonly string[];
  readonly username?: string;
  readonly password?: string;
  /** PEM texts: the authority that signed the servers' certificates, and the client's certificate and key. */
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string };
  /** The name in the servers' certificates, where it is neither name nor address of the endpoint. */
  readonly serverName?: string;
  /** Opens a way to an endpoint, if it is not to be dialed: the path of a unix socket that leads there. */
  readonly through?: (host: string, port: number) => Promise<string>;
  /** Deadline of each attempt of a call. */
  readonly requestTimeout_ms: number;
  /** Before every key, for example `/_coreos.com/fleet/`. */
  readonly prefix: string;
}

/** A stream in both directions, as grpc-js gives it. */
export interface DuplexStream<Response> extends AsyncIterable<Response> {
  write(request: object): boolean;
  cancel(): void;
  on(event: "error", listener: (error: Error) => void): this;
  on(event: "data", listener: (response: Response) => void): this;
  on(event: "end", listener: () => void): this;
}

export type Service = "KV" | "Lease" | "Watch" | "Auth";

export interface Metadata {
  set(key: string, value: string): void;
  clone(): Metadata;
}

/** A gRPC client of one service at one endpoint: every method of the service is one of its own. */
export interface Client {
  waitForReady(deadline_ms: number, done: (error?: Error) => void): void;
  getChannel(): { getConnectivityState(connect: boolean): number };
}
/** One member of etcd, and the connection to it. */
export interface Endpoint {
  /** Where it is dialed; left out where something else opens the way to it. */
  readonly address?: Address;
  /** Calls and streams without an end yet. */
  readonly pending: Set<{ cancel(): void }>;
  /** Aborted when another connection to the same member has taken its place. */
  readonly replaced: AbortController;
  readonly clients: Readonly<Record<Service, Client>>;
  readonly metadata: Metadata;
  /** Prepares another connection to the same member. */
  renew(): Promise<Endpoint>;
  close(): void;
}

/** An endpoint as fleet.conf has it; the port is etcd's own where none is given. Throws a TypeError that quotes it. */
function parseEndpoint(endpoint: string): { readonly secure: boolean; readonly host: string; readonly port: string } {
  const [, scheme, host, port] = /^(?:(https?):\/\/)?(\[[0-9a-f:.]+\]|[^:/\s]+)(?::(\d+))?\/*$/i.exec(endpoint) ?? [];
  if (host === undefined) throw new TypeError(`cannot understand etcd endpoint ${JSON.stringify(endpoint)}`);
  return { secure: scheme?.toLowerCase() === "https", host, port: port ?? "2379" };
}

/** `attempt` counts the connections to the endpoint. */
export async function prepareEndpoint(endpoint: string, options: EtcdOptions, attempt = 0): Promise<Endpoint> {
  const [{ Host }, grpc] = await Promise.all([import("etcd3/lib/connection-pool.js"), import("@grpc/grpc-js")]);
  const { tls, serverName } = options;
  const { secure, host, port } = parseEndpoint(endpoint);
  const bare = host.replace(/^\[|\]$/g, "");
  const name = serverName ?? bare;
  const address = options.through ? `unix:${await options.through(bare, Number(port))}` : `${host}:${port}`;
  const pem = (text: string | undefined) => text === undefined ? null : Buffer.from(text);
  const credentials = secure
    ? grpc.credentials.createSsl(pem(tls?.ca), pem(tls?.key), pem(tls?.cert), {
      checkServerIdentity: (_asked, certificate) => checkServerIdentity(name, certificate),
    })
    : grpc.credentials.createInsecure();
  // etcd3's own breaker would stay open for seconds after a failure.
  const policy = { execute: <T>(call: () => T) => call() } as never;
  const member = new Host(
    address,
    credentials,
    {
      // A cut network is noticed in nine seconds. etcd calls pings less than five seconds apart an attack.
      "grpc.keepalive_time_ms": 6_000,
      "grpc.keepalive_timeout_ms": 3_000,
      "grpc.initial_reconnect_backoff_ms": 100,
      "grpc.max_reconnect_backoff_ms": 500,
      // A whole cluster is read in one answer.
      "grpc.max_receive_message_length": -1,
      // No detours: neither the environment's proxy nor settings looked up in DNS.
      "grpc.enable_http_proxy": 0,
      "grpc.service_config_disable_resolution": 1,
      // Nobody asks gRPC for its own statistics.
      "grpc.enable_channelz": 0,
      // Channels with the same options share their connection, and a new one is not to share the one that it replaces.
      "grpc.primary_user_agent": `fleet/${attempt}`,
      // A server cannot be asked for by an address (RFC 6066, section 3), though its certificate can hold one.
      "grpc.ssl_target_name_override": isIP(name) ? "etcd" : name,
    },
    policy,
  );
  const client = (service: Service) => member.getServiceClient(service) as unknown as Client;
  const clients = { KV: client("KV"), Lease: client("Lease"), Watch: client("Watch"), Auth: client("Auth") };
  return {
    ...options.through ? {} : { address: { host: bare, port: Number(port) } },
    pending: new Set(),
    replaced: new AbortController(),
    clients,
    metadata: new grpc.Metadata(),
    renew: () => prepareEndpoint(endpoint, options, attempt + 1),
    close: () => member.close(),
  };
}
