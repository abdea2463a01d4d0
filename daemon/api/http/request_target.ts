/**
 * Parses the request target: path and query as the client sent them. `new URL` does not serve, since it hides the paths
 * that must be redirected (`//`, `..`) and changes characters of unit names (`\`).
 *
 * @module
 */

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
  const segments = path.replace(/^\//, "").split("/").map(percentDecode);
  const decoded = "/" + segments.join("/");
  const clean = canonical(decoded);
  if (clean !== decoded || !path.startsWith("/")) {
    return { kind: "moved", location: percentEncode(clean) + (mark < 0 ? "" : "?" + query) };
  }
  return { kind: "path", segments, query };
}

/** Decodes percent-encoding. Bytes that are not UTF-8 become U+FFFD, which no valid unit name contains. */
function percentDecode(text: string): string {
  if (!text.includes("%")) return text;
  const bytes = new TextEncoder().encode(text);
  const decoded = new Uint8Array(bytes.length);
  let length = 0;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] as number;
    if (byte !== 0x25) decoded[length++] = byte;
    else {
      decoded[length++] = parseInt(String.fromCharCode(bytes[i + 1] as number, bytes[i + 2] as number), 16);
      i += 2;
    }
  }
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(decoded.subarray(0, length));
}

/** Returns a path without empty, `.` and `..` segments; a trailing slash stays. */
function canonical(path: string): string {
  const kept: string[] = [];
  for (const segment of path.split("/")) {
    if (segment === "..") kept.pop();
    else if (segment !== "" && segment !== ".") kept.push(segment);
  }
  const clean = "/" + kept.join("/");
  return clean !== "/" && path.endsWith("/") ? clean + "/" : clean;
}

function percentEncode(path: string): string {
  return path.toWellFormed().split("/")
    .map((segment) => encodeURIComponent(segment).replaceAll("%40", "@").replaceAll("%3A", ":"))
    .join("/");
}
