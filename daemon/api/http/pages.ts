/**
 * Pages of a list, and the tokens that identify them.
 *
 * A token is the page size and the page's number (from 1), both unsigned 16-bit little-endian, and, after a mark, the
 * key of the last entry of the page before, in padded URL-safe base64 (RFC 4648, section 5). A token of fleet 1.0 has
 * size and number only, and is read by its number; fleet 1.0 reads a token of ours in the same way.
 *
 * @module
 */

const maxPage = 0xffff;

/** A page ends with the entry that makes it longer than this, in characters: long unit files make shorter pages. */
const maxText = 1024 * 1024;

/** The mark before the key; anything else after the number is ignored. */
const mark = ">";

/** One page of a list. */
export interface Page {
  readonly size: number;
  readonly number: number;
  /** The page begins after this key, if known: entries that come and go meanwhile neither hide nor repeat others. */
  readonly after?: string;
}

/** Reads `nextPageToken`; without one, the page is the first. `size` is the configured page size. */
export function requestedPage(query: URLSearchParams, size: number): Page | { readonly refusal: string } {
  const tokens = query.getAll("nextPageToken");
  if (tokens.length > 1) return { refusal: "too many values for page token" };
  const token = tokens[0];
  if (token === undefined) return { size, number: 1 };
  const bytes = decodeBase64(token);
  if (!bytes) return { refusal: "illegal base64 data" };
  if (bytes.length === 0) return { refusal: "EOF" };
  if (bytes.length < 4) return { refusal: "unexpected EOF" };
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  if (view.getUint16(0, true) !== size) return { refusal: `token limit must be ${size}` };
  const number = view.getUint16(2, true);
  if (number === 0) return { refusal: "token page must be greater than zero" };
  const rest = new TextDecoder().decode(bytes.subarray(4));
  return { size, number, ...(rest.startsWith(mark) ? { after: rest.slice(mark.length) } : {}) };
}

/** Returns the token of a page. */
export function pageToken({ size, number, after }: Page): string {
  const key = new TextEncoder().encode(after === undefined ? "" : mark + after);
  const bytes = new Uint8Array(4 + key.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, size, true);
  view.setUint16(2, number, true);
  bytes.set(key, 4);
  return bytes.toBase64(base64Url);
}

/** The key and text of each entry of a list. */
export interface Entries<T> {
  /** Returns a unique key; the list is sorted by it, by code units. */
  readonly key: (item: T) => string;
  /** Returns the entry as JSON text. */
  readonly text: (item: T) => string;
}

/** Returns the JSON text of one page: `{"<name>":[...],"nextPageToken":"..."}`, keys in alphabetical order, `{}` if it is empty. */
export function pageText<T>(name: string, all: readonly T[], page: Page, { key, text }: Entries<T>): string {
  const { size, number, after } = page;
  const start = after === undefined ? (number - 1) * size : indexAfter(all, key, after);
  const texts: string[] = [];
  let length = 0;
  for (const item of all.slice(start, start + size)) {
    if (length > maxText) break;
    const itemText = text(item);
    texts.push(itemText);
    length += itemText.length;
  }
  const last = texts.length > 0 ? all[start + texts.length - 1] : undefined;
  if (last === undefined) return "{}";
  const list = `"${name}":[${texts.join(",")}]`;
  if (start + texts.length >= all.length) return `{${list}}`;
  const token = pageToken({ size, number: Math.min(number + 1, maxPage), after: key(last) });
  const next = `"nextPageToken":"${token}"`;
  return name < "nextPageToken" ? `{${list},${next}}` : `{${next},${list}}`;
}

/** Returns the index of the first entry whose key is greater; the list's length if there is none. */
function indexAfter<T>(all: readonly T[], key: (item: T) => string, after: string): number {
  let [low, high] = [0, all.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (key(all[middle] as T) > after) high = middle;
    else low = middle + 1;
  }
  return low;
}

const base64Url = { alphabet: "base64url", lastChunkHandling: "strict" } as const;

/** Decodes padded URL-safe base64; undefined if the text is something else. */
function decodeBase64(text: string): Uint8Array | undefined {
  try {
    return Uint8Array.fromBase64(text, base64Url);
  } catch {
    return undefined;
  }
}
