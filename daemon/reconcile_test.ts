import assert from "node:assert/strict";
import { ManualClock } from "../tests/support/manual_clock.ts";
import { Notifier } from "../runtime/notifier.ts";
import { aborted } from "../runtime/on_abort.ts";
import { type Loop, reconcile, together } from "./reconcile.ts";

/** A loop that brings a number down to zero, one at a time. */
function countdown(start: number, fail: () => boolean = () => false) {
  const clock = new ManualClock();
  const logged: string[] = [];
  const seen: number[] = [];
  const state = { left: start };
  const loop: Loop<number, string> = {
    name: "countdown",
    wakeup: new Notifier(),
    clock,
    log: (level, message) => logged.push(`${level}: ${message}`),
    look: () => Promise.resolve(state.left),
    decide: (left) => left > 0 ? ["down"] : [],
    act: () => {
      if (fail()) return Promise.reject(new Error("no"));
      seen.push(state.left--);
      return Promise.resolve();
    },
    patience_ms: () => 60_000,
  };
  return { clock, logged, seen, state, loop };
}

Deno.test("a loop acts until there is nothing left to do, then waits to be woken", async () => {
  const stop = new AbortController();
  const { loop, seen, state } = countdown(3);
  const running = reconcile(loop, stop.signal);
  await ManualClock.settle();
  assert.deepEqual(seen, [3, 2, 1]);
  state.left = 1;
  await ManualClock.settle();
  assert.deepEqual(seen, [3, 2, 1], "nothing woke the loop");
  loop.wakeup.notify();
  await ManualClock.settle();
  assert.deepEqual(seen, [3, 2, 1, 1]);
  stop.abort();
  await running;
});

Deno.test("a loop looks again when its patience is over", async () => {
  const stop = new AbortController();
  const { loop, seen, state, clock } = countdown(0);
  const running = reconcile(loop, stop.signal);
  await ManualClock.settle();
  state.left = 1;
  clock.advance(59_999);
  await ManualClock.settle();
  assert.deepEqual(seen, []);
  clock.advance(1);
  await ManualClock.settle();
  assert.deepEqual(seen, [1]);
  stop.abort();
  await running;
});

Deno.test("a loop that fails logs it and tries again, later each time", async () => {
  const stop = new AbortController();
  let failures = 3;
  const { loop, seen, logged, clock } = countdown(1, () => failures-- > 0);
  const running = reconcile(loop, stop.signal);
  for (const wait_ms of [250, 500, 1000]) {
    await ManualClock.settle();
    clock.advance(250);
    await ManualClock.settle();
    if (wait_ms > 250) {
      assert.ok(clock.sleeps.includes(wait_ms - 250));
      clock.advance(wait_ms - 251);
      await ManualClock.settle();
      assert.deepEqual(seen, []);
      clock.advance(1);
    }
  }
  await ManualClock.settle();
  assert.deepEqual(seen, [1]);
  assert.deepEqual(logged, [250, 500, 1000].map((ms) => `error: countdown: no; trying again in ${ms} ms`));
  stop.abort();
  await running;
});

Deno.test("a change wakes a loop that has failed, but not at once", async () => {
  const stop = new AbortController();
  let failures = 5;
  const { loop, seen, clock } = countdown(1, () => failures-- > 0);
  const running = reconcile(loop, stop.signal);
  for (let round = 0; round < 5; round++) {
    await ManualClock.settle();
    loop.wakeup.notify();
    await ManualClock.settle();
    assert.deepEqual(seen, []);
    clock.advance(250);
  }
  await ManualClock.settle();
  assert.deepEqual(seen, [1]);
  stop.abort();
  await running;
});

Deno.test("a loop that never comes to rest is slowed down, and logs that once", async () => {
  const stop = new AbortController();
  const { loop, seen, logged, clock } = countdown(1_000);
  const running = reconcile(loop, stop.signal);
  await ManualClock.settle();
  assert.equal(seen.length, 100);
  clock.advance(100);
  await ManualClock.settle();
  assert.equal(seen.length, 101);
  assert.deepEqual(logged, ["warn: countdown: 100 rounds of work without a rest"]);
  stop.abort();
  await running;
});

Deno.test("tasks that run together end together, with the error of the first that failed", async () => {
  let stopped = false;
  await assert.rejects(
    together(new AbortController().signal, [
      () => Promise.reject(new Error("first")),
      async (signal) => {
        await aborted(signal);
        stopped = true;
      },
    ]),
    /first/,
  );
  assert.ok(stopped);
});
