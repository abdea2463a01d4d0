/**
 * Calls and streams to an etcd cluster. An adapter: it opens sockets and sets timers.
 *
 * Uses the message definitions and gRPC clients of the etcd3 package, but none of its policies: retries, the choice of the
 * member and deadlines are implemented here.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { messageOf } from "../../../runtime/log.ts";
import { onceAborted } from "../../../runtime/on_abort.ts";
import { StoreLimitError, StoreUnavailableError } from "../../mod.ts";
import {
  type DuplexStream,
  type Endpoint,
  type EtcdOptions,
  type Metadata,
  prepareEndpoint,
  type Service,
} from "./endpoint.ts";
import { untilReachable } from "./reachable.ts";
import { code, EtcdRefusedError, grpcCodeOf, isDeniedAccess, isStaleToken, translate } from "./refusals.ts";

type UnaryCall = (
  request: object,
  metadata: Metadata,
  options: { readonly deadline: number },
  done: (error: Error | null, response: unknown) => void,
) => { cancel(): void };
type StreamCall = (metadata: Metadata) => DuplexStream<unknown>;

/** The credentials of a request; `token` resolves with undefined if authentication was switched off in etcd. */
interface Credentials {
  readonly metadata: Metadata;
  readonly token?: Promise<string | undefined>;
}

export type { DuplexStream, EtcdOptions };

/** gRPC's connectivity state READY. */
const ready = 2;

export class EtcdConnection {
  readonly endpoints: string;
  #current = 0;
  #token: Promise<string | undefined> | undefined;
  #closed = false;
  /** Members that are being probed after a failed call. */
  readonly #probed = new Map<number, AbortController>();

  private constructor(private readonly options: EtcdOptions, private readonly members: Endpoint[]) {
    this.endpoints = options.endpoints.join(", ");
  }

  /** Loads the client library (a fifth of a second) and prepares the endpoints; does not connect yet. */
  static async create(options: EtcdOptions): Promise<EtcdConnection> {
    if (options.endpoints.length === 0) throw new TypeError("cannot connect to etcd without an endpoint");
    return new EtcdConnection(
      options,
      await Promise.all(options.endpoints.map((endpoint) => prepareEndpoint(endpoint, options))),
    );
  }

  get requestTimeout_ms(): number {
    return this.options.requestTimeout_ms;
  }

  /** The number of configured members. */
  get size(): number {
    return this.members.length;
  }

  /**
   * Calls a method. A `repeatable` call is tried a second time, at another member if there is one. Others are not, since a
   * call whose response was lost may have been applied.
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
      let credentials: Credentials | undefined;
      let sent = false;
      try {
        member = await this.#connectedMember(service, deadline_ms);
        credentials = await this.#credentials(member, deadline_ms);
        sent = !repeatable;
        const answer = await this.#unary<Response>(member, service, method, request, credentials.metadata, deadline_ms);
        this.#probed.get(member)?.abort();
        return answer;
      } catch (error) {
        if (credentials?.token && !renewed && this.#needsNewToken(error, await credentials.token)) {
          // The request was refused before it was applied: repeat it with a new token.
          if (this.#token === credentials.token) this.#token = undefined;
          renewed = true;
          attempt--;
          continue;
        }
        const failure = this.#translate(error, method, sent);
        if (failure instanceof EtcdRefusedError || failure instanceof StoreLimitError) throw failure;
        if (member !== undefined) this.#switchFrom(member);
        this.suspect(member);
        if (!repeatable || attempt >= Math.min(2, this.members.length) || this.#closed) throw failure;
      }
    }
  }

  /**
   * Opens a stream, to the member `at` if given. etcd ends the stream when its member has no leader.
   */
  async open<Response>(service: Service, method: string, at?: number): Promise<DuplexStream<Response>> {
    this.#mustBeOpen();
    const deadline_ms = Date.now() + this.options.requestTimeout_ms;
    try {
      const member = at ?? await this.#connectedMember(service, deadline_ms);
      const metadata = (await this.#credentials(member, deadline_ms)).metadata.clone();
      metadata.set("hasleader", "true");
      const client = this.#member(member).clients[service];
      const call = (client as unknown as Record<string, StreamCall>)[method];
      if (call === undefined) throw new TypeError(`etcd's service ${service} has no method ${method}`);
      const stream = call.call(client, metadata) as DuplexStream<Response>;
      // Readers of the stream receive the error as well. After they have stopped listening, an error without a listener
      // would end the process.
      stream.on("error", (error) => {
        if (at === undefined) this.#switchFrom(member);
        if (grpcCodeOf(error) !== code.canceled) this.suspect(member);
      });
      this.#track(member, stream);
      return stream;
    } catch (error) {
      this.suspect(at);
      throw this.#translate(error, method, false);
    }
  }

  close(): void {
    this.#closed = true;
    for (const probe of this.#probed.values()) probe.abort();
    for (const member of this.members) member.close();
  }

  /**
   * Reconnects to a member, or to all, if the network to it turns out to have been cut. gRPC alone would reconnect seconds
   * after the network is back: an open connection waits for its next retransmission, and one that is being opened for the
   * retransmission of its first packet.
   */
  suspect(member?: number): void {
    const members = member === undefined ? this.members.keys() : [member];
    for (const each of members) if (!this.#closed && !this.#probed.has(each)) void this.#probe(each);
  }

  async #probe(member: number): Promise<void> {
    const endpoint = this.members[member];
    if (endpoint?.address === undefined) return;
    const stop = new AbortController();
    this.#probed.set(member, stop);
    try {
      const [wasCut] = await Promise.all([
        untilReachable(endpoint.address, stop.signal),
        this.#cancelIfSilent(member, endpoint),
      ]);
      if (!wasCut) return;
      const fresh = await endpoint.renew();
      if (this.#closed) return fresh.close();
      this.members[member] = fresh;
      endpoint.replaced.abort(new Error("the connection to the etcd member was replaced"));
      for (const each of endpoint.pending) each.cancel();
      endpoint.close();
    } finally {
      this.#probed.delete(member);
    }
  }

  /**
   * Cancels all calls and streams of a member that does not answer while another one does. Otherwise its watches would be
   * silent until gRPC detects the failure, nine seconds later.
   */
  async #cancelIfSilent(member: number, endpoint: Endpoint): Promise<void> {
    const others = [...this.members.keys()].filter((other) => other !== member);
    if (others.length === 0 || await this.#answers(member)) return;
    if (!(await Promise.all(others.map((other) => this.#answers(other)))).includes(true)) return;
    this.#switchFrom(member);
    for (const each of endpoint.pending) each.cancel();
  }

  /** Returns true if a member answers a serializable read, which needs no other member; a refusal is an answer. */
  async #answers(member: number): Promise<boolean> {
    const deadline_ms = Date.now() + this.options.requestTimeout_ms;
    try {
      const read = { key: Buffer.of(0), serializable: true };
      await this.#connected(member, "KV", deadline_ms);
      await this.#unary(member, "KV", "range", read, this.#member(member).metadata, deadline_ms);
      return true;
    } catch (error) {
      return this.#translate(error, "range", false) instanceof EtcdRefusedError || isDeniedAccess(error);
    }
  }

  /** Keeps a stream among the endpoint's pending calls until it ends. */
  #track(member: number, stream: DuplexStream<unknown>): void {
    const { pending } = this.#member(member);
    pending.add(stream);
    const remove = () => pending.delete(stream);
    stream.on("end", remove);
    stream.on("error", remove);
  }

  /** Throws after {@link close}: a closed gRPC client would connect again. */
  #mustBeOpen(): void {
    if (this.#closed) throw new StoreUnavailableError(`the connection to etcd at ${this.endpoints} was closed`);
  }

  #member(member: number): Endpoint {
    const endpoint = this.members[member];
    if (endpoint === undefined) throw new RangeError(`there is no etcd endpoint ${member}`);
    return endpoint;
  }

  /**
   * Returns a connected member: the one used last, or else the next ones in order. Waits for each of them for an equal share
   * of the time until the deadline.
   */
  async #connectedMember(service: Service, deadline_ms: number): Promise<number> {
    const count = this.members.length;
    const first = this.#current;
    for (let tried = 0;; tried++) {
      const member = (first + tried) % count;
      const client = this.#member(member).clients[service];
      if (client.getChannel().getConnectivityState(false) === ready) return this.#current = member;
      const share_ms = (deadline_ms - Date.now()) / (count - tried);
      try {
        await this.#connected(member, service, Date.now() + share_ms);
        return this.#current = member;
      } catch {
        // waitForReady does not report why the connection failed; the error of a call does.
        if (tried + 1 < count) continue;
        await this.#unary(member, "KV", "range", { key: Buffer.of(0) }, this.#member(member).metadata, Date.now() + 20);
        return this.#current = member;
      }
    }
  }

  /** Resolves when a member is connected, by its current connection or one that replaces it; rejects at the deadline. */
  async #connected(member: number, service: Service, deadline_ms: number): Promise<void> {
    for (;;) {
      const endpoint = this.#member(member);
      const { signal } = endpoint.replaced;
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const stopListening = onceAborted([signal], () => reject(signal.reason));
      this.#member(member).clients[service].waitForReady(deadline_ms, (error) => error ? reject(error) : resolve());
      try {
        return await promise;
      } catch (error) {
        if (!signal.aborted) throw error;
      } finally {
        stopListening();
      }
    }
  }

  /** Sends further calls to the next member, if they go to this one. */
  #switchFrom(member: number): void {
    if (this.#current === member) this.#current = (member + 1) % this.members.length;
  }

  /** Returns the credentials of a request, authenticating first if a user is configured and there is no token yet. */
  async #credentials(member: number, deadline_ms: number): Promise<Credentials> {
    const empty = this.#member(member).metadata;
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
   * Returns true if a request may succeed with a new token: etcd drops all tokens when it restarts, each after some time,
   * and those of a user whose password changes. While authentication is switched off it issues none.
   */
  #needsNewToken(error: unknown, token: string | undefined): boolean {
    return token === undefined ? isDeniedAccess(error) : isStaleToken(error);
  }

  /** Requests a token; returns undefined if authentication is switched off in etcd, so that no token is needed. */
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
      if (grpcCodeOf(error) === code.failedPrecondition && messageOf(error).includes("not enabled")) return undefined;
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
    const client = this.#member(member).clients[service];
    const call = (client as unknown as Record<string, UnaryCall>)[method];
    if (call === undefined) throw new TypeError(`etcd's service ${service} has no method ${method}`);
    const { pending } = this.#member(member);
    return new Promise((resolve, reject) => {
      const running = call.call(client, request, metadata, { deadline }, (error, response) => {
        pending.delete(running);
        if (error) reject(error);
        else resolve(response as Response);
      });
      pending.add(running);
    });
  }

  #translate(error: unknown, method: string, sent: boolean): Error {
    const { username, prefix, tls } = this.options;
    const showsCertificate = tls?.cert !== undefined;
    return translate(error, { endpoints: this.endpoints, username, prefix, method, showsCertificate, sent });
  }
}
