/**
 * The gRPC connection to one member of etcd. An adapter: it opens sockets.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { isIP } from "node:net";
import { checkServerIdentity } from "node:tls";
import { hideUserInfo } from "../../../runtime/redact.ts";
import type { Address } from "./reachable.ts";

/** Addresses and credentials of an etcd cluster. */
export interface EtcdOptions {
  /** `http://host:port` or `https://host:port`. */
  readonly endpoints: readonly string[];
  readonly username?: string;
  readonly password?: string;
  /** PEM texts: the authority that signed the servers' certificates, and the client's certificate and key. */
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string };
  /** Opens a tunnel to an endpoint that is not connected to directly; returns the path of a unix socket. */
  readonly through?: (host: string, port: number) => Promise<string>;
  /** Deadline of each attempt of a call. */
  readonly requestTimeout_ms: number;
  /** Prefix of every key, for example `/_coreos.com/fleet/`. */
  readonly prefix: string;
}

/** A bidirectional stream of grpc-js. */
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

/** A gRPC client of one service at one endpoint; it also has a method for each method of the service. */
export interface Client {
  waitForReady(deadline_ms: number, done: (error?: Error) => void): void;
  getChannel(): { getConnectivityState(connect: boolean): number };
}

/** The connection to one etcd member. */
export interface Endpoint {
  /** The address to connect to; left out for a tunnel. */
  readonly address?: Address;
  /** Calls and streams that have not ended. */
  readonly pending: Set<{ cancel(): void }>;
  /** Aborted when another connection to the same member has replaced this one. */
  readonly replaced: AbortController;
  readonly clients: Readonly<Record<Service, Client>>;
  readonly metadata: Metadata;
  /** Prepares another connection to the same member. */
  renew(): Promise<Endpoint>;
  close(): void;
}

/** Parses an endpoint of fleet.conf; the default port is 2379. Throws a TypeError that quotes the endpoint, without a user. */
function parseEndpoint(endpoint: string): { readonly secure: boolean; readonly host: string; readonly port: string } {
  const [, scheme, host, port] = /^(?:(https?):\/\/)?(\[[0-9a-f:.]+\]|[^:/@\s]+)(?::(\d+))?\/*$/i.exec(endpoint) ?? [];
  if (host === undefined) {
    throw new TypeError(`cannot understand etcd endpoint ${JSON.stringify(hideUserInfo(endpoint))}`);
  }
  return { secure: scheme?.toLowerCase() === "https", host, port: port ?? "2379" };
}

/** Prepares a connection to an endpoint. `attempt` counts the connections to the same endpoint. */
export async function prepareEndpoint(endpoint: string, options: EtcdOptions, attempt = 0): Promise<Endpoint> {
  const [{ Host }, grpc] = await Promise.all([import("etcd3/lib/connection-pool.js"), import("@grpc/grpc-js")]);
  const { tls } = options;
  const { secure, host, port } = parseEndpoint(endpoint);
  const name = host.replace(/^\[|\]$/g, "");
  const address = options.through ? `unix:${await options.through(name, Number(port))}` : `${host}:${port}`;
  const pem = (text: string | undefined) => text === undefined ? null : Buffer.from(text);
  const credentials = secure
    ? grpc.credentials.createSsl(pem(tls?.ca), pem(tls?.key), pem(tls?.cert), {
      checkServerIdentity: (_asked, certificate) => checkServerIdentity(name, certificate),
    })
    : grpc.credentials.createInsecure();
  // etcd3's own circuit breaker would stay open for seconds after a failure.
  const policy = { execute: <T>(call: () => T) => call() } as never;
  const member = new Host(
    address,
    credentials,
    {
      // A cut network is detected in nine seconds. etcd closes connections with pings less than five seconds apart.
      "grpc.keepalive_time_ms": 6_000,
      "grpc.keepalive_timeout_ms": 3_000,
      "grpc.initial_reconnect_backoff_ms": 100,
      "grpc.max_reconnect_backoff_ms": 500,
      // The whole store is read in one response.
      "grpc.max_receive_message_length": -1,
      // Connect directly: without the environment's proxy and without service configuration from DNS.
      "grpc.enable_http_proxy": 0,
      "grpc.service_config_disable_resolution": 1,
      // gRPC's own statistics are not used.
      "grpc.enable_channelz": 0,
      // Channels with the same options share a connection; a new channel must not share the one that it replaces.
      "grpc.primary_user_agent": `fleet/${attempt}`,
      // The TLS server name must not be an IP address (RFC 6066, section 3), although a certificate can contain one.
      "grpc.ssl_target_name_override": isIP(name) ? "etcd" : name,
    },
    policy,
  );
  const client = (service: Service) => member.getServiceClient(service) as unknown as Client;
  const clients = { KV: client("KV"), Lease: client("Lease"), Watch: client("Watch"), Auth: client("Auth") };
  return {
    ...options.through ? {} : { address: { host: name, port: Number(port) } },
    pending: new Set(),
    replaced: new AbortController(),
    clients,
    metadata: new grpc.Metadata(),
    renew: () => prepareEndpoint(endpoint, options, attempt + 1),
    close: () => member.close(),
  };
}
