/**
 * What the log tells of those who use the API: who was refused, and who has changed something. Pure.
 *
 * @module
 */

import type { Clock } from "../../../runtime/clock.ts";
import type { Log } from "../../../runtime/log.ts";
import { type Denial, isRead } from "./policy.ts";
import type { ConnectionInfo, Peer } from "../context.ts";

/** Refusals logged a minute: a stranger must not fill the disk. */
const maxLogged = 10;
const logWindow_ms = 60_000;

/** Paths are cut here: whoever sends one chooses how long it is. */
const maxPath = 200;

/** A line for each request that was refused, of too many only how many, and for each that could change something. */
export class AuditLog {
  #since_ms = 0;
  #logged = 0;
  #left = 0;

  /** `closing`: aborted when the server ends, before which what was left out is logged. */
  constructor(private readonly clock: Clock, private readonly log: Log, private readonly closing: AbortSignal) {}

  refused({ code, message }: Denial, request: Request, peer: Peer): void {
    const now_ms = this.clock.monotonic_ms();
    if (this.#logged === 0 || now_ms - this.#since_ms >= logWindow_ms) {
      this.#since_ms = now_ms;
      this.#logged = 0;
    }
    if (this.#logged >= maxLogged) {
      // Logged at the end of the minute, also if no other request is refused.
      if (this.#left++ === 0) {
        void this.clock.sleep(this.#since_ms + logWindow_ms - now_ms, this.closing).then(() => this.#logLeft());
      }
      return;
    }
    this.#logged++;
    const asked = { ...whoAsks(peer), ...whatIsAsked(request, peer) };
    this.log("warn", "an API request was refused", { ...asked, code, reason: message });
  }

  #logLeft(): void {
    this.log("warn", `${this.#left} more API requests were refused`);
    this.#left = 0;
  }

  /** `as`: whose token or certificate let it in. */
  answered({ status }: Response, request: Request, peer: Peer, as: string | undefined): void {
    if (isRead(request.method)) return;
    const asked = { ...whoAsks(peer), as, ...whatIsAsked(request, peer) };
    this.log("info", "an API request was answered", { ...asked, code: status });
  }
}

/** Who has sent a request, as fields of a log line. */
export function whoAsks({ connection }: Peer): Readonly<Record<string, unknown>> {
  const { remote, process } = connection ?? ({} as Partial<ConnectionInfo>);
  return { peer: remote, ...process };
}

/** Longest name of who made a change, in characters. */
const maxAuthor = 100;

/** Who sent a request, for those who see what it changed; undefined where nothing is known of them. */
export function authorOf({ connection, as }: Peer): string | undefined {
  if (!connection) return undefined;
  const { kind, remote, process } = connection;
  const place = kind === "unix" ? process && `uid ${process.uid}` : remote.replace(/:\d+$/, "");
  const author = [as, place].filter((part) => part).join(" from ");
  return author === "" ? undefined : author.slice(0, maxAuthor);
}

function whatIsAsked({ method }: Request, { target = "" }: Peer): Readonly<Record<string, unknown>> {
  // Proxies, and clients that take the socket for one, send a whole URL (RFC 9112, 3.2.2).
  const path = target.replace(/^https?:\/\/[^/?#]*/i, "").replace(/[?#].*$/s, "");
  return { method, path: path.slice(0, maxPath) };
}
