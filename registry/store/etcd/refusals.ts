/**
 * Translates the errors of etcd and gRPC into the registry's errors, with advice for the operator. Pure.
 *
 * Statuses are gRPC's ("Status codes"); their texts are etcd's (`api/v3rpc/rpctypes/error.go` of etcd 3.4 and 3.5).
 *
 * @module
 */

import { messageOf } from "../../../runtime/log.ts";
import { OutcomeUnknownError, StoreLimitError, StoreUnavailableError } from "../../mod.ts";

/** The gRPC status codes that are distinguished here. */
export const code = {
  canceled: 1,
  invalidArgument: 3,
  notFound: 5,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  outOfRange: 11,
  unauthenticated: 16,
} as const;

/** Statuses of a request that is invalid: the same request would fail again. */
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

  /** True if the subject of the request, for example a lease, does not exist. */
  get isNotFound(): boolean {
    return this.code === code.notFound;
  }
}

/** Returns the status code of a gRPC error; undefined for any other error. */
export function grpcCodeOf(error: unknown): number | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "number" ? error.code : undefined;
}

/** Returns true if a token has expired or was dropped by etcd, so that a new one may be accepted. */
export function isStaleToken(error: unknown): boolean {
  return grpcCodeOf(error) === code.unauthenticated || messageOf(error).includes("revision of auth store is old");
}

/** Returns true if etcd denies access because of missing or wrong credentials or missing permissions. */
export function isDeniedAccess(error: unknown): boolean {
  const status = grpcCodeOf(error);
  if (status === code.unauthenticated || status === code.permissionDenied) return true;
  return isStaleToken(error) ||
    (status !== undefined && /user name is empty|authentication failed/.test(messageOf(error)));
}

/** The request that failed. */
export interface FailedRequest {
  readonly endpoints: string;
  readonly username: string | undefined;
  readonly prefix: string;
  readonly method: string;
  /** True if a client certificate is presented to etcd. */
  readonly showsCertificate: boolean;
  /** True if the request is a write that may have reached a member. */
  readonly sent: boolean;
}

/**
 * Translates an error into the registry's terms, with etcd's error as its cause:
 *
 * - {@link StoreUnavailableError}: the same request may succeed later; also for denied access and a full disk
 * - {@link OutcomeUnknownError}: the same, for a write that may have been applied
 * - {@link StoreLimitError}: the request is too large
 * - {@link EtcdRefusedError}: the request is invalid
 */
export function translate(error: unknown, request: FailedRequest): Error {
  if (error instanceof TypeError || error instanceof RangeError) return error;
  const { endpoints, method, sent } = request;
  const options = { cause: error };
  if (isDeniedAccess(error)) {
    return new StoreUnavailableError(`etcd at ${endpoints} ${accessAdvice(error, request)}`, options);
  }
  const status = grpcCodeOf(error);
  if (status === code.resourceExhausted && messageOf(error).includes("database space exceeded")) {
    const advice = "its space is used up: compact and defragment it, then etcdctl alarm disarm";
    const message = `etcd at ${endpoints} takes no writes (${advice})`;
    // etcd applies the write that fills the space, and answers it with the same error as the refused ones.
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
  const why = whyNoConnection(status, messageOf(error), request);
  if (why !== undefined) {
    // No cause: gRPC's text would repeat the reason in other words, with the time of day.
    const message = `etcd at ${endpoints} ${why}`;
    return sent ? new OutcomeUnknownError(message, false) : new StoreUnavailableError(message);
  }
  const message = `etcd at ${endpoints} did not answer ${method}`;
  return sent ? new OutcomeUnknownError(message, false, options) : new StoreUnavailableError(message, options);
}

/** gRPC statuses of a call without a connection. */
const [deadlineExceeded, unavailable] = [4, 14];

/** Returns why there is no connection and what to do, as far as gRPC's text shows; undefined if it does not. */
function whyNoConnection(
  status: number | undefined,
  text: string,
  { endpoints, showsCertificate }: FailedRequest,
): string | undefined {
  if (status === deadlineExceeded && text.includes("Waiting for LB pick")) return "does not answer";
  if (status !== unavailable) return undefined;
  if (text.includes("Name resolution failed")) return "cannot be reached: its host name does not resolve";
  const [, last] =
    /No connection established\. Last error: (?:Error: )?(.*?)(?: \([^()]*\))?(?:\. Resolution note: .*)?$/
      .exec(text) ?? [];
  if (last === undefined) return undefined;
  if (/ECONNREFUSED/.test(last)) return "refuses connections: is etcd running there?";
  if (!endpoints.startsWith("https:")) {
    return /Failed to connect|ECONNRESET|EPIPE/.test(last)
      ? "closes connections: if it expects TLS, use https://"
      : undefined;
  }
  if (/before secure TLS connection|wrong version number|InvalidContentType/.test(last)) {
    return "does not complete the TLS handshake: if it does not use TLS, use http://";
  }
  if (/EPIPE|ECONNRESET|fatal alert/.test(last)) {
    return showsCertificate
      ? `closed the TLS handshake: it does not accept the certificate in etcd_certfile (${last})`
      : "closed the TLS handshake: if it requires a client certificate, set etcd_certfile and etcd_keyfile";
  }
  if (last.includes("altnames")) return `presents a certificate for another name: ${last}`;
  return /certificate/.test(last)
    ? `is not trusted: ${last}; etcd_cafile must contain the authority that signed its certificate`
    : undefined;
}

function accessAdvice(error: unknown, { username, prefix }: FailedRequest): string {
  if (!username) {
    return "requires authentication (set etcd_username and etcd_password, then systemctl reload fleet)";
  }
  if (grpcCodeOf(error) === code.permissionDenied) {
    return `denies user ${username} access below ${prefix} (grant read and write: etcdctl role grant-permission)`;
  }
  return `does not accept user ${username} with this etcd_password (correct them, then systemctl reload fleet)`;
}
