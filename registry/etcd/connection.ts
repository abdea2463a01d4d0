/**
 * Calls and streams to an etcd cluster. A door: it opens sockets and sets timers.
 *
 * Of the etcd3 package this uses the message definitions and gRPC clients, and none of the policies: what is tried again,
 * where and until when is decided here.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { isIP } from "node:net";
import { checkServerIdentity } from "node:tls";
import { messageOf } from "../log.ts";
import { StoreUnavailableError } from "../mod.ts";
import { code, codeOf, EtcdRefusedError, isDeniedAccess, isStaleToken, translate } from "./refusals.ts";

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

type Service = "KV" | "Lease" | "Watch" | "Auth";

interface Metadata {
  set(key: string, value: string): void;
  clone(): Metadata;
}

/** A gRPC client of one service at one endpoint: every method of the service is one of its own. */
interface Client {
  waitForReady(deadline_ms: number, done: (error?: Error) => void): void;
  getChannel(): { getConnectivityState(connect: boolean): number };
}
type UnaryCall = (
  request: object,
  metadata: Metadata,
  options: { readonly deadline: number },
  done: (error: Error | null, response: unknown) => void,
) => void;
type StreamCall = (metadata: Metadata) => DuplexStream<unknown>;

/** What is sent along with a request; the token in it is undefined where etcd wanted none when it was asked. */
interface Identity {
  readonly metadata: Metadata;
  readonly token?: Promise<string | undefined>;
}

interface Endpoint {
  readonly clients: Readonly<Record<Service, Client>>;
  readonly metadata: Metadata;
  close(): void;
}

/** gRPC's connectivity state READY. */
const ready = 2;

export class Connection {
  readonly endpoints: string;
  #current = 0;
  #token: Promise<string | undefined> | undefined;
  #closed = false;

  private constructor(private readonly options: EtcdOptions, private readonly members: readonly Endpoint[]) {
    this.endpoints = options.endpoints.join(", ");
  }

  /** Loads the client library (a fifth of a second) and prepares the endpoints; nothing is connected yet. */
  static async create(options: EtcdOptions): Promise<Connection> {
    if (options.endpoints.length === 0) throw new TypeError("cannot connect to etcd without an endpoint");
    return new Connection(options, await Promise.all(options.endpoints.map((endpoint) => prepare(endpoint, options))));
  }

  get requestTimeout_ms(): number {
    return this.options.requestTimeout_ms;
  }

  /** How many members it knows of. */
  get size(): number {
    return this.members.length;
  }

  /**
   * One call. `repeatable` ones are tried a second time, elsewhere if there is an elsewhere; others are not, since one
   * whose answer was lost may have been done.
   */
  async call<Response>(
    service: Service,
    method: string,
    request: object,
    { repeatable, timeout_ms }: { readonly repeatable: boolean; readonly timeout_ms?: number },
  ): Promise<Response> {
    this.#mustBeOpen();
    let renewed = false;
    for (let attempt = 1;; attempt++) {
      const deadline_ms = Date.now() + (timeout_ms ?? this.options.requestTimeout_ms);
      let member: number | undefined;
      let identity: Identity | undefined;
      let sent = false;
      try {
        member = await this.#ready(service, deadline_ms);
        identity = await this.#identity(member, deadline_ms);
        sent = !repeatable;
        return await this.#unary<Response>(member, service, method, request, identity.metadata, deadline_ms);
      } catch (error) {
        if (identity?.token && !renewed && this.#mayBeLet(error, await identity.token)) {
          // Refused before anything was done: a fresh token, and again.
          if (this.#token === identity.token) this.#token = undefined;
          renewed = true;
          attempt--;
          continue;
        }
        const failure = this.#translate(error, method, sent);
        if (failure instanceof EtcdRefusedError) throw failure;
        if (member !== undefined) this.#leave(member);
        if (!repeatable || attempt >= Math.min(2, this.members.length) || this.#closed) throw failure;
      }
    }
  }

  /**
   * Opens a stream, with the member `at` if given. etcd ends it when its member has lost touch with the rest of the cluster.
   */
  async open<Response>(service: Service, method: string, at?: number): Promise<DuplexStream<Response>> {
    this.#mustBeOpen();
    const deadline_ms = Date.now() + this.options.requestTimeout_ms;
    try {
      const member = at ?? await this.#ready(service, deadline_ms);
      const metadata = (await this.#identity(member, deadline_ms)).metadata.clone();
      metadata.set("hasleader", "true");
      const client = this.#client(member, service);
      const call = (client as unknown as Record<string, StreamCall>)[method];
      if (call === undefined) throw new TypeError(`etcd's service ${service} has no method ${method}`);
      const stream = call.call(client, metadata) as DuplexStream<Response>;
      // Whoever reads the stream is told too; this listener is for an error after they have stopped listening, which
      // would otherwise end the process.
      stream.on("error", () => at === undefined && this.#leave(member));
      return stream;
    } catch (error) {
      throw this.#translate(error, method, false);
    }
  }

  close(): void {
    this.#closed = true;
    for (const member of this.members) member.close();
  }

  /** A closed client of gRPC would connect again. */
  #mustBeOpen(): void {
    if (this.#closed) throw new StoreUnavailableError(`the connection to etcd at ${this.endpoints} was closed`);
  }

  #client(member: number, service: Service): Client {
    const endpoint = this.members[member];
    if (endpoint === undefined) throw new RangeError(`there is no etcd endpoint ${member}`);
    return endpoint.clients[service];
  }

  /** The member that was good last time if it is connected by then, else the next: each gets its share of the time. */
  async #ready(service: Service, deadline_ms: number): Promise<number> {
    const count = this.members.length;
    const first = this.#current;
    for (let tried = 0;; tried++) {
      const member = (first + tried) % count;
      const client = this.#client(member, service);
      if (client.getChannel().getConnectivityState(false) === ready) return this.#current = member;
      const share_ms = (deadline_ms - Date.now()) / (count - tried);
      try {
        await new Promise<void>((resolve, reject) =>
          client.waitForReady(Date.now() + share_ms, (error) => error ? reject(error) : resolve())
        );
        return this.#current = member;
      } catch {
        // The client does not say why it is not connected; a call on it does.
        if (tried + 1 < count) continue;
        await this.#unary(member, "KV", "range", { key: Buffer.of(0) }, this.#empty(member), Date.now() + 20);
        return this.#current = member;
      }
    }
  }

  /** Goes on with another member, if calls still go to this one. */
  #leave(member: number): void {
    if (this.#current === member) this.#current = (member + 1) % this.members.length;
  }

  /** By what a member knows who asks. */
  async #identity(member: number, deadline_ms: number): Promise<Identity> {
    const empty = this.#empty(member);
    if (!this.options.username) return { metadata: empty };
    const token = this.#token ??= this.#authenticate(member, empty, deadline_ms);
    let text: string | undefined;
    try {
      text = await token;
    } catch (error) {
      if (this.#token === token) this.#token = undefined;
      throw error;
    }
    if (text === undefined) return { metadata: empty, token };
    const metadata = empty.clone();
    metadata.set("token", text);
    return { metadata, token };
  }

  /**
   * Whether etcd may answer when it is asked for a token again: it forgets all of them when it restarts, each after a
   * while and those of a user whose password changes, and it gave none while authentication was switched off.
   */
  #mayBeLet(error: unknown, token: string | undefined): boolean {
    return token === undefined ? isDeniedAccess(error) : isStaleToken(error);
  }

  #empty(member: number): Metadata {
    const endpoint = this.members[member];
    if (endpoint === undefined) throw new RangeError(`there is no etcd endpoint ${member}`);
    return endpoint.metadata;
  }

  /** Undefined when the server has authentication switched off: then no token is needed. */
  async #authenticate(member: number, metadata: Metadata, deadline_ms: number): Promise<string | undefined> {
    const request = { name: this.options.username, password: this.options.password ?? "" };
    try {
      const { token } = await this.#unary<{ readonly token: string }>(
        member,
        "Auth",
        "authenticate",
        request,
        metadata,
        deadline_ms,
      );
      return token;
    } catch (error) {
      if (codeOf(error) === code.failedPrecondition && messageOf(error).includes("not enabled")) return undefined;
      throw error;
    }
  }

  #unary<Response>(
    member: number,
    service: Service,
    method: string,
    request: object,
    metadata: Metadata,
    deadline: number,
  ): Promise<Response> {
    const client = this.#client(member, service);
    const call = (client as unknown as Record<string, UnaryCall>)[method];
    if (call === undefined) throw new TypeError(`etcd's service ${service} has no method ${method}`);
    return new Promise((resolve, reject) =>
      call.call(
        client,
        request,
        metadata,
        { deadline },
        (error, response) => error ? reject(error) : resolve(response as Response),
      )
    );
  }

  #translate(error: unknown, method: string, sent: boolean): Error {
    const { username, prefix, tls } = this.options;
    const showsCertificate = tls?.cert !== undefined;
    return translate(error, { endpoints: this.endpoints, username, prefix, method, showsCertificate, sent });
  }
}

/** An endpoint as fleet.conf has it; the port is etcd's own where none is given. Throws a TypeError that quotes it. */
function parseEndpoint(endpoint: string): { readonly secure: boolean; readonly host: string; readonly port: string } {
  const [, scheme, host, port] = /^(?:(https?):\/\/)?(\[[0-9a-f:.]+\]|[^:/\s]+)(?::(\d+))?\/*$/i.exec(endpoint) ?? [];
  if (host === undefined) throw new TypeError(`cannot understand etcd endpoint ${JSON.stringify(endpoint)}`);
  return { secure: scheme?.toLowerCase() === "https", host, port: port ?? "2379" };
}

async function prepare(endpoint: string, options: EtcdOptions): Promise<Endpoint> {
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
      // A server cannot be asked for by an address (RFC 6066, section 3), though its certificate can hold one.
      "grpc.ssl_target_name_override": isIP(name) ? "etcd" : name,
    },
    policy,
  );
  const client = (service: Service) => member.getServiceClient(service) as unknown as Client;
  const clients = { KV: client("KV"), Lease: client("Lease"), Watch: client("Watch"), Auth: client("Auth") };
  return { clients, metadata: new grpc.Metadata(), close: () => member.close() };
}
