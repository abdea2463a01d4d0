/**
 * Bearer tokens: their names and roles. Only their hashes are kept. Pure.
 *
 * A line of the tokens file is `ROLE NAME sha256:HEX`: `read` or `write`, a name for the log, and the SHA-256 of the
 * token in hexadecimal (`printf %s "$token" | sha256sum`). Tokens are random, so a plain hash is enough: no dictionary
 * helps against it. Empty lines and lines that begin with `#` are ignored.
 *
 * @module
 */

import { createHash, timingSafeEqual } from "node:crypto";

/** `read`: GET only. `write`: everything. */
export type Role = "read" | "write";

/** The holder of a token. */
export interface TokenHolder {
  readonly name: string;
  readonly role: Role;
}

interface Entry extends TokenHolder {
  readonly digest: Uint8Array;
}

/** The limit of tokens per file; each costs a comparison per request. */
const maxTokens = 1000;

/** The longest token, in characters; a longer one is not even hashed. */
const maxToken = 1024;

/** The tokens of one file. */
export class Tokens {
  private constructor(private readonly entries: readonly Entry[]) {}

  /** Parses the text of a tokens file. Throws an error that names the line, and never quotes it. */
  static parse(text: string): Tokens {
    const entries: Entry[] = [];
    for (const [index, line] of text.split("\n").entries()) {
      const words = line.trim().split(/\s+/);
      if (words[0] === "" || words[0]?.startsWith("#")) continue;
      const [role, name, hash, ...rest] = words;
      const [, hex] = /^sha256:([0-9a-f]{64})$/i.exec(hash ?? "") ?? [];
      if ((role !== "read" && role !== "write") || name === undefined || hex === undefined || rest.length > 0) {
        throw new Error(`line ${index + 1}: expected "read NAME sha256:HEX" or "write NAME sha256:HEX"`);
      }
      entries.push({ role, name, digest: Uint8Array.fromHex(hex) });
    }
    if (entries.length > maxTokens) throw new Error(`${entries.length} tokens, ${maxTokens} at most`);
    return new Tokens(entries);
  }

  /**
   * Returns the holder of a token. It takes the same time for every token, known or not: all hashes are compared, in
   * constant time each.
   */
  holder(token: string): TokenHolder | undefined {
    if (token.length > maxToken) return undefined;
    const digest = createHash("sha256").update(token).digest();
    let found: Entry | undefined;
    for (const entry of this.entries) if (timingSafeEqual(entry.digest, digest)) found = entry;
    return found && { name: found.name, role: found.role };
  }
}
