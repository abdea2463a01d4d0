/**
 * Reads the JUnit report of `deno test`.
 *
 * @module
 */

export interface Counts {
  readonly passed: number;
  /** Failed, skipped, cancelled, or not even started. */
  readonly failed: number;
}

/**
 * Counts the cases of a report (steps are cases too). A skipped test is a failed one: nobody saw it hold. `code` is the
 * exit code of `deno test`: an error outside of any test, or a file that does not load, stands only there.
 */
export function countTests(report: string, code: number): Counts {
  let passed = 0, failed = 0;
  for (const [, attributes = "", body] of report.matchAll(/<testcase\b([^>]*?)(?:\/>|>(.*?)<\/testcase>)/gs)) {
    // Not chosen by --filter: Deno reports it as skipped too, but without a time.
    if (body?.includes("<skipped") && !attributes.includes(" time=")) continue;
    if (/<(failure|error|skipped)\b/.test(body ?? "")) failed++;
    else passed++;
  }
  if (failed === 0 && (code !== 0 || passed === 0)) failed = 1;
  return { passed, failed };
}
