import assert from "node:assert/strict";
import { Notifier } from "./notifier.ts";

Deno.test("a wait that is called off leaves nothing behind, however often that happens", async () => {
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
