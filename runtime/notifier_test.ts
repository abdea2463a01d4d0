import assert from "node:assert/strict";
import { Turnstile } from "./notifier.ts";

Deno.test("a wait that is called off leaves nothing behind, however often that happens", async () => {
  const turnstile = new Turnstile();
  for (let count = 0; count < 100; count++) {
    const over = new AbortController();
    const wait = turnstile.past(turnstile.count, over.signal);
    over.abort();
    await wait;
  }
  assert.equal(turnstile.waiting, 0);
  const wait = turnstile.past(turnstile.count, new AbortController().signal);
  assert.equal(turnstile.waiting, 1);
  turnstile.turn();
  await wait;
  assert.equal(turnstile.waiting, 0);
});
