import assert from "node:assert/strict";
import { countTests } from "./test_report.ts";

const report = (...cases: string[]) =>
  `<?xml version="1.0"?>\n<testsuites><testsuite name="./a_test.ts">\n${cases.join("\n")}\n</testsuite></testsuites>`;
const good = `<testcase name="good &gt; step" classname="./a_test.ts" line="1">\n</testcase>`;
const selfClosed = `<testcase name="good" classname="./a_test.ts" line="1"/>`;
const bad = `<testcase name="bad" line="1">\n<failure message="x">Error: x\n  &lt;testcase&gt;</failure>\n</testcase>`;
const skipped = `<testcase name="left out" time="0.000" line="1">\n<skipped/>\n</testcase>`;
const filteredOut = `<testcase name="not asked for" line="1">\n<skipped/>\n</testcase>`;
const cancelled = `<testcase name="cut off" line="1">\n<error message="Cancelled"/>\n</testcase>`;

const cases = [
  { name: "all good", report: report(good, selfClosed, good), code: 0, expected: { passed: 3, failed: 0 } },
  { name: "one bad", report: report(good, bad, selfClosed), code: 1, expected: { passed: 2, failed: 1 } },
  { name: "skipped counts as failed", report: report(good, skipped), code: 0, expected: { passed: 1, failed: 1 } },
  { name: "not chosen by --filter", report: report(good, filteredOut), code: 0, expected: { passed: 1, failed: 0 } },
  { name: "cancelled counts as failed", report: report(good, cancelled), code: 1, expected: { passed: 1, failed: 1 } },
  { name: "a file that did not load", report: report(good), code: 1, expected: { passed: 1, failed: 1 } },
  { name: "no test at all", report: report(), code: 0, expected: { passed: 0, failed: 1 } },
  { name: "no report", report: "", code: 1, expected: { passed: 0, failed: 1 } },
];

for (const { name, report, code, expected } of cases) {
  Deno.test(`test report: ${name}`, () => assert.deepEqual(countTests(report, code), expected));
}
