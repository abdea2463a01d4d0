/**
 * Writes to the standard streams of the daemon. An adapter. Log lines are written by telemetry/log.ts.
 *
 * @module
 */

import { visible } from "../../runtime/visible.ts";

/** Writes lines to standard output, with other control characters as escapes. Returns 0, the exit status of success. */
export function writeOut(text: string): number {
  Deno.stdout.writeSync(encode(text));
  return 0;
}

/** Writes lines to standard error in the same way. */
export function writeError(text: string): void {
  Deno.stderr.writeSync(encode(text));
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text.split("\n").map(visible).join("\n"));
}
