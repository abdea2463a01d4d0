/**
 * How much of the daemon's time and memory a client may take, and what it is told beyond that. Pure.
 *
 * @module
 */

import { version } from "../../version.ts";

/** How long a request may take to arrive, an idle connection may stay, a closing server waits for answers, and so on. */
export const usualLimits = {
  handshake_ms: 15_000,
  headers_ms: 15_000,
  request_ms: 60_000,
  idle_ms: 60_000,
  check_ms: 5_000,
  stalled_ms: 60_000,
  close_ms: 2_000,
  probe_ms: 30_000,
  headers_bytes: 32 * 1024,
  /** Above these, requests are refused; above twice that, connections are not accepted. */
  connections: 2_048,
  /** Above these, waiting on one connection, requests are refused; at four times that, the connection is cut off. */
  waiting: 64,
};

/** See {@link usualLimits}. */
export type Limits = Readonly<typeof usualLimits>;

/** The same for node:http, and what else it is told. */
export function settings(limits: Limits) {
  return {
    connectionsCheckingInterval: limits.check_ms,
    headersTimeout: limits.headers_ms,
    requestTimeout: limits.request_ms,
    keepAliveTimeout: limits.idle_ms,
    maxHeaderSize: limits.headers_bytes,
    // Of bodies in pieces of a byte each much more is held than that.
    highWaterMark: 16 * 1024,
    // It is looked at with all else that tells who may pass.
    requireHostHeader: false,
  };
}

const reasons = {
  400: "Bad Request",
  405: "Method Not Allowed",
  408: "Request Timeout",
  431: "Request Header Fields Too Large",
} as const;

/** The answer to what is no HTTP request, byte for byte; `code` is that of node:http's error. */
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

/** The last answer on a connection, byte for byte. `message` is ASCII. */
export function refusedReply(code: keyof typeof reasons, message: string): string {
  const body = JSON.stringify({ error: { code, message } });
  return `HTTP/1.1 ${code} ${reasons[code]}\r\nServer: fleetd/${version}\r\nConnection: close\r\n` +
    `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}
