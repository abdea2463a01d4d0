import assert from "node:assert/strict";
import { type Clock, jittered_ms, longestRetry_ms, retryDelay_ms } from "./clock.ts";

/** A clock whose random numbers are evenly spread over `count` calls. */
function evenly(count: number): Clock {
  let next = 0;
  return { random: () => next++ % count / count } as unknown as Clock;
}

/** The greatest number of daemons that come back within 100 ms of each other. */
function crowd(delays: readonly number[]): number {
  return Math.max(...delays.map((from) => delays.filter((delay) => delay >= from && delay < from + 100).length));
}

const pauses = (failures: number, longest_ms?: number) => {
  const clock = evenly(500);
  return Array.from({ length: 500 }, () => retryDelay_ms(clock, failures, longest_ms));
};

Deno.test("a store that was away for a moment is noticed within 350 ms, whatever is read from it", () => {
  for (const longest_ms of [undefined, ...Object.values(longestRetry_ms)]) {
    const delays = pauses(0, longest_ms);
    assert.ok(Math.min(...delays) >= 150 && Math.max(...delays) <= 350);
  }
});

Deno.test("a small read is tried every 350 ms at least, however long the outage", () => {
  assert.ok(Math.max(...pauses(1_000)) <= 350);
});

Deno.test("after an outage of all daemons, reads of the whole store are spread over two seconds", () => {
  const delays = pauses(6, longestRetry_ms.ofWholeStore);
  assert.ok(Math.max(...delays) > 1_900 && Math.max(...delays) <= 2_000);
  assert.ok(crowd(delays) <= 500 / 16, `${crowd(delays)} of 500 within 100 ms`);
  assert.ok(crowd(pauses(6, longestRetry_ms.ofPresence)) <= 500 / 8);
});

Deno.test("timers that began together drift apart, and none is late", () => {
  const clock = evenly(100);
  const intervals = Array.from({ length: 100 }, () => jittered_ms(clock, 10_000));
  assert.ok(Math.max(...intervals) <= 10_000 && Math.min(...intervals) > 8_999);
  assert.ok(crowd(intervals) <= 11);
});
