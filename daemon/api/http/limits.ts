/**
 * Limits for the time and memory that clients may take, and the replies beyond them. Pure.
 *
 * @module
 */

import { version } from "../../../runtime/version.ts";

/** The limits of a daemon. */
export const usualLimits = {
  /** The time for a TLS handshake, for the headers of a request, and for a whole request. */
  handshake_ms: 15_000,
  headers_ms: 15_000,
  request_ms: 60_000,
  /** The time that a connection may stay idle. */
  idle_ms: 60_000,
  /** The interval at which these times are checked. */
  check_ms: 5_000,
  /** The time for which a client may take nothing of its response. */
  stalled_ms: 60_000,
  /** The time that a closing server waits for responses. */
  close_ms: 2_000,
  /** The time that a silent connection goes without a keep-alive probe of the kernel. */
  probe_ms: 30_000,
  headers_bytes: 32 * 1024,
  /** Requests are refused while more connections are open; above twice as many, connections are not accepted. */
  connections: 2_048,
  /** A request is refused if more wait on its connection; at four times as many, the connection is closed. */
  waiting: 64,
};

/** The longest body that is accepted: many times the longest unit file. */
export const maxBody_bytes = 1024 * 1024;

/** The longest body of a request about all units of an application: a thousand instances of a template, each with its file. */
export const maxAppBody_bytes = 8 * 1024 * 1024;

/** See {@link usualLimits}. */
export type Limits = Readonly<typeof usualLimits>;

/** Options for every socket of the server. A body in chunks of one byte takes much more memory than this. */
export const socketOptions = { noDelay: true, highWaterMark: 16 * 1024 } as const;

/** Returns the options of node:http's server. */
export function httpOptions(limits: Limits) {
  return {
    connectionsCheckingInterval: limits.check_ms,
    headersTimeout: limits.headers_ms,
    requestTimeout: limits.request_ms,
    keepAliveTimeout: limits.idle_ms,
    maxHeaderSize: limits.headers_bytes,
    highWaterMark: socketOptions.highWaterMark,
    // authorize() checks the Host header.
    requireHostHeader: false,
  };
}

const reasons = {
  400: "Bad Request",
  405: "Method Not Allowed",
  408: "Request Timeout",
  431: "Request Header Fields Too Large",
} as const;

/** Returns the reply to bytes that are no HTTP request; `code` is that of node:http's error. */
export function malformedReply(code: string | undefined): string {
  switch (code) {
    case "HPE_HEADER_OVERFLOW":
      return refusedReply(431, `request header exceeds maximum length (${usualLimits.headers_bytes})`);
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return refusedReply(408, "request did not arrive in time");
    default:
      return refusedReply(400, "malformed HTTP request");
  }
}

/** Returns the bytes of the last reply on a connection. `message` is ASCII. */
export function refusedReply(code: keyof typeof reasons, message: string): string {
  const body = JSON.stringify({ error: { code, message } });
  return `HTTP/1.1 ${code} ${reasons[code]}\r\nServer: fleetd/${version}\r\nConnection: close\r\n` +
    `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}
