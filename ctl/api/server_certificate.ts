/**
 * The adapter that reads the certificate of a TLS server, valid or not.
 *
 * @module
 */

import { connect } from "node:tls";
import type { ServerCertificate } from "./certificate_expiry.ts";

/** Longest time for a handshake. */
const limit_ms = 5000;

/** Returns the certificate of an `https` endpoint; undefined if it cannot be read. */
export function serverCertificate(endpoint: string, base: string): Promise<ServerCertificate | undefined> {
  const { protocol, hostname, port } = new URL(base);
  if (protocol !== "https:") return Promise.resolve(undefined);
  const host = hostname.replace(/^\[|\]$/g, "");
  return new Promise((resolve) => {
    // The connection need not be trusted: nothing is sent over it.
    const socket = connect({ host, port: Number(port || 443), rejectUnauthorized: false });
    const end = (found?: ServerCertificate) => {
      resolve(found);
      socket.destroy();
    };
    socket.setTimeout(limit_ms, () => end());
    // The requests themselves report why the server cannot be reached.
    socket.on("error", () => end());
    socket.on("close", () => end());
    socket.on("secureConnect", () => {
      const expires_ms = Date.parse(socket.getPeerCertificate()?.valid_to ?? "");
      end(Number.isNaN(expires_ms) ? undefined : { endpoint, expires_ms });
    });
  });
}
