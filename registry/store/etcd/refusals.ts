/**
 * What etcd says when it does not do what it is asked, and what an operator can do about it. Pure.
 *
 * Statuses are gRPC's ("Status codes"); their texts are etcd's (`api/v3rpc/rpctypes/error.go` of etcd 3.4 and 3.5).
 *
 * @module
 */

import { messageOf } from "../../../runtime/log.ts";
import { OutcomeUnknownError, StoreLimitError, StoreUnavailableError } from "../../mod.ts";

/** gRPC's status codes that are told apart here. */
export const code = {
  cancelled: 1,
  invalidArgument: 3,
  notFound: 5,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  outOfRange: 11,
  unauthenticated: 16,
} as const;

/** Statuses by which etcd says that the request itself will not do: asking again would not help. */
const refusals: ReadonlySet<number> = new Set([
  code.invalidArgument,
  code.notFound,
  code.permissionDenied,
  code.failedPrecondition,
  code.outOfRange,
]);

/** etcd refused a request. `code` is gRPC's status code. */
export class EtcdRefusedError extends Error {
  override name = "EtcdRefusedError";
  constructor(message: string, readonly code: number, options?: ErrorOptions) {
    super(message, options);
  }

  /** Whether what it was about does not exist (any more). */
  get isNotFound(): boolean {
    return this.code === code.notFound;
  }
}

/** The status of an error of gRPC's; undefined for any other. */
export function codeOf(error: unknown): number | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "number" ? error.code : undefined;
}

/** Whether a token has run out, or etcd has forgotten it: another may do. */
export function isStaleToken(error: unknown): boolean {
  return codeOf(error) === code.unauthenticated || messageOf(error).includes("revision of auth store is old");
}

/** Whether etcd does not know who asks, or does not let them: it may be mended in etcd as well as here. */
export function isDeniedAccess(error: unknown): boolean {
  const status = codeOf(error);
  if (status === code.unauthenticated || status === code.permissionDenied) return true;
  return isStaleToken(error) ||
    (status !== undefined && /user name is empty|authentication failed/.test(messageOf(error)));
}

/** Who asked whom for what. */
export interface Asked {
  readonly endpoints: string;
  readonly username: string | undefined;
  readonly prefix: string;
  readonly method: string;
  /** Whether a certificate is shown to etcd. */
  readonly showsCertificate: boolean;
  /** Whether it is a write that may have reached a member. */
  readonly sent: boolean;
}

/**
 * A failure in the registry's terms. Whatever can pass by itself or be mended without a change of the request is a
 * {@link StoreUnavailableError}, also refused access and a full disk; what cannot is an {@link EtcdRefusedError}, or a
 * {@link StoreLimitError} where its size is the reason. The
 * cause says what etcd said. What may have been done all the same is an {@link OutcomeUnknownError}.
 */
export function translate(error: unknown, asked: Asked): Error {
  if (error instanceof TypeError || error instanceof RangeError) return error;
  const { endpoints, method, sent } = asked;
  const options = { cause: error };
  if (isDeniedAccess(error)) {
    return new StoreUnavailableError(`etcd at ${endpoints} ${accessAdvice(error, asked)}`, options);
  }
  const status = codeOf(error);
  if (status === code.resourceExhausted && messageOf(error).includes("database space exceeded")) {
    const advice = "its space is used up: compact and defragment it, then etcdctl alarm disarm";
    const message = `etcd at ${endpoints} takes no writes (${advice})`;
    // The write that fills it is applied, and answered like those that are not.
    const full = { ...options, isFull: true };
    return sent ? new OutcomeUnknownError(message, true, full) : new StoreUnavailableError(message, full);
  }
  if (status !== undefined && /request is too large|larger than max|too many operations/.test(messageOf(error))) {
    const advice = "make it smaller, or raise etcd's --max-request-bytes and --max-txn-ops";
    return new StoreLimitError(`etcd at ${endpoints} takes no ${method} of this size (${advice})`, options);
  }
  if (status !== undefined && refusals.has(status)) {
    return new EtcdRefusedError(`etcd at ${endpoints} refused ${method}`, status, options);
  }
  const why = whyNoConnection(status, messageOf(error), asked);
  if (why !== undefined) {
    // gRPC's own text would only repeat it in other words, with the time of day.
    const message = `etcd at ${endpoints} ${why}`;
    return sent ? new OutcomeUnknownError(message, false) : new StoreUnavailableError(message);
  }
  const message = `etcd at ${endpoints} did not answer ${method}`;
  return sent ? new OutcomeUnknownError(message, false, options) : new StoreUnavailableError(message, options);
}

/** Statuses of gRPC's by which it says that it has no connection. */
const [deadlineExceeded, unavailable] = [4, 14];

/** Why there is no connection, and what to do, as far as gRPC's text tells; undefined if it does not. */
function whyNoConnection(
  status: number | undefined,
  text: string,
  { endpoints, showsCertificate }: Asked,
): string | undefined {
  if (status === deadlineExceeded && text.includes("Waiting for LB pick")) return "does not answer";
  if (status !== unavailable) return undefined;
  if (text.includes("Name resolution failed")) return "cannot be found: its name does not resolve";
  const [, last] =
    /No connection established\. Last error: (?:Error: )?(.*?)(?: \([^()]*\))?(?:\. Resolution note: .*)?$/
      .exec(text) ?? [];
  if (last === undefined) return undefined;
  if (/ECONNREFUSED/.test(last)) return "refuses connections: is etcd running there?";
  if (!endpoints.startsWith("https:")) {
    return /Failed to connect|ECONNRESET|EPIPE/.test(last)
      ? "closes connections: if it speaks TLS there, use https://"
      : undefined;
  }
  if (/before secure TLS connection|wrong version number|InvalidContentType/.test(last)) {
    return "does not complete the TLS handshake: if it speaks no TLS there, use http://";
  }
  if (/EPIPE|ECONNRESET|fatal alert/.test(last)) {
    return showsCertificate
      ? `closed the TLS handshake: it does not accept the certificate in etcd_certfile (${last})`
      : "closed the TLS handshake: does it want etcd_certfile?";
  }
  if (last.includes("altnames")) return `shows a certificate of another name: ${last}`;
  return /certificate/.test(last)
    ? `is not trusted: ${last}; etcd_cafile names the authority that must have signed its certificate`
    : undefined;
}

function accessAdvice(error: unknown, { username, prefix }: Asked): string {
  if (!username) {
    return "lets nobody in without a name (set etcd_username and etcd_password, then systemctl reload fleet)";
  }
  if (codeOf(error) === code.permissionDenied) {
    return `does not let user ${username} read and write below ${prefix} (etcdctl role grant-permission)`;
  }
  return `does not accept user ${username} with this etcd_password (correct them, then systemctl reload fleet)`;
}
