/**
 * The hash of a unit file's content. It has a file of its own, because loading node:crypto takes longer than most
 * commands of fleetctl.
 *
 * @module
 */

import { createHash } from "node:crypto";

/** Returns the SHA-1 of a text's UTF-8 bytes, as 40 lower-case hexadecimal digits. `text`: from `serializeUnitFile`. */
export function hashUnitFile(text: string): string {
  return createHash("sha1").update(text, "utf8").digest("hex");
}
