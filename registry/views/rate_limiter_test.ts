import assert from "node:assert/strict";
import { ManualClock } from "../../tests/support/manual_clock.ts";
import { RateLimiter } from "./rate_limiter.ts";

/** Takes turns without end; gives how many it has had. */
function takeTurns(clock: ManualClock, signal: AbortSignal): () => number {
  let turns = 0;
  const pace = new RateLimiter(clock, { burst: 3, interval_ms: 20 });
  (async () => {
    for (;;) {
      await pace.acquire(signal);
      if (signal.aborted) return;
      turns++;
    }
  })();
  return () => turns;
}

Deno.test("a burst passes at once, later events at the rate, and an idle time allows a new burst", async () => {
  const clock = new ManualClock();
  const stop = new AbortController();
  const turns = takeTurns(clock, stop.signal);
  await ManualClock.settle();
  assert.equal(turns(), 3);
  clock.advance(19);
  await ManualClock.settle();
  assert.equal(turns(), 3);
  clock.advance(1);
  await ManualClock.settle();
  assert.equal(turns(), 4);
  for (let time = 0; time < 10; time++) {
    clock.advance(20);
    await ManualClock.settle();
  }
  assert.equal(turns(), 14);
  stop.abort("over");
  await ManualClock.settle();
  assert.equal(turns(), 14, "a turn that was waited for is not had");
});

Deno.test("a caller slower than the rate never waits", async () => {
  const clock = new ManualClock();
  const pace = new RateLimiter(clock, { burst: 3, interval_ms: 20 });
  const { signal } = new AbortController();
  for (let turn = 0; turn < 50; turn++) {
    await pace.acquire(signal);
    clock.advance(turn === 20 ? 60_000 : 20);
  }
  assert.deepEqual(clock.sleeps, []);
  for (let turn = 0; turn < 3; turn++) await pace.acquire(signal);
  assert.deepEqual(clock.sleeps, [], "no more turns are saved up than may come at once");
  void pace.acquire(signal);
  assert.deepEqual(clock.sleeps, [20]);
  clock.advance(20);
});
