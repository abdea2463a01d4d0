/**
 * Why the API could not be reached, and what to do about it, out of what fetch says. Pure.
 *
 * @module
 */

import type { ApiRequest } from "./client.ts";
import type { Endpoint } from "./endpoint.ts";
import { reasonOf } from "../terminal/port.ts";

/** The message of an API that did not answer a request; `late_ms` is set if its time limit ran out. */
export function whyUnreachable(
  endpoint: Endpoint,
  path: string,
  request: Pick<ApiRequest, "method">,
  late_ms: number | undefined,
  cause: unknown,
): string {
  const place = `the fleet API at ${endpoint.text}`;
  if (late_ms !== undefined) {
    return `${place} did not answer ${request.method} ${path} within ${late_ms / 1000} seconds`;
  }
  const said = innermostReason(cause);
  const known = knownReason(cause);
  if (known !== undefined) return `cannot reach ${place}: ${known}`;
  // An alert comes from the other side (RFC 8446, 6).
  if (isSaid(cause, /\bfatal alert\b/)) {
    return `${place} does not take what was shown: ${said}. Name a certificate that it trusts with --cert-file and --key-file`;
  }
  if (isSaid(cause, /\bcertificate\b/i)) {
    return `cannot trust ${place}: ${said}. --ca-file names the authority that must have signed its certificate, ` +
      "and the certificate must name the host of --endpoint";
  }
  if (endpoint.socket === undefined) {
    return `cannot reach ${place}: ${said}. Is it the right --endpoint, and does fleetd listen there?`;
  }
  if (/permission denied|PermissionDenied/i.test(said)) {
    return `cannot reach ${place}: ${said}. Only users who may write to the socket may use it: try as root`;
  }
  return `cannot reach ${place}: ${said}. Is fleetd's socket there (systemctl status fleet.socket)? ` +
    "Name another place with --endpoint or FLEETCTL_ENDPOINT";
}

/** What is wrong where the runtime's own words tell it only to those who know its libraries. */
function knownReason(cause: unknown): string | undefined {
  if (isSaid(cause, /invalid HTTP version parsed/)) return "the server speaks TLS: use https://";
  if (isSaid(cause, /corrupt message of type InvalidContentType/)) return "the server speaks no TLS: use http://";
  if (isSaid(cause, /KeyMismatch/)) return "the key in --key-file is not that of the certificate in --cert-file";
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

/** True if one of the layers says so. */
function isSaid(cause: unknown, words: RegExp): boolean {
  for (let layer = cause; layer instanceof Error; layer = layer.cause) {
    if (words.test(layer.message)) return true;
  }
  return false;
}

/** fetch wraps what the operating system said in several layers, each repeating the URL. */
function innermostReason(cause: unknown): string {
  let deepest = cause;
  while (deepest instanceof Error && deepest.cause instanceof Error) deepest = deepest.cause;
  const text = reasonOf(deepest);
  const parts = text.split(": ");
  return (parts[parts.length - 1] ?? text).replace(/ \(os error \d+\)$/, "");
}
