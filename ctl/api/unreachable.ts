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
    const unit = endpoint.socket === undefined ? "" : " (systemctl status fleet.service)";
    const late = `${place} did not answer ${request.method} ${path} within ${late_ms / 1000} seconds`;
    return `${late}. Does fleetd run there${unit}?`;
  }
  const messages = messagesOf(cause);
  const all = messages.join("\n");
  const reason = innermostReason(messages.at(-1) ?? reasonOf(cause));
  const known = knownReason(all);
  if (known !== undefined) return `cannot reach ${place}: ${known}`;
  // An alert comes from the server (RFC 8446, 6).
  if (/\bfatal alert\b/.test(all)) {
    return `${place} rejected the TLS connection: ${reason}. Name a certificate that it trusts with --cert-file and --key-file`;
  }
  if (/\bcertificate\b/i.test(all)) {
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
function knownReason(text: string): string | undefined {
  if (/invalid HTTP version parsed/.test(text)) return "the server speaks TLS: use https://";
  if (/corrupt message of type InvalidContentType/.test(text)) return "the server speaks no TLS: use http://";
  if (/KeyMismatch/.test(text)) return "the key in --key-file is not that of the certificate in --cert-file";
  const [, bound, seconds] = /certificate is not valid (after|before) (\d+)/.exec(text) ?? [];
  if (seconds === undefined) return undefined;
  const date = new Date(Number(seconds) * 1000).toISOString().replace(".000Z", "Z");
  return bound === "after"
    ? `the server's certificate expired on ${date}`
    : `the server's certificate is not valid before ${date}: is the clock of this machine right?`;
}

/** Returns the messages of an error and of its causes, the innermost last. */
function messagesOf(cause: unknown): string[] {
  return cause instanceof Error ? [cause.message, ...messagesOf(cause.cause)] : [];
}

/** Returns the innermost reason: `fetch` wraps the error of the operating system several times, each time with the URL. */
function innermostReason(text: string): string {
  return text.slice(text.lastIndexOf(": ") + 1).trimStart().replace(/ \(os error \d+\)$/, "");
}
