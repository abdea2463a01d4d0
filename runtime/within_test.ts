import assert from "node:assert/strict";
import { ManualClock } from "../tests/support/manual_clock.ts";
import { within } from "./within.ts";

Deno.test("a task that rejects within the limit rejects the wait", async () => {
  const clock = new ManualClock();
  await assert.rejects(within(60, clock, () => Promise.reject(new Error("refused"))), /refused/);
  assert.equal(await within(60, clock, () => Promise.resolve()), true);
});

Deno.test("a task that does not end within the limit goes on", async () => {
  const clock = new ManualClock();
  const isDone = within(60, clock, () => new Promise(() => {}));
  clock.advance(60);
  assert.equal(await isDone, false);
});
