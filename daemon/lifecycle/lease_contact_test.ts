import assert from "node:assert/strict";
import { Notifier } from "../../runtime/notifier.ts";
import { ManualClock } from "../../tests/support/manual_clock.ts";
import { watchPresence } from "./lease_contact.ts";

Deno.test("a lease that is not renewed in time is reported, and so is its next renewal", async () => {
  const clock = new ManualClock();
  const reports: string[] = [];
  const membership = { renewals: new Notifier(), renewedAt_ms: clock.monotonic_ms(), ttl_ms: 6_000 };
  const renew = () => {
    membership.renewedAt_ms = clock.monotonic_ms();
    membership.renewals.notify();
  };
  const pass = async (duration_ms: number) => {
    await ManualClock.settle();
    clock.advance(duration_ms);
    await ManualClock.settle();
  };
  const stop = new AbortController();
  const watching = watchPresence(membership, clock, (missing) => reports.push(missing ?? "present"), stop.signal);
  for (let round = 0; round < 5; round++) {
    await pass(4_000);
    renew();
  }
  await pass(5_000);
  assert.deepEqual(reports, [], "a lease that is renewed in time");
  await pass(1_000);
  assert.match(reports.join(), /^not a member of the cluster: this machine's lease was not renewed for 6s; units keep/);
  await pass(60_000);
  renew();
  await ManualClock.settle();
  assert.equal(reports.length, 2, "one report each time");
  assert.equal(reports[1], "present");
  await pass(6_000);
  assert.equal(reports.length, 3);
  stop.abort();
  await watching;
});
