/**
 * Requests to the daemons of other machines, with the credentials of `api_peer_*`. An adapter.
 *
 * @module
 */

import { readNamed } from "../../config/named_files.ts";
import type { Config } from "../../config/options.ts";
import { pulledFrom } from "../http/pull.ts";
import type { PeerFetch } from "./port.ts";

/** The options that name the credentials. */
export type PeerCredentialPaths = Pick<
  Config,
  "apiPeerCertfile" | "apiPeerKeyfile" | "apiPeerCafile" | "apiPeerTokenFile"
>;

/**
 * Returns a {@link PeerFetch}, which rejects addresses that are no HTTP URL. It reads the files at each request, since they
 * are small and may be replaced.
 */
export function peerFetch(paths: PeerCredentialPaths): PeerFetch {
  return async (baseUrl, path, headers, signal) => {
    // fetch would also read files of this machine, by file://. The address comes from the store.
    if (!/^https?:\/\/[^/?#@]+$/.test(baseUrl)) throw new Error("expected http://HOST:PORT or https://HOST:PORT");
    const [cert, key, ca, token] = await Promise.all([
      readOptional("api_peer_certfile", paths.apiPeerCertfile),
      readOptional("api_peer_keyfile", paths.apiPeerKeyfile),
      readOptional("api_peer_cafile", paths.apiPeerCafile),
      readOptional("api_peer_token_file", paths.apiPeerTokenFile),
    ]);
    const authorization = token === undefined ? {} : { authorization: `Bearer ${checkToken(token, paths)}` };
    const client = Deno.createHttpClient({
      ...(ca === undefined ? {} : { caCerts: [ca] }),
      ...(cert === undefined || key === undefined ? {} : { cert, key }),
    });
    const close = () => client.close();
    try {
      const response = await fetch(baseUrl + path, {
        client,
        signal,
        redirect: "error",
        headers: { ...headers, ...authorization },
      });
      if (response.body === null) {
        close();
        return response;
      }
      return new Response(closingAfter(response.body, close), response);
    } catch (error) {
      close();
      throw new Error(innermostMessage(error));
    }
  };
}

/** Passes a stream on, and calls `close` when it has ended or is canceled. */
function closingAfter(body: ReadableStream<Uint8Array>, close: () => void): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  return pulledFrom(reader, close, async (reason) => {
    await reader.cancel(reason);
    close();
  });
}

async function readOptional(option: string, path: string): Promise<string | undefined> {
  return path === "" ? undefined : await readNamed(option, path);
}

/** Checks that the file holds one token only: fetch would quote the rest, which is secret, in its error. */
function checkToken(text: string, { apiPeerTokenFile }: PeerCredentialPaths): string {
  const token = text.trim();
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new Error(`${apiPeerTokenFile}, the file that api_peer_token_file names, must hold one token and nothing else`);
}

/** The message of the innermost cause: fetch wraps the one that matters. */
function innermostMessage(error: unknown): string {
  let cause = error;
  while (cause instanceof Error && cause.cause !== undefined) cause = cause.cause;
  return cause instanceof Error ? cause.message : String(cause);
}
