/**
 * The shapes of all responses: JSON without a trailing newline, and errors as `{"error":{"code":N,"message":"..."}}`.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import type { ErrorEntity } from "../v1/types.ts";

/** Returns a response whose body is JSON text. As in fleet 1.0, `<`, `>` and `&` are escaped: no HTML can be smuggled in. */
export function jsonReply(text: string, code = 200): Response {
  return reply(code, "application/json", withoutHtml(text));
}

/** Returns a response without a body. Its length is announced, or node:http would send chunks; 204 must not have one. */
export function emptyReply(code: number, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(null, { status: code, headers: code === 204 ? headers : { ...headers, "Content-Length": "0" } });
}

/** Returns a response for people and probes rather than API clients. */
export function textReply(code: number, text: string): Response {
  return reply(code, "text/plain; charset=utf-8", text);
}

/** Returns a refusal or a failure; `message` says what was wrong. */
export function errorReply(code: number, message: string): Response {
  const entity: ErrorEntity = { error: { code, message: message.trim() || "no reason was given" } };
  return reply(code, "application/json", withoutHtml(JSON.stringify(entity)));
}

/** Returns a response whose length is announced, so that it is not sent in chunks. */
export function reply(
  code: number,
  contentType: string,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Readonly<Record<string, string>> = {},
): Response {
  const length = String(Buffer.byteLength(body));
  return new Response(body, {
    status: code,
    headers: { ...headers, "Content-Type": contentType, "Content-Length": length },
  });
}

/** Returns JSON text of the same meaning: these characters occur in strings only (RFC 8259). */
function withoutHtml(json: string): string {
  return json.replace(/[<>&\u2028\u2029]/g, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
