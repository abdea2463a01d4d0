/**
 * The inputs of every route: the request, the client that sent it, and the services of the API. Types only.
 *
 * @module
 */

import type { Clock } from "../../runtime/clock.ts";
import type { Log } from "../../runtime/log.ts";
import type { Registry } from "../../registry/mod.ts";
import type { ResponseBudget } from "./http/response_budget.ts";
import type { BodyReader } from "./http/body.ts";
import type { SharedState } from "./shared_state.ts";
import type { LocalMachine } from "./machine/port.ts";
import type { Lists, UnitRenderer } from "./v1/entities.ts";
import type { PendingStops } from "./routes/original_client.ts";
import type { Role } from "./auth/tokens.ts";

/** The certificate that a client has presented. */
export interface ShownCertificate {
  /** The common name (CN) of its subject, for messages. */
  readonly subject: string;
  /** The role that it grants, or the reason why it grants none. */
  readonly authorization: { readonly role: Role } | { readonly problem: string };
}

/** The process that opened a connection, at that time. */
export interface PeerCredentials {
  /** The process ID; 0 if the process is in a PID namespace that is invisible here. */
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** The connection of a client. */
export interface ConnectionInfo {
  /** `loopback` if the socket listens on a loopback address only. */
  readonly kind: "unix" | "loopback" | "network";
  /** The client for the log: address and port, or `unix`. */
  readonly remote: string;
  /** The client's process on a unix socket, if known. */
  readonly process?: PeerCredentials;
  /** Every `Host` header, in order. HTTP/1.0 may omit it, which counts as an empty one (RFC 9112, 3.2). */
  readonly hosts: readonly string[];
  /** A Transfer-Encoding other than `chunked`, or any in HTTP/1.0; absent if there is none. */
  readonly coding?: string;
  /** Absent if the client presented none. */
  readonly certificate?: ShownCertificate;
}

/** The client of one request, and what the server knows of the request beyond the Request object. */
export interface Peer {
  /** The request target exactly as it was sent; by default that of the request's URL, which is canonical already. */
  readonly target?: string;
  /** The number of Content-Type headers that were sent; by default those of the request are counted. */
  readonly contentTypes?: number;
  /** Aborted when the client has closed its sending side or the server closes: endless responses end then. */
  readonly closing?: AbortSignal;
  /** The client's connection. */
  readonly connection?: ConnectionInfo;
  /** The name of the token or certificate that authorizes the client, if one does. */
  readonly as?: string;
  /** The role of that token or certificate; absent if the client may do everything. */
  readonly role?: Role;
  /** The reason why the request is refused if its body does not say `dryRun`; absent if it may change something. */
  readonly onlyDryRun?: string;
  /**
   * Returns the body as it arrives; by default that of the request, which costs an object and a promise for each chunk.
   * May be called once. The iterable rejects if the client disconnects.
   */
  readonly body?: () => AsyncIterable<Uint8Array>;
  /** Registers a callback that is called once the response has been sent, or cannot be. */
  readonly whenOver?: (callback: () => void) => void;
}

/** The services that the routes use. */
export interface Api {
  readonly registry: Registry;
  readonly log: Log;
  readonly clock: Clock;
  /** The number of entities on a page; at least 1, at most 65535. */
  readonly pageSize: number;
  readonly units: UnitRenderer;
  readonly lists: Lists;
  readonly bodies: BodyReader;
  readonly responses: ResponseBudget;
  readonly sharedState: SharedState;
  readonly pendingStops: PendingStops;
  /** Aborted when another registry has replaced this one: endless responses end then. */
  readonly retired?: AbortSignal;
  /** The machine that this daemon runs on; absent if the API is served outside of the cluster. */
  readonly localMachine?: LocalMachine;
}

/** One request, parsed. */
export interface Call {
  readonly request: Request;
  readonly peer: Peer;
  readonly query: URLSearchParams;
}
