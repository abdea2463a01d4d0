/**
 * Who sends a request, as far as its connection tells. Pure.
 *
 * @module
 */

import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { worthOf } from "../auth/policy.ts";
import type { Connection, Peer, ShownCertificate } from "../context.ts";
import type { PeerCredentialsReader } from "../auth/peer_credentials.ts";
import type { VerifiedCertificates } from "../auth/verified_certs.ts";

/** Of a request's bytes beyond twice its body: the next request may have come with it. */
const maxFraming_bytes = 128 * 1024;

/**
 * What is known of a request beside the request. The adapter refuses targets and hosts that no URL can hold (`\` in unit
 * names, paths as hosts); the handler goes by the target alone, so the adapter is shown others.
 */
export function takePeer(
  incoming: IncomingMessage,
  kind: Connection["kind"],
  closing: AbortSignal,
  now_ms: number,
  { processes, verifiedCertificates }: {
    readonly processes: Pick<PeerCredentialsReader, "of">;
    readonly verifiedCertificates: VerifiedCertificates;
  },
): Peer {
  const target = incoming.url ?? "/";
  const { rawHeaders, socket, httpVersion } = incoming;
  const valuesOf = (name: string) =>
    rawHeaders.filter((_, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === name);
  // Only TCP has an address: whatever was inherited and is no unix socket after all is not taken for one.
  if (kind === "unix" && socket.remoteAddress !== undefined) kind = "network";
  const certificate = kind === "network" ? certificateOf(socket, now_ms, verifiedCertificates) : undefined;
  const process = kind === "unix" ? processes.of(socket) : undefined;
  const hosts = valuesOf("host");
  const [coding] = valuesOf("transfer-encoding").filter((value) =>
    value.toLowerCase() !== "chunked" || httpVersion === "1.0"
  );
  const connection: Connection = {
    kind,
    remote: kind === "unix" ? "unix" : `${socket.remoteAddress}:${socket.remotePort}`,
    hosts: hosts.length === 0 && httpVersion === "1.0" ? [""] : hosts,
    ...(coding === undefined ? {} : { coding }),
    ...(certificate ? { certificate } : {}),
    ...(process ? { process } : {}),
  };
  incoming.url = "/";
  incoming.headers.host = "localhost";
  return { target, contentTypes: valuesOf("content-type").length, closing, connection, body: () => bodyOf(incoming) };
}

/** All that has come is one piece. Who cuts a body so finely that most of it is framing has the daemon work, and is cut off. */
async function* bodyOf(incoming: IncomingMessage): AsyncGenerator<Uint8Array> {
  const { socket } = incoming;
  const before = socket.bytesRead;
  let length = 0;
  // Leaving off must not destroy the connection, which the answer has to go out on.
  for await (const piece of incoming.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>) {
    length += piece.length;
    if (socket.bytesRead - before > 2 * length + maxFraming_bytes) socket.destroy();
    yield piece;
  }
}

/** What a client has shown, if it was asked and has. It is looked at with each request: certificates run out. */
function certificateOf(
  socket: Socket,
  now_ms: number,
  verifiedCertificates: VerifiedCertificates,
): ShownCertificate | undefined {
  if (!("getPeerCertificate" in socket)) return undefined;
  const tls = socket as TLSSocket;
  const shown = tls.getPeerCertificate();
  if (!shown?.subject) return undefined;
  // What a subject says twice comes as a list.
  const said = (value: unknown) => [value ?? []].flat().map(String);
  const [subject = ""] = said(shown.subject.CN);
  if (Date.parse(shown.valid_to) < now_ms) return { subject, worth: { problem: `it expired on ${shown.valid_to}` } };
  const problem = verifiedCertificates.problemOf(tls);
  return { subject, worth: problem === undefined ? worthOf(said(shown.subject.O)) : { problem } };
}
