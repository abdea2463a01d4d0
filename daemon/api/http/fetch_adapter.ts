/**
 * Converts requests and responses between node:http and the Fetch API. Pure: it opens no socket.
 *
 * @module
 */

import type { IncomingMessage, ServerResponse } from "node:http";

/** Methods of node:http that the Fetch API forbids (Fetch standard, "forbidden method"). */
export const forbiddenMethods: ReadonlySet<string | undefined> = new Set(["CONNECT", "TRACE", "TRACK"]);

/**
 * Returns the method and headers of a request. Its target and body are not converted: a URL cannot hold every target
 * (`\` in unit names, `*`), and a stream costs an object and a promise for each piece that a client chooses to send.
 * `signal` becomes the request's own; it should abort when the client disconnects.
 */
export function toRequest({ method = "GET", rawHeaders }: IncomingMessage, signal: AbortSignal): Request {
  const headers = new Headers();
  for (let index = 0; index < rawHeaders.length; index += 2) {
    headers.append(rawHeaders[index] as string, rawHeaders[index + 1] as string);
  }
  return new Request("http://localhost/", { method, headers, signal });
}

/**
 * Writes a response as fast as the client takes it. Resolves when everything is written or the client has disconnected,
 * which cancels the body. Rejects, with the connection closed, if reading the body fails: the client must not mistake what
 * it has for the whole response.
 */
export async function writeResponse(response: Response, outgoing: ServerResponse): Promise<void> {
  outgoing.writeHead(response.status, [...response.headers].flatMap(([name, value]) => [usualCase(name), value]));
  // A body of known length is in memory already, and is sent in one packet with the headers.
  if (response.headers.has("content-length")) return void outgoing.end(await response.bytes());
  const reader = response.body?.getReader();
  if (!reader) return void outgoing.end();
  if (outgoing.destroyed) return await reader.cancel();
  let resume = () => {};
  let canceled: Promise<void> | undefined;
  const disconnect = () => {
    canceled = reader.cancel();
    resume();
  };
  outgoing.once("close", disconnect);
  outgoing.on("drain", () => resume());
  // A stream may begin long after its headers.
  outgoing.flushHeaders();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (!outgoing.write(value) && !outgoing.destroyed) await new Promise<void>((resolve) => resume = resolve);
    }
  } catch (error) {
    outgoing.off("close", disconnect);
    outgoing.destroy();
    throw error;
  }
  if (canceled) await canceled;
  else outgoing.end();
}

/** Returns a header's name as fleet 1.0 writes it, which scripts look for: `Content-Type`, not `content-type`. */
function usualCase(name: string): string {
  return name.replace(/(?<=^|-)[a-z]/g, (letter) => letter.toUpperCase());
}
