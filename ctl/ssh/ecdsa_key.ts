/**
 * Converts ECDSA keys into the form that Deno accepts. Pure.
 *
 * @module
 */

import { Buffer } from "node:buffer";

/** Length of a private key in bytes (RFC 5915, section 3). */
const scalarLengths: Readonly<Record<string, number>> = {
  "ecdsa-sha2-nistp256": 32,
  "ecdsa-sha2-nistp384": 48,
  "ecdsa-sha2-nistp521": 66,
};

/**
 * Returns the PEM text of an `ECPrivateKey` (RFC 5915) whose private key has exactly the length that its curve requires.
 * ssh2 copies the private key from OpenSSH's format, where it is a number that may have an additional leading zero byte or
 * lack leading zeros. Deno's node:crypto refuses such lengths, which more than half of all keys have. Undefined if the type
 * is not that of an ECDSA key.
 */
export function ecdsaPem(type: string, pem: string): string | undefined {
  const length = Object.hasOwn(scalarLengths, type) ? scalarLengths[type]! : undefined;
  if (length === undefined) return undefined;
  const [label, ...lines] = pem.trim().split("\n");
  const end = lines.pop();
  const content = readElement(Buffer.from(lines.join(""), "base64"), 0).content;
  const version = readElement(content, 0);
  const scalar = readElement(content, version.end);
  const significant = scalar.content.subarray(scalar.content.findIndex((byte) => byte !== 0));
  const exact = Buffer.concat([Buffer.alloc(Math.max(0, length - significant.length)), significant]);
  const key = element(0x30, [content.subarray(0, version.end), element(0x04, [exact]), content.subarray(scalar.end)]);
  return [label, ...key.toString("base64").match(/.{1,64}/g)!, end, ""].join("\n");
}

/** Reads an element in DER (X.690): a tag, the length of its content in one byte or several, and the content. */
function readElement(bytes: Buffer, start: number): { readonly content: Buffer; readonly end: number } {
  const first = bytes.readUInt8(start + 1);
  const more = first < 0x80 ? 0 : first & 0x7f;
  const length = more === 0 ? first : bytes.readUIntBE(start + 2, more);
  const from = start + 2 + more;
  return { content: bytes.subarray(from, from + length), end: from + length };
}

function element(tag: number, parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  const length = content.length < 0x80
    ? [content.length]
    : content.length < 0x100
    ? [0x81, content.length]
    : [0x82, content.length >> 8, content.length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...length]), content]);
}
