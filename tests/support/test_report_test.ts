import assert from "node:assert/strict";
import { formatFailures, readReport } from "./test_report.ts";

const report = (...cases: string[]) =>
  `<?xml version="1.0"?>\n<testsuites><testsuite name="./a_test.ts">\n${cases.join("\n")}\n</testsuite></testsuites>`;
const good = `<testcase name="good &gt; step" classname="./a_test.ts" line="1">\n</testcase>`;
const selfClosed = `<testcase name="good" classname="./a_test.ts" line="1"/>`;
const bad = `<testcase name="bad" line="1">\n<failure message="x">Error: x\n  &lt;testcase&gt;</failure>\n</testcase>`;
const skipped = `<testcase name="left out" time="0.000" line="1">\n<skipped/>\n</testcase>`;
const filteredOut = `<testcase name="not asked for" line="1">\n<skipped/>\n</testcase>`;
const canceled = `<testcase name="cut off" line="1">\n<error message="Cancelled"/>\n</testcase>`;

const cases = [
  { name: "all good", report: report(good, selfClosed, good), code: 0, expected: { passed: 3, failed: 0 } },
  { name: "one bad", report: report(good, bad, selfClosed), code: 1, expected: { passed: 2, failed: 1 } },
  { name: "skipped counts as failed", report: report(good, skipped), code: 0, expected: { passed: 1, failed: 1 } },
  { name: "not chosen by --filter", report: report(good, filteredOut), code: 0, expected: { passed: 1, failed: 0 } },
  { name: "canceled counts as failed", report: report(good, canceled), code: 1, expected: { passed: 1, failed: 1 } },
  { name: "a file that did not load", report: report(good), code: 1, expected: { passed: 1, failed: 1 } },
  { name: "no test at all", report: report(), code: 0, expected: { passed: 0, failed: 1 } },
  { name: "no report", report: "", code: 1, expected: { passed: 0, failed: 1 } },
];

for (const { name, report, code, expected } of cases) {
  Deno.test(`test report: ${name}`, () => {
    const { passed, failures } = readReport(report, code);
    assert.deepEqual({ passed, failed: failures.length }, expected);
  });
}

Deno.test("test report: a failure has its file, its test and its error", () => {
  const thrown = `<testcase name="a &amp; b &gt; step" classname="./a_test.ts" time="0.001">
    <failure message="Uncaught Error: bad">Error: bad &quot;thing&quot;&#10;    at file:///a_test.ts:1:81</failure></testcase>`;
  const left = `<testcase name="left out" classname="./a_test.ts" time="0.000"><skipped/></testcase>`;
  assert.deepEqual(readReport(report(thrown, left), 1).failures, [
    { name: "./a_test.ts: a & b > step", reason: 'Error: bad "thing"\n    at file:///a_test.ts:1:81' },
    { name: "./a_test.ts: left out", reason: "skipped" },
  ]);
});

Deno.test("test report: long reasons of failures are cut", () => {
  const reason = Array.from({ length: 27 }, (_, line) => `line ${line}`).join("\n");
  const lines = formatFailures([{ name: "x", reason }, { name: "y", reason: "short" }]).split("\n");
  assert.deepEqual([lines[0], lines[25], lines[26], ...lines.slice(27)], [
    "x",
    "    line 24",
    "    … 2 more lines",
    "",
    "y",
    "    short",
  ]);
});
