import assert from "node:assert/strict";
import { sleep } from "./sleep.ts";

Deno.test("a sleep ends when its signal aborts, and at once if it has aborted already", async () => {
  const begun_ms = performance.now();
  await sleep(600_000, AbortSignal.abort());
  const over = new AbortController();
  const asleep = sleep(600_000, over.signal);
  over.abort();
  await asleep;
  assert.ok(performance.now() - begun_ms < 600_000);
});

Deno.test("a sleep lasts its duration, also one that is longer than a timer can count", async () => {
  const begun_ms = performance.now();
  await sleep(5);
  await sleep(-1);
  assert.ok(performance.now() - begun_ms >= 4);
  const over = new AbortController();
  let isOver = false;
  const long = sleep(Infinity, over.signal).then(() => isOver = true);
  await sleep(5);
  assert.equal(isOver, false);
  over.abort();
  await long;
});
