/**
 * The adapter that looks at the certificate of a TLS server, valid or not.
 *
 * @module
 */

import { connect } from "node:tls";
import type { ServerCertificate } from "./certificate_expiry.ts";

/** Longest time for a handshake. */
const patience_ms = 5000;

/** The certificate of an `https` endpoint; undefined where there is none to be had. */
export function serverCertificate(endpoint: string, base: string): Promise<ServerCertificate | undefined> {
  const { protocol, hostname, port } = new URL(base);
  if (protocol !== "https:") return Promise.resolve(undefined);
  const host = hostname.replace(/^\[|\]$/g, "");
  return new Promise((resolve) => {
    // Nothing is sent over it: it need not be trusted.
    const socket = connect({ host, port: Number(port || 443), rejectUnauthorized: false });
    const end = (found?: ServerCertificate) => {
      resolve(found);
      socket.destroy();
    };
    socket.setTimeout(patience_ms, () => end());
    // Why it cannot be reached is what the request itself tells.
    socket.on("error", () => end());
    socket.on("close", () => end());
    socket.on("secureConnect", () => {
      const expires_ms = Date.parse(socket.getPeerCertificate()?.valid_to ?? "");
      end(Number.isNaN(expires_ms) ? undefined : { endpoint, expires_ms });
    });
  });
}
