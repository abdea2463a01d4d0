/**
 * Answers the browser of this user with the cluster page and the API, through a client of the cluster. Pure.
 *
 * The page has this user's rights in the cluster, so no other user of this machine and no other page may use it: each
 * request for the API must have the key, which only this user is shown.
 *
 * @module
 */

import { timingSafeEqual } from "node:crypto";
import type { Send } from "./client.ts";

/** Headers of the API's responses that the browser needs. Others belong to the connection. */
const passed = [
  "content-type",
  "content-security-policy",
  "cross-origin-resource-policy",
  "x-content-type-options",
  "referrer-policy",
  "cache-control",
  "etag",
  "warning",
];

/** Answers of the browser's requests: `host` is where they arrive, `HOST:PORT`, and `key` must come with those for the API. */
export function pageProxy(send: Send, host: string, key: string): (request: Request) => Promise<Response> {
  const bearer = new TextEncoder().encode(`Bearer ${key}`);
  const hasKey = (request: Request) => {
    const shown = new TextEncoder().encode(request.headers.get("authorization") ?? "");
    return shown.length === bearer.length && timingSafeEqual(shown, bearer);
  };
  return async (request) => {
    const { pathname, search } = new URL(request.url);
    const origin = request.headers.get("origin");
    if (request.headers.get("host") !== host) return refusal(403, "this is not the address of the page");
    if (origin !== null && origin !== `http://${host}`) return refusal(403, "requests of other pages are refused");
    if (pathname === "/" || pathname === "/ui") {
      return new Response(null, { status: 302, headers: { location: "/ui/" } });
    }
    // Nothing else below /ui/: a server in between might decode `..%2f`, and any local user may ask for the page.
    const isPage = /^\/ui\/[a-z.]*$/.test(pathname) && request.method === "GET";
    if (!isPage && !pathname.startsWith("/fleet/v1/")) return refusal(404, "there is no such page");
    if (!isPage && !hasKey(request)) {
      return refusal(401, "open the page by the whole address that fleetctl ui has printed");
    }
    try {
      const answer = await send(pathname + search, {
        method: request.method,
        // Aborted when the browser closes its connection; a response that has begun ends with its body.
        signal: request.signal,
        ...isEndless(pathname) && { streaming: true },
        ...request.body && { body: await request.text() },
      });
      const headers = passed.flatMap((name): [string, string][] => {
        const value = answer.headers.get(name);
        return value === null ? [] : [[name, value]];
      });
      return new Response(answer.body, { status: answer.status, headers });
    } catch (error) {
      return refusal(502, error instanceof Error ? error.message : String(error));
    }
  };
}

/** True for a response that may have no end. */
function isEndless(path: string): boolean {
  return path === "/fleet/v1/events" || path.endsWith("/journal");
}

function refusal(code: number, message: string): Response {
  return Response.json({ error: { code, message } }, { status: code });
}
