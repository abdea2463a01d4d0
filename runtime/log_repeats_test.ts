import assert from "node:assert/strict";
import { ManualClock } from "../tests/support/manual_clock.ts";
import type { Log } from "./log.ts";
import { causeOf, withoutRepeats } from "./log_repeats.ts";

Deno.test("a cause that lasts is logged once, and then after growing pauses with how often it was left out", () => {
  const clock = new ManualClock();
  const lines: string[] = [];
  const log: Log = withoutRepeats(
    (_level, message, fields) => lines.push(`${message} ${JSON.stringify(fields)}`),
    clock,
  );
  for (let second = 0; second < 400; second++) {
    log("warn", `no answer after ${second}.5 s`, { endpoint: "a" });
    if (second === 10) log("warn", "no answer after 1 s", { endpoint: "b" });
    if (second === 20) log("info", "no answer after 1 s", { endpoint: "a" });
    clock.advance(1_000);
  }
  assert.deepEqual(lines, [
    'no answer after 0.5 s {"endpoint":"a"}',
    'no answer after 1 s {"endpoint":"b"}',
    'no answer after 1 s {"endpoint":"a"}',
    'no answer after 60.5 s {"endpoint":"a","repeated":59}',
    'no answer after 180.5 s {"endpoint":"a","repeated":119}',
  ]);
  clock.advance(3_600_000);
  log("warn", "no answer after 1 s", { endpoint: "a" });
  assert.equal(
    lines.at(-1),
    'no answer after 1 s {"endpoint":"a","repeated":219}',
    "it is logged at once when it comes again",
  );
});

Deno.test("causes: times, durations, leases and revisions make no difference, units, machines and ports do", () => {
  assert.equal(
    causeOf("failed (2026-11-28T08:36:19.143Z) after 0.020s: lease 12ab was lost at revision 7"),
    causeOf("failed (2026-12-01T00:00:00Z) after 3 ms: lease 99 was lost at revision 12"),
  );
  for (const [a, b] of [["web@1.service", "web@2.service"], ["10.0.0.1:2379", "10.0.0.1:2380"]]) {
    assert.notEqual(causeOf(`${a} failed`), causeOf(`${b} failed`));
  }
});
