/**
 * Bytes of a file as text. Pure.
 *
 * @module
 */

/**
 * Decodes UTF-8. A byte that is not part of valid UTF-8 becomes the lone surrogate U+DC00 + byte: a parser can find it
 * and report its line, and it is never mistaken for text.
 */
export function decodeText(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return escapeInvalid(bytes);
  }
}

/** Decodes byte by byte, which is slow and rarely needed. */
function escapeInvalid(bytes: Uint8Array): string {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const parts: string[] = [];
  for (let at = 0; at < bytes.length;) {
    const byte = bytes[at]!;
    const length = byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
    try {
      parts.push(decoder.decode(bytes.subarray(at, at + length)));
      at += length;
    } catch {
      parts.push(String.fromCharCode(0xdc00 + byte));
      at++;
    }
  }
  return parts.join("");
}
