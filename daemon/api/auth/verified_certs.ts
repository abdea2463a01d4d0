/**
 * Whose certificates the operator's authority has vouched for. Pure.
 *
 * A TLS session that is resumed (RFC 8446, section 2.2) shows the certificate of the session before, and no chain is
 * verified; the runtime says then of any certificate that it is authorized, also of one that was not. So only what a
 * whole handshake has proved counts, and a resumed session by what was proved of its certificate.
 *
 * @module
 */

import type { TLSSocket } from "node:tls";
import { keepNewest } from "../../../runtime/keep_newest.ts";

/** Certificates that are remembered; who is forgotten needs a whole handshake again. */
const maxKnown = 10_000;

/** Why a certificate is not taken for what its connection says it is. */
const resumed = "it was shown in an earlier session, or to another authority: connect anew, without resuming a session";

/** What has been proved of the certificates of one server's clients. */
export class VerifiedCertificates {
  /** Fingerprints, the latest last. */
  readonly #known = new Set<string>();
  #vouched = new WeakSet<TLSSocket>();

  /** Looks at a connection whose handshake is over. */
  add(socket: TLSSocket): void {
    const { fingerprint256 } = socket.getPeerCertificate() ?? {};
    if (fingerprint256 === undefined || !socket.authorized) return;
    if (socket.isSessionReused()) {
      if (!this.#known.has(fingerprint256)) return;
    } else {
      this.#known.delete(fingerprint256);
      this.#known.add(fingerprint256);
      keepNewest(this.#known, maxKnown);
    }
    this.#vouched.add(socket);
  }

  /** Why the certificate of a connection proves nothing; undefined if it does. */
  problemOf(socket: TLSSocket): string | undefined {
    if (!socket.authorized) return String(socket.authorizationError ?? "it was not verified");
    return this.#vouched.has(socket) ? undefined : resumed;
  }

  /** The authority is another: nothing has been proved, also of connections that are open. */
  forget(): void {
    this.#known.clear();
    this.#vouched = new WeakSet();
  }
}
