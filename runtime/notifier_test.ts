import assert from "node:assert/strict";
import { ManualClock } from "../tests/support/manual_clock.ts";
import { Notifier } from "./notifier.ts";

Deno.test("an aborted wait leaves nothing behind, however often that happens", async () => {
  const notifier = new Notifier();
  for (let count = 0; count < 100; count++) {
    const over = new AbortController();
    const wait = notifier.waitPast(notifier.count, over.signal);
    over.abort();
    await wait;
  }
  assert.equal(notifier.waiting, 0);
  const wait = notifier.waitPast(notifier.count, new AbortController().signal);
  assert.equal(notifier.waiting, 1);
  notifier.notify();
  await wait;
  assert.equal(notifier.waiting, 0);
});

Deno.test("a change before the wait is not missed", async () => {
  const notifier = new Notifier();
  const { signal } = new AbortController();
  const seen = notifier.count;
  notifier.notify();
  await notifier.waitPast(seen, signal);
  const clock = new ManualClock();
  await notifier.waitPastFor(seen, 1_000, clock, signal);
  assert.deepEqual(clock.sleeps, []);
});

Deno.test("a wait with a limit ends at a change, at the limit, or with its signal", async () => {
  const notifier = new Notifier();
  const clock = new ManualClock();
  const stop = new AbortController();
  const ends = [() => notifier.notify(), () => clock.advance(1_000), () => stop.abort()];
  for (const end of ends) {
    let isOver = false;
    const wait = notifier.waitPastFor(notifier.count, 1_000, clock, stop.signal).then(() => isOver = true);
    clock.advance(999);
    await ManualClock.settle();
    assert.equal(isOver, false);
    end();
    await wait;
    assert.equal(notifier.waiting, 0);
  }
});
