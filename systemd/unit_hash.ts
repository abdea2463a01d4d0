/**
 * The hash that names a unit file's content. Apart from the rest of unit files, since loading node:crypto takes longer
 * than most of what fleetctl does.
 *
 * @module
 */

import { createHash } from "node:crypto";

/** SHA-1 of a text's UTF-8 bytes, 40 lower-case hexadecimal digits. Give it what `serializeUnitFile` returned. */
export function hashUnitFile(text: string): string {
  return createHash("sha1").update(text, "utf8").digest("hex");
}
