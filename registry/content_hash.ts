/**
 * The hash of the content of attached files. It has a file of its own for the same reason as `unit_hash.ts`.
 *
 * @module
 */

import { createHash } from "node:crypto";
import type { ContentName } from "./attached_files.ts";

/** Returns the name of a content. */
export function nameContent(bytes: Uint8Array): ContentName {
  return { hash: createHash("sha256").update(bytes).digest("hex"), size_bytes: bytes.length };
}

/** Returns the bytes of a stored content; undefined if the text is not base64. */
export function decodeContent(base64: string): Uint8Array | undefined {
  try {
    return Uint8Array.fromBase64(base64);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
