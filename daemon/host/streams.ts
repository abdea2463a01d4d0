/**
 * Writes to the standard streams of the daemon. An adapter. Log lines are written by telemetry/log.ts.
 *
 * @module
 */

/** Writes to standard output. Returns 0, the exit status of success. */
export function writeOut(text: string): number {
  Deno.stdout.writeSync(new TextEncoder().encode(text));
  return 0;
}

/** Writes to standard error. */
export function writeError(text: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(text));
}
