/**
 * Remembers which client certificates the operator's authority has signed. Pure.
 *
 * A resumed TLS session (RFC 8446, section 2.2) has the certificate of the earlier session, and no chain is verified; the
 * runtime then calls any certificate authorized, even one that was not. So a certificate counts only if a full handshake
 * has verified it, in this connection or an earlier one.
 *
 * @module
 */

import type { TLSSocket } from "node:tls";
import { NewestMap } from "../../../runtime/newest_map.ts";

/** The number of certificates that are remembered; a forgotten one needs a full handshake again. */
const maxKnown = 10_000;

/** The problem of a certificate that this connection has not verified. */
const unverified =
  "it was verified in an earlier session, or by another authority: connect again without resuming a session";

/** The verified certificates of one server's clients. */
export class VerifiedCertificates {
  /** By the fingerprints of verified certificates. */
  readonly #known = new NewestMap<string, true>(maxKnown);
  #verified = new WeakSet<TLSSocket>();

  /** Records a connection after its handshake. */
  add(socket: TLSSocket): void {
    const { fingerprint256 } = socket.getPeerCertificate() ?? {};
    if (fingerprint256 === undefined || !socket.authorized) return;
    if (!socket.isSessionReused()) this.#known.set(fingerprint256, true);
    if (this.#known.has(fingerprint256)) this.#verified.add(socket);
  }

  /** Returns why the certificate of a connection is not verified; undefined if it is. */
  problemOf(socket: TLSSocket): string | undefined {
    if (!socket.authorized) return String(socket.authorizationError ?? "it was not verified");
    return this.#verified.has(socket) ? undefined : unverified;
  }

  /** Forgets all certificates, those of open connections included: the authority has been replaced. */
  forget(): void {
    this.#known.clear();
    this.#verified = new WeakSet();
  }
}
