/**
 * `/ui/`: the files of the cluster page. They are the same for every client; the page asks the API for everything else.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { emptyReply, reply } from "../http/responses.ts";
import { type Resource, resource } from "../router.ts";

/** The port to the files of the page. */
export interface PagePorts {
  /** Returns a file of the page; undefined if the page was not built. Without this port, there is no page. */
  readonly pageFile?: (name: string) => Promise<string | undefined>;
}

/** The files of the page by path, with their media types. */
const files: Readonly<Record<string, readonly [name: string, contentType: string]>> = {
  "/ui/": ["index.html", "text/html; charset=utf-8"],
  "/ui/main.js": ["main.js", "text/javascript; charset=utf-8"],
  "/ui/style.css": ["style.css", "text/css; charset=utf-8"],
  "/ui/icon.svg": ["icon.svg", "image/svg+xml"],
};

/**
 * The page loads nothing from elsewhere, contains no inline script, cannot be framed, and cannot turn text into markup
 * (Content Security Policy Level 3; Trusted Types). `unsafe-inline` of styles is for the heights of lists.
 */
const policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self'; " +
  "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
  "require-trusted-types-for 'script'; trusted-types 'none'";

const headers = {
  "Content-Security-Policy": policy,
  "Cross-Origin-Resource-Policy": "same-origin",
  "Referrer-Policy": "no-referrer",
  "X-Content-Type-Options": "nosniff",
  // A new version of fleetd has new files.
  "Cache-Control": "no-cache",
  "Vary": "Accept-Encoding",
};

/** A file as it is sent. */
interface Sent {
  readonly tag: string;
  readonly body: string | Uint8Array<ArrayBuffer>;
  readonly headers: Readonly<Record<string, string>>;
}

/** Returns the plain and the compressed form of a file, which have different entity tags (RFC 9110, 8.8.3.3). */
function formsOf(text: string): { readonly plain: Sent; readonly compressed: Sent } {
  const hash = createHash("sha256").update(text).digest("hex").slice(0, 32);
  const form = (tag: string, body: Sent["body"], more = {}): Sent => ({
    tag,
    body,
    headers: { ...headers, ...more, ETag: tag },
  });
  return {
    plain: form(`"${hash}"`, text),
    compressed: form(`"${hash}-gzip"`, new Uint8Array(gzipSync(text)), { "Content-Encoding": "gzip" }),
  };
}

/** Returns the routes of the page. */
export function pageRoutes({ pageFile }: PagePorts): [string, Resource][] {
  if (!pageFile) return [];
  const routes = Object.entries(files).map(([path, [name, contentType]]): [string, Resource] => {
    let known: { readonly text: string; readonly forms: ReturnType<typeof formsOf> } | undefined;
    const get = async (request: Request) => {
      const text = await pageFile(name);
      if (text === undefined) return reply(404, "text/plain; charset=utf-8", notBuilt);
      if (known?.text !== text) known = { text, forms: formsOf(text) };
      const accepted = request.headers.get("accept-encoding") ?? "";
      const { tag, body, headers } =
        known.forms[/\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))/.test(accepted) ? "compressed" : "plain"];
      if (request.headers.get("if-none-match") === tag) return emptyReply(304, headers);
      return reply(200, contentType, body, headers);
    };
    return [path, { ...resource({ GET: ({ request }) => get(request) }), isLocal: true }];
  });
  const moved = () => reply(301, "text/plain; charset=utf-8", "/ui/\n", { Location: "/ui/" });
  return [...routes, ["/ui", { ...resource({ GET: moved }), isLocal: true }]];
}

const notBuilt = "fleetd was started without the page: build it by `deno task build`\n";
