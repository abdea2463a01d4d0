import assert from "node:assert/strict";
import { Notifier } from "./notifier.ts";

Deno.test("a wait that is called off leaves nothing behind, however often that happens", async () => {
  const turnstile = new Notifier();
  for (let count = 0; count < 100; count++) {
    const over = new AbortController();
    const wait = turnstile.waitPast(turnstile.count, over.signal);
    over.abort();
    await wait;
  }
  assert.equal(turnstile.waiting, 0);
  const wait = turnstile.waitPast(turnstile.count, new AbortController().signal);
  assert.equal(turnstile.waiting, 1);
  turnstile.notify();
  await wait;
  assert.equal(turnstile.waiting, 0);
});
