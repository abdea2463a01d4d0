/**
 * Request bodies: bounded, UTF-8, and read as clients of fleet 1.0 rely on: bytes after the first JSON value are ignored.
 *
 * @module
 */

import { maxBody_bytes } from "./limits.ts";
import { Budget } from "../../../runtime/budget.ts";

/** The memory of all bodies that are being read; short ones do not count. */
const capacity_bytes = 64 * 1024 * 1024;
const short_bytes = 64 * 1024;

/** A body's value, or the HTTP status and the reason of its refusal. */
export type Body<T> = { readonly value: T } | BodyRefusal;

interface BodyRefusal {
  readonly code: 400 | 413 | 503;
  readonly refusal: string;
}

/** Reads bodies within a limit for all of them. */
export class BodyReader {
  readonly #budget = new Budget(capacity_bytes);

  /** Reads a body of at most `limit_bytes` to its end, from `pieces` if given, and returns its first JSON value. */
  async readJson(
    request: Request,
    pieces?: () => AsyncIterable<Uint8Array>,
    limit_bytes = maxBody_bytes,
  ): Promise<Body<unknown>> {
    let bytes: Uint8Array | BodyRefusal;
    try {
      bytes = await this.#read(pieces?.() ?? request.body ?? [], request.headers.get("content-length"), limit_bytes);
    } catch {
      // Reading fails only if the client disconnects in the middle of its body.
      return { code: 400, refusal: "unexpected EOF" };
    }
    if (!(bytes instanceof Uint8Array)) return bytes;
    let text: string;
    try {
      text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      return { code: 400, refusal: "invalid UTF-8" };
    }
    return firstJsonValue(text);
  }

  async #read(
    pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    announced: string | null,
    limit_bytes: number,
  ): Promise<Uint8Array | BodyRefusal> {
    if (announced !== null && Number(announced) > limit_bytes) return tooLong(limit_bytes);
    let bytes = new Uint8Array(announced === null ? short_bytes : Math.min(Number(announced), short_bytes));
    let length = 0;
    let release = () => {};
    try {
      for await (const piece of pieces) {
        const end = length + piece.length;
        if (end > limit_bytes) return tooLong(limit_bytes);
        if (end > bytes.length) {
          const larger = new Uint8Array(Math.min(limit_bytes, 2 * end));
          release();
          const taken = this.#budget.take(larger.length);
          if (!taken) return { code: 503, refusal: "too many long request bodies at once: try again" };
          release = taken;
          larger.set(bytes.subarray(0, length));
          bytes = larger;
        }
        bytes.set(piece, length);
        length = end;
      }
    } finally {
      release();
    }
    return bytes.subarray(0, length);
  }
}

function tooLong(limit_bytes: number): BodyRefusal {
  return { code: 413, refusal: `request body exceeds maximum length (${limit_bytes})` };
}

/** Parses the first JSON value (RFC 8259) of a text, whatever follows it. */
export function firstJsonValue(text: string): Body<unknown> {
  const whole = parse(text);
  if ("value" in whole) return whole;
  const start = text.search(/[^ \t\r\n]/);
  if (start < 0) return { code: 400, refusal: "EOF" };
  const end = endOfValue(text, start);
  if (end === undefined) return { code: 400, refusal: "unexpected EOF" };
  return end < text.length ? parse(text.slice(start, end)) : whole;
}

function parse(text: string): Body<unknown> {
  try {
    return { value: JSON.parse(text) };
  } catch (error) {
    if (error instanceof SyntaxError) return { code: 400, refusal: error.message };
    throw error;
  }
}

/** Returns the offset after the value that starts at `start`; undefined if the text ends before the value does. */
function endOfValue(text: string, start: number): number | undefined {
  const scalar = /[^ \t\r\n{}[\]",:]+/y;
  scalar.lastIndex = start;
  if (scalar.test(text)) return scalar.lastIndex;
  const token = /"[^"\\]*(?:\\.[^"\\]*)*"|[^"]/sy;
  token.lastIndex = start;
  let depth = 0;
  for (let found = token.exec(text); found !== null; found = token.exec(text)) {
    if ("{[".includes(found[0])) depth++;
    else if ("}]".includes(found[0])) depth--;
    if (depth <= 0) return token.lastIndex;
  }
  return undefined;
}
