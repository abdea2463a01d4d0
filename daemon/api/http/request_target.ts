/**
 * Parses the request target: path and query as the client sent them. `new URL` does not serve, since it hides the paths
 * that must be redirected (`//`, `..`) and changes characters of unit names (`\`).
 *
 * @module
 */

import { normalize } from "node:path/posix";
import { unescape } from "node:querystring";

/** A parsed request target. */
export type RequestTarget =
  | {
    readonly kind: "path";
    /** The percent-decoded segments: `/a/b%2Fc` is `["a", "b/c"]`, `/a/` is `["a", ""]`, `/` is `[""]`. */
    readonly segments: readonly string[];
    readonly query: string;
  }
  /** The path is not canonical: the client is redirected to `location`. */
  | { readonly kind: "moved"; readonly location: string }
  | { readonly kind: "malformed"; readonly reason: string };

/** Parses a request target (RFC 9112, section 3.2) in origin or absolute form. */
export function parseTarget(target: string): RequestTarget {
  const origin = target.replace(/^https?:\/\/[^/?#]*/i, "").replace(/#.*$/s, "");
  const mark = origin.indexOf("?");
  const path = mark < 0 ? origin : origin.slice(0, mark);
  const query = mark < 0 ? "" : origin.slice(mark + 1);
  const escape = /%(?![0-9A-Fa-f]{2}).{0,2}/s.exec(path);
  if (escape) return { kind: "malformed", reason: `invalid URL escape ${JSON.stringify(escape[0])}` };
  // Bytes that are not UTF-8 become U+FFFD, which no valid unit name contains.
  const segments = path.replace(/^\//, "").split("/").map(unescape);
  const decoded = "/" + segments.join("/");
  const clean = normalize(decoded);
  if (clean !== decoded || !path.startsWith("/")) {
    return { kind: "moved", location: percentEncode(clean) + (mark < 0 ? "" : "?" + query) };
  }
  return { kind: "path", segments, query };
}

function percentEncode(path: string): string {
  return path.toWellFormed().split("/")
    .map((segment) => encodeURIComponent(segment).replaceAll("%40", "@").replaceAll("%3A", ":"))
    .join("/");
}
