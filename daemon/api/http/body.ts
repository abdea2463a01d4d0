/**
 * Request bodies: bounded, UTF-8, and read the way clients of the original rely on. Only the first JSON value
 * counts.
 *
 * @module
 */

/** Longest body that is read: many times the longest unit file. */
export const maxBody_bytes = 1024 * 1024;

/** Memory for bodies that are being read, all together; short ones do not count. */
const maxBodies_bytes = 64 * 1024 * 1024;
const short_bytes = 64 * 1024;

/** What could be made of a body, or why nothing could, with the HTTP status that says so. */
export type Body<T> = { readonly value: T } | { readonly code: 400 | 413 | 503; readonly refusal: string };

/** Reads bodies, and sees to it that many at once do not take all memory. */
export class BodyBudget {
  #held_bytes = 0;

  /** Reads a body to its end, as it comes from `pieces` if it does, and gives its first JSON value. */
  async readJson(request: Request, pieces?: () => AsyncIterable<Uint8Array>): Promise<Body<unknown>> {
    let bytes: Uint8Array | Exclude<Body<never>, { value: never }>;
    try {
      bytes = await this.#read(pieces?.() ?? request.body ?? [], request.headers.get("content-length"));
    } catch {
      // Only a client that leaves in the middle of its body makes it fail.
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
  ): Promise<Uint8Array | Exclude<Body<never>, { value: never }>> {
    if (announced !== null && Number(announced) > maxBody_bytes) return tooLong;
    const isShort = announced !== null && Number(announced) <= short_bytes;
    let bytes = new Uint8Array(isShort ? Number(announced) : short_bytes);
    let length = 0;
    try {
      for await (const piece of pieces) {
        const at = length;
        length += piece.length;
        if (!isShort) this.#held_bytes += piece.length;
        if (length > maxBody_bytes) return tooLong;
        if (this.#held_bytes > maxBodies_bytes) {
          return { code: 503, refusal: "too many long request bodies at once: try again" };
        }
        if (length > bytes.length) {
          const larger = new Uint8Array(Math.min(maxBody_bytes, 2 * length));
          larger.set(bytes.subarray(0, at));
          bytes = larger;
        }
        bytes.set(piece, at);
      }
    } finally {
      if (!isShort) this.#held_bytes -= length;
    }
    return bytes.subarray(0, length);
  }
}

const tooLong = { code: 413, refusal: `request body exceeds maximum length (${maxBody_bytes})` } as const;

/** The first JSON value (RFC 8259) of a text; whatever follows it is not looked at. */
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

/** Just behind the value that starts at `start`, if the text goes that far. */
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
