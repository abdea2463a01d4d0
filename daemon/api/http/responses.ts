/**
 * The shapes every answer has: JSON without a trailing newline, and errors as `{"error":{"code":N,"message":"..."}}`.
 *
 * @module
 */

import type { ErrorEntity } from "../v1/types.ts";

const jsonHeaders = { "Content-Type": "application/json" };

/** An answer whose body is JSON text. As in fleet 1.0, `<`, `>` and `&` are escaped: HTML cannot be smuggled in. */
export function jsonReply(text: string): Response {
  return new Response(withoutHtml(text), { status: 200, headers: jsonHeaders });
}

/** An answer without a body. But for 204, which has none by itself, its length is told: else an end of chunks would be sent. */
export function emptyReply(code: number, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(null, { status: code, headers: code === 204 ? headers : { ...headers, "Content-Length": "0" } });
}

/** An answer for people and probes rather than API clients. */
export function textReply(code: number, text: string): Response {
  return new Response(text, { status: code, headers: { "Content-Type": "text/plain; charset=utf-8" } });
}

/** A refusal or failure; both keys are always there, and the message says what was wrong. */
export function errorReply(code: number, message: string): Response {
  const entity: ErrorEntity = { error: { code, message: message.trim() || "no reason was given" } };
  return new Response(withoutHtml(JSON.stringify(entity)), { status: code, headers: jsonHeaders });
}

/** JSON text of the same meaning, in which these characters are in strings only (RFC 8259). */
function withoutHtml(json: string): string {
  return json.replace(/[<>&\u2028\u2029]/g, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
