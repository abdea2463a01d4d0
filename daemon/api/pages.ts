/**
 * Pages of a list, and the tokens that name them.
 *
 * A token is four bytes, the page size and the page's number (from 1), both unsigned 16-bit little-endian, in padded
 * URL-safe base64 (RFC 4648, section 5).
 *
 * @module
 */

const maxPage = 0xffff;

/** Which page is asked for. */
export type PageRequest = { readonly page: number } | { readonly refusal: string };

/** Reads `nextPageToken`; without one it is the first page. `size` is the configured page size. */
export function requestedPage(query: URLSearchParams, size: number): PageRequest {
  const tokens = query.getAll("nextPageToken");
  if (tokens.length > 1) return { refusal: "too many values for page token" };
  const token = tokens[0];
  if (token === undefined) return { page: 1 };
  const decoded = decodeBase64(token);
  if ("illegalAt" in decoded) return { refusal: `illegal base64 data at input byte ${decoded.illegalAt}` };
  const { bytes } = decoded;
  if (bytes.length === 0) return { refusal: "EOF" };
  if (bytes.length < 4) return { refusal: "unexpected EOF" };
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  if (view.getUint16(0, true) !== size) return { refusal: `token limit must be ${size}` };
  const page = view.getUint16(2, true);
  return page === 0 ? { refusal: "token page must be greater than zero" } : { page };
}

/** The token of a page. */
export function pageToken(size: number, page: number): string {
  const bytes = new Uint8Array(4);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, size, true);
  view.setUint16(2, page, true);
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_");
}

/** The JSON text of one page: `{"<items>":[...],"nextPageToken":"..."}`, keys in alphabetical order, `{}` if it is empty. */
export function pageText<T>(
  key: string,
  all: readonly T[],
  { page, size }: { readonly page: number; readonly size: number },
  render: (item: T) => string,
): string {
  const start = (page - 1) * size;
  const items = all.slice(start, start + size);
  if (items.length === 0) return "{}";
  const hasNext = start + size < all.length && page < maxPage;
  const list = `"${key}":[${items.map(render).join(",")}]`;
  if (!hasNext) return `{${list}}`;
  const next = `"nextPageToken":"${pageToken(size, page + 1)}"`;
  return key < "nextPageToken" ? `{${list},${next}}` : `{${next},${list}}`;
}

/**
 * Decodes padded URL-safe base64; carriage returns and line feeds are skipped. Offsets of illegal input are those that
 * clients of the original see.
 */
function decodeBase64(text: string): { readonly bytes: Uint8Array } | { readonly illegalAt: number } {
  const input = new TextEncoder().encode(text);
  const offsets = [...input.keys()].filter((at) => input[at] !== 0x0d && input[at] !== 0x0a);
  const digits: number[] = [];
  for (const at of offsets) {
    const digit = digitOf(input[at] as number);
    if (digit === undefined) break;
    digits.push(digit);
  }
  const rest = digits.length % 4;
  if (digits.length === offsets.length) {
    return rest === 0 ? { bytes: bytesOf(digits) } : { illegalAt: input.length - rest };
  }
  const pad = (index: number) => input[offsets[index] ?? -1] === 0x3d;
  if (!pad(digits.length) || rest < 2) return { illegalAt: offsets[digits.length] as number };
  if (rest === 2 && !pad(digits.length + 1)) {
    const next = offsets[digits.length + 1];
    return { illegalAt: next === undefined ? input.length : next - 1 };
  }
  const beyond = offsets[digits.length + 4 - rest];
  return beyond === undefined ? { bytes: bytesOf(digits) } : { illegalAt: beyond };
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

function digitOf(byte: number): number | undefined {
  const digit = alphabet.indexOf(String.fromCharCode(byte));
  return digit < 0 ? undefined : digit;
}

/** Six bits a digit; bits that do not fill a byte are dropped. */
function bytesOf(digits: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(Math.floor(digits.length * 6 / 8));
  let bits = 0;
  let buffered = 0;
  let length = 0;
  for (const digit of digits) {
    bits = (bits << 6 | digit) & 0xffff;
    buffered += 6;
    if (buffered < 8) continue;
    buffered -= 8;
    bytes[length++] = bits >> buffered & 0xff;
  }
  return bytes;
}
