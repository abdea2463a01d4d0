/**
 * Logs refused requests, and requests that can change something, with the client. Pure.
 *
 * @module
 */

import type { Clock } from "../../../runtime/clock.ts";
import type { Log } from "../../../runtime/log.ts";
import { type Denial, isRead } from "./policy.ts";
import type { ConnectionInfo, Peer } from "../context.ts";

/** The number of refusals logged per minute: unauthorized clients must not fill the disk. */
const maxLogged = 10;
const logWindow_ms = 60_000;

/** The length at which paths are cut, in characters: clients choose it. */
const maxPath = 200;

/** Logs one line per refused request, up to a rate, and one per request that can change something. */
export class AuditLog {
  /** Refusals since the beginning of the window, which is that of its first refusal. */
  #refused = 0;

  /** `closing`: aborted when the server closes; then the number of refusals that were left out is logged. */
  constructor(private readonly clock: Clock, private readonly log: Log, private readonly closing: AbortSignal) {}

  refused({ code, message }: Denial, request: Request, peer: Peer): void {
    if (this.#refused === 0) void this.clock.sleep(logWindow_ms, this.closing).then(() => this.#endWindow());
    if (++this.#refused > maxLogged) return;
    const fields = { ...peerFields(peer), ...requestFields(request, peer) };
    this.log("warn", "an API request was refused", { ...fields, code, reason: message });
  }

  #endWindow(): void {
    if (this.#refused > maxLogged) this.log("warn", `${this.#refused - maxLogged} more API requests were refused`);
    this.#refused = 0;
  }

  /** `as`: the name of the token or certificate that authorized the request. */
  answered({ status }: Response, request: Request, peer: Peer, as: string | undefined): void {
    if (isRead(request.method, peer.target ?? "")) return;
    const fields = { ...peerFields(peer), as, ...requestFields(request, peer) };
    this.log("info", "an API request was answered", { ...fields, code: status });
  }
}

/** Returns the sender of a request as fields of a log line. */
export function peerFields({ connection }: Peer): Readonly<Record<string, unknown>> {
  const { remote, process } = connection ?? ({} as Partial<ConnectionInfo>);
  return { peer: remote, ...process };
}

/** The longest name of an author, in characters. */
const maxAuthor = 100;

/** Returns the author of a change, as other clients see it; undefined if nothing is known of the sender. */
export function authorOf({ connection, as }: Peer): string | undefined {
  if (!connection) return undefined;
  const { kind, remote, process } = connection;
  const place = kind === "unix" ? process && `uid ${process.uid}` : remote.replace(/:\d+$/, "");
  const author = [as, place].filter((part) => part).join(" from ");
  return author === "" ? undefined : author.slice(0, maxAuthor);
}

function requestFields({ method }: Request, { target = "" }: Peer): Readonly<Record<string, unknown>> {
  // Proxies, and clients that use the socket as one, send a whole URL (RFC 9112, section 3.2.2).
  const path = target.replace(/^https?:\/\/[^/?#]*/i, "").replace(/[?#].*$/s, "");
  return { method, path: path.slice(0, maxPath) };
}
