/**
 * Reads the JUnit report of `deno test`.
 *
 * @module
 */

/** One case of a report that did not pass. */
export interface TestFailure {
  /** The test file and the test with its steps, as `./a_test.ts: test > step`. */
  readonly name: string;
  /** The error of the test with its stack, or the reason why the case counts as failed. */
  readonly reason: string;
}

export interface TestResults {
  readonly passed: number;
  /** Tests that failed, were skipped or canceled, or did not start. */
  readonly failures: readonly TestFailure[];
}

const entities: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

/** Returns the text that an XML attribute or element stands for. */
function unescapeXml(text: string): string {
  return text.replaceAll(/&(amp|lt|gt|quot|apos);/g, (whole, name: string) => entities[name] ?? whole)
    .replaceAll(
      /&#(?:x([0-9a-f]+)|(\d+));/gi,
      (_, hex, decimal) => String.fromCodePoint(hex === undefined ? Number(decimal) : Number.parseInt(hex, 16)),
    );
}

function attribute(attributes: string, name: string): string {
  return unescapeXml(new RegExp(`(?:^|\\s)${name}="([^"]*)"`).exec(attributes)?.[1] ?? "");
}

/** Returns the reason why a case did not pass; undefined if it passed. */
function failureReason(body: string): string | undefined {
  const [, kind, attributes = "", text = ""] = /<(failure|error|skipped)\b([^>]*?)(?:\/>|>(.*?)<\/\1>)/s.exec(body) ??
    [];
  if (kind === undefined) return undefined;
  return unescapeXml(text) || attribute(attributes, "message") || kind;
}

/**
 * Reads the cases of a report; steps are cases too. A skipped test counts as a failure, because nothing showed that it
 * holds. `code` is the exit code of `deno test`, which alone reports an error outside of all tests, or a file that does
 * not load.
 */
export function readReport(report: string, code: number): TestResults {
  let passed = 0;
  const failures: TestFailure[] = [];
  for (const [, attributes = "", body = ""] of report.matchAll(/<testcase\b([^>]*?)(?:\/>|>(.*?)<\/testcase>)/gs)) {
    // Not chosen by --filter: Deno reports it as skipped too, but without a time.
    if (body.includes("<skipped") && !attributes.includes(" time=")) continue;
    const reason = failureReason(body);
    if (reason === undefined) passed++;
    else failures.push({ name: `${attribute(attributes, "classname")}: ${attribute(attributes, "name")}`, reason });
  }
  if (failures.length === 0 && (code !== 0 || passed === 0)) {
    failures.push({ name: "deno test", reason: `exit code ${code} after ${passed} passed tests` });
  }
  return { passed, failures };
}

const reasonLines = 25;

/** Writes failures as lines of text, the reason of each cut to 25 lines. */
export function formatFailures(failures: readonly TestFailure[]): string {
  return failures.map(({ name, reason }) => {
    const lines = reason.trimEnd().split("\n");
    const cut = lines.length > reasonLines ? [`… ${lines.length - reasonLines} more lines`] : [];
    return [name, ...[...lines.slice(0, reasonLines), ...cut].map((line) => `    ${line}`)].join("\n");
  }).join("\n\n");
}
