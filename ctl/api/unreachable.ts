/**
 * Explains why the API could not be reached and what to do, by the error of `fetch`. Pure.
 *
 * @module
 */

import type { ApiRequest } from "./client.ts";
import type { ApiEndpoint } from "./endpoint.ts";
import { reasonOf } from "../terminal/port.ts";

/** Returns the message for a request that failed; `late_ms` is its time limit, if that has passed. */
export function whyUnreachable(
  endpoint: ApiEndpoint,
  path: string,
  request: Pick<ApiRequest, "method">,
  late_ms: number | undefined,
  cause: unknown,
): string {
  const place = `the fleet API at ${endpoint.text}`;
  if (late_ms !== undefined) {
    return `${place} did not answer ${request.method} ${path} within ${late_ms / 1000} seconds`;
  }
  const reason = innermostReason(cause);
  const known = knownReason(cause);
  if (known !== undefined) return `cannot reach ${place}: ${known}`;
  // An alert comes from the server (RFC 8446, 6).
  if (mentions(cause, /\bfatal alert\b/)) {
    return `${place} rejected the TLS connection: ${reason}. Name a certificate that it trusts with --cert-file and --key-file`;
  }
  if (mentions(cause, /\bcertificate\b/i)) {
    return `cannot trust ${place}: ${reason}. --ca-file names the authority that must have signed its certificate, ` +
      "and the certificate must name the host of --endpoint";
  }
  if (endpoint.socket === undefined) {
    return `cannot reach ${place}: ${reason}. Is it the right --endpoint, and does fleetd listen there?`;
  }
  if (/permission denied|PermissionDenied/i.test(reason)) {
    return `cannot reach ${place}: ${reason}. Only users who may write to the socket may use it: try as root`;
  }
  return `cannot reach ${place}: ${reason}. Is fleetd's socket there (systemctl status fleet.socket)? ` +
    "Name another endpoint with --endpoint or FLEETCTL_ENDPOINT";
}

/** Translates errors that only an expert of the TLS library would understand. */
function knownReason(cause: unknown): string | undefined {
  if (mentions(cause, /invalid HTTP version parsed/)) return "the server speaks TLS: use https://";
  if (mentions(cause, /corrupt message of type InvalidContentType/)) return "the server speaks no TLS: use http://";
  if (mentions(cause, /KeyMismatch/)) return "the key in --key-file is not that of the certificate in --cert-file";
  for (let layer = cause; layer instanceof Error; layer = layer.cause) {
    const [, bound, seconds] = /certificate is not valid (after|before) (\d+)/.exec(layer.message) ?? [];
    if (seconds === undefined) continue;
    const date = new Date(Number(seconds) * 1000).toISOString().replace(".000Z", "Z");
    return bound === "after"
      ? `the server's certificate expired on ${date}`
      : `the server's certificate is not valid before ${date}: is the clock of this machine right?`;
  }
  return undefined;
}

/** True if the message of an error or of one of its causes matches. */
function mentions(cause: unknown, words: RegExp): boolean {
  for (let layer = cause; layer instanceof Error; layer = layer.cause) {
    if (words.test(layer.message)) return true;
  }
  return false;
}

/** Returns the innermost cause: `fetch` wraps the error of the operating system several times, each time with the URL. */
function innermostReason(cause: unknown): string {
  let deepest = cause;
  while (deepest instanceof Error && deepest.cause instanceof Error) deepest = deepest.cause;
  const text = reasonOf(deepest);
  const parts = text.split(": ");
  return (parts[parts.length - 1] ?? text).replace(/ \(os error \d+\)$/, "");
}
