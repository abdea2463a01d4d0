/**
 * Describes the sender of a request, as far as its connection and its raw headers show. Pure.
 *
 * @module
 */

import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { roleOf } from "../auth/policy.ts";
import type { ConnectionInfo, Peer, ShownCertificate } from "../context.ts";
import type { PeerCredentialsReader } from "../auth/peer_credentials.ts";
import type { VerifiedCertificates } from "../auth/verified_certs.ts";

/** The overhead of chunks and headers that is allowed beyond twice a body's length: the next request may be read along. */
const maxFraming_bytes = 128 * 1024;

/** The parts of the server that {@link peerOf} uses. */
export interface PeerSources {
  readonly kind: ConnectionInfo["kind"];
  /** Aborted when the client has half-closed the connection, or the server closes. */
  readonly closing: AbortSignal;
  readonly now_ms: number;
  readonly peerCredentials: Pick<PeerCredentialsReader, "of">;
  readonly verifiedCertificates: VerifiedCertificates;
}

/** Returns what is known of a request beyond its method and headers. */
export function peerOf(incoming: IncomingMessage, sources: PeerSources): Peer {
  const { rawHeaders, socket, httpVersion } = incoming;
  const valuesOf = (name: string) =>
    rawHeaders.filter((_, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === name);
  // An inherited socket without an address counts as a unix socket; a remote address shows that it is TCP after all.
  const kind = sources.kind === "unix" && socket.remoteAddress !== undefined ? "network" : sources.kind;
  const certificate = kind === "network" ? certificateOf(socket, sources) : undefined;
  const process = kind === "unix" ? sources.peerCredentials.of(socket) : undefined;
  const hosts = valuesOf("host");
  const [coding] = valuesOf("transfer-encoding").filter((value) =>
    value.toLowerCase() !== "chunked" || httpVersion === "1.0"
  );
  return {
    target: incoming.url ?? "/",
    contentTypes: valuesOf("content-type").length,
    closing: sources.closing,
    connection: {
      kind,
      remote: kind === "unix" ? "unix" : `${socket.remoteAddress}:${socket.remotePort}`,
      hosts: hosts.length === 0 && httpVersion === "1.0" ? [""] : hosts,
      ...(coding === undefined ? {} : { coding }),
      ...(certificate ? { certificate } : {}),
      ...(process ? { process } : {}),
    },
    body: () => bodyOf(incoming),
  };
}

/**
 * Yields a body in pieces of what has been received at once. A client that cuts its body so finely that most of it is
 * framing costs the daemon CPU time, and is disconnected.
 */
async function* bodyOf(incoming: IncomingMessage): AsyncGenerator<Uint8Array> {
  const { socket } = incoming;
  const before = socket.bytesRead;
  let length = 0;
  // A reader that stops early must not destroy the connection, on which the response has to be sent.
  for await (const piece of incoming.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>) {
    length += piece.length;
    if (socket.bytesRead - before > 2 * length + maxFraming_bytes) socket.destroy();
    yield piece;
  }
}

/** Returns the certificate that a client has shown, if any. It is examined for each request: certificates expire. */
function certificateOf(
  socket: Socket,
  { now_ms, verifiedCertificates }: PeerSources,
): ShownCertificate | undefined {
  if (!("getPeerCertificate" in socket)) return undefined;
  const tls = socket as TLSSocket;
  const shown = tls.getPeerCertificate();
  if (!shown?.subject) return undefined;
  // An attribute that a subject has twice comes as a list.
  const valuesOf = (value: unknown) => [value ?? []].flat().map(String);
  const [subject = ""] = valuesOf(shown.subject.CN);
  if (Date.parse(shown.valid_to) < now_ms) {
    return { subject, authorization: { problem: `it expired on ${shown.valid_to}` } };
  }
  const problem = verifiedCertificates.problemOf(tls);
  return { subject, authorization: problem === undefined ? roleOf(valuesOf(shown.subject.O)) : { problem } };
}
