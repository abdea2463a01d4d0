/**
 * What every route is given.
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
import type { StopsUnseen } from "./routes/original_client.ts";
import type { Role } from "./auth/tokens.ts";

/** The certificate that a client has shown. */
export interface ShownCertificate {
  /** Its subject's common name (CN), for messages. */
  readonly subject: string;
  readonly worth: { readonly role: Role } | { readonly problem: string };
}

/** The process that opened a connection, as it was then. */
export interface PeerCredentials {
  /** 0 where it is in another PID namespace, which this one does not see into. */
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** How a client is connected. */
export interface Connection {
  /** `loopback` if the socket listens on a loopback address only. */
  readonly kind: "unix" | "loopback" | "network";
  /** Who it is, for the log: address and port, or `unix`. */
  readonly remote: string;
  /** Of a unix socket, where it can be told. */
  readonly process?: PeerCredentials;
  /** Every `Host` header, in order; HTTP/1.0 may leave it out, which is as good as an empty one (RFC 9112, 3.2). */
  readonly hosts: readonly string[];
  /** A Transfer-Encoding that is not just `chunked`, or that HTTP/1.0 does not know; left out where there is none. */
  readonly coding?: string;
  /** Left out where none was shown. */
  readonly certificate?: ShownCertificate;
}

/** What the process that serves knows of one request beyond the request itself. Each is optional. */
export interface Peer {
  /** The request target exactly as it was sent; without it, that of the request's URL, which is canonical already. */
  readonly target?: string;
  /** How many Content-Type headers were sent; without it, the request's own are counted. */
  readonly contentTypes?: number;
  /** Aborted when the client has ended its side or the server closes: answers without an end, end. */
  readonly closing?: AbortSignal;
  /** How the client is connected. */
  readonly connection?: Connection;
  /** The name of the token or certificate that lets it in, if one does. */
  readonly as?: string;
  /**
   * The body as it comes, whatever pieces the client has cut it into; without it, that of the request, which has an object
   * and a promise for each. May be called once. What it gives rejects if the client leaves.
   */
  readonly body?: () => AsyncIterable<Uint8Array>;
  /** Calls back once the answer has gone out, or cannot. */
  readonly whenOver?: (callback: () => void) => void;
}

/** What the routes stand on. */
export interface Api {
  readonly registry: Registry;
  readonly log: Log;
  readonly clock: Clock;
  /** Entities a page; at least 1, at most 65535. */
  readonly pageSize: number;
  readonly units: UnitRenderer;
  readonly lists: Lists;
  readonly bodies: BodyReader;
  readonly responses: ResponseBudget;
  readonly sharedState: SharedState;
  readonly stopsUnseen: StopsUnseen;
  /** Aborted when another registry has taken this one's place: answers without an end, end. */
  readonly retired?: AbortSignal;
  /** The machine that this daemon runs on; absent if the API is served outside of the cluster. */
  readonly localMachine?: LocalMachine;
}

/** One request, taken apart. */
export interface Call {
  readonly request: Request;
  readonly peer: Peer;
  readonly query: URLSearchParams;
}
