import assert from "node:assert/strict";
import { ManualClock } from "../tests/support/manual_clock.ts";
import { fieldText, type Log } from "./log.ts";
import { causeOf, limitRepeats } from "./log_repeats.ts";

/** A limiter on a clock that a test moves, and the lines that it has let through. */
function start() {
  const clock = new ManualClock();
  const lines: string[] = [];
  const write: Log = (_level, message, fields) => {
    const { last, ...rest } = fields ?? {};
    lines.push(`${message} ${fieldText(rest)}${last === undefined ? "" : " later"}`);
  };
  const advance = async (duration_ms: number) => {
    clock.advance(duration_ms);
    await ManualClock.settle();
  };
  return { clock, lines, advance, ...limitRepeats(write, clock) };
}

Deno.test("a lasting cause is logged once, and then after growing pauses with the number of its lines", async () => {
  const { log, lines, clock } = start();
  for (let second = 0; second < 400; second++) {
    log("warn", `no answer after ${second}.5 s`, { endpoint: "a" });
    if (second === 10) log("warn", "no answer after 1 s", { endpoint: "b" });
    if (second === 20) log("info", "no answer after 1 s", { endpoint: "a" });
    clock.advance(1_000);
    await Promise.resolve();
  }
  assert.deepEqual(lines, [
    'no answer after 0.5 s {"endpoint":"a"}',
    'no answer after 1 s {"endpoint":"b"}',
    'no answer after 1 s {"endpoint":"a"}',
    'no answer after 59.5 s {"endpoint":"a","repeated":59} later',
    'no answer after 179.5 s {"endpoint":"a","repeated":120} later',
  ]);
});

Deno.test("the last count of a cause that ends is written when its pause is over, with the time of the last line", async () => {
  const clock = new ManualClock();
  const written: unknown[] = [];
  const { log } = limitRepeats((...line) => written.push(line), clock);
  log("error", "no answer");
  clock.advance(7_000);
  const last = new Date(clock.now_ms()).toISOString();
  log("error", "no answer");
  log("error", "no answer");
  clock.advance(53_000);
  await ManualClock.settle();
  assert.deepEqual(written, [["error", "no answer", {}], ["error", "no answer", { repeated: 2, last }]]);
  clock.advance(10 * 3_600_000);
  await ManualClock.settle();
  assert.equal(written.length, 2, "nothing is written while nothing comes");
});

Deno.test("a cause that has stayed away for two more pauses is new, and its next pause is short again", async () => {
  const { log, lines, advance } = start();
  log("warn", "away");
  log("warn", "away");
  await advance(60_000);
  await advance(3 * 120_000);
  log("warn", "away");
  log("warn", "away");
  await advance(60_000);
  assert.deepEqual(lines, ["away {}", "away {} later", "away {}", "away {} later"]);
});

Deno.test("counts that are due are written when the limiter is closed, and when a cause is forgotten", async () => {
  const { log, lines, close, advance } = start();
  log("warn", "away");
  log("warn", "away");
  for (let unit = 0; unit < 200; unit++) log("warn", `unit ${unit}`);
  assert.deepEqual(lines.filter((line) => line.startsWith("away")), ["away {}", "away {} later"]);
  log("warn", "unit 199");
  close();
  assert.equal(lines.at(-1), "unit 199 {} later");
  const count = lines.length;
  await advance(3_600_000);
  assert.equal(lines.length, count);
});

Deno.test("errors and bigints in fields are part of the cause", () => {
  const { log, lines } = start();
  for (const error of [new Error("refused"), new Error("reset"), new Error("refused"), 7n, 8n, 7n]) {
    log("warn", "no answer", { error });
    log("warn", "no answer", { nested: { error } });
  }
  assert.equal(lines.length, 8);
});

const same: readonly (readonly [string, string, string])[] = [
  ["times and durations", "(2026-11-28T08:36:19.143Z) after 0.020s", "(2026-12-01T00:00:00Z) after 3 ms"],
  ["leases and revisions", "lease 12ab was lost at revision 7", "lease 99 was lost at revision 12"],
  ["ports of outgoing connections", "read 10.0.0.1:2379 from 10.0.0.2:40312", "read 10.0.0.1:2379 from 10.0.0.2:60999"],
  ["ports of outgoing connections over IPv6", "from [fd00::2]:40312", "from [fd00::2]:50312"],
];
for (const [what, a, b] of same) {
  Deno.test(`${what} do not make a cause another one`, () => assert.equal(causeOf(a), causeOf(b)));
}

const different: readonly (readonly [string, string, string])[] = [
  ["units", "web@1.service failed", "web@2.service failed"],
  ["addresses", "10.0.0.1:40312 failed", "10.0.0.2:40312 failed"],
  ["ports of configured endpoints", "10.0.0.1:2379 failed", "10.0.0.1:22379 failed"],
];
for (const [what, a, b] of different) {
  Deno.test(`other ${what} are other causes`, () => assert.notEqual(causeOf(a), causeOf(b)));
}
