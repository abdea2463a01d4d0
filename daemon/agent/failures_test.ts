import assert from "node:assert/strict";
import type { DesiredUnit } from "./desired.ts";
import { FailureTracker } from "./failures.ts";

const name = "a.service";
const launched: DesiredUnit = { name, hash: "h1", desiredState: "launched", restart: 0 };
const at = (now_ms: number) => ({ monotonic_ms: () => now_ms, now_ms: () => now_ms + 1_000_000 });
const wanting = (wanted: DesiredUnit) => new Map([[name, wanted]]);

Deno.test("a failed command waits a second, then twice as long each time, and never longer than a minute", () => {
  const tracker = new FailureTracker();
  const waits_s: number[] = [];
  let now_ms = 5;
  for (let attempt = 1; attempt <= 40; attempt++) {
    tracker.failed(name, launched, `attempt ${attempt}`, at(now_ms));
    const wait_ms = tracker.nextTry_ms(now_ms);
    assert.deepEqual([...tracker.backingOff(wanting(launched), now_ms + wait_ms - 1)], [name]);
    assert.deepEqual([...tracker.backingOff(wanting(launched), now_ms + wait_ms)], []);
    waits_s.push(wait_ms / 1000);
    now_ms += wait_ms;
    assert.deepEqual(tracker.errors().get(name), {
      ...{ error: `attempt ${attempt}`, tried: true, retry: { tries: attempt, at_ms: now_ms + 1_000_000 } },
    });
  }
  assert.deepEqual(waits_s.slice(0, 8), [1, 2, 4, 8, 16, 32, 60, 60]);
  assert.ok(waits_s.slice(6).every((wait_s) => wait_s === 60));
  assert.equal(tracker.nextTry_ms(now_ms), Infinity);
});

Deno.test("another desired state is tried at once, and its failures are counted from the first", () => {
  const others: readonly Partial<DesiredUnit>[] = [{ hash: "h2" }, { desiredState: "loaded" }, { restart: 7 }];
  for (const other of others) {
    const tracker = new FailureTracker();
    for (let attempt = 0; attempt < 5; attempt++) tracker.failed(name, launched, "no", at(0));
    const wanted = { ...launched, ...other };
    assert.deepEqual([...tracker.backingOff(wanting(wanted), 0)], []);
    assert.deepEqual([...tracker.backingOff(new Map(), 0)], [], "an absent unit is another desired state as well");
    tracker.failed(name, wanted, "no", at(0));
    assert.equal(tracker.nextTry_ms(0), 1000);
  }
});

Deno.test("after a success failures are counted from the first", () => {
  const tracker = new FailureTracker();
  for (let attempt = 0; attempt < 5; attempt++) tracker.failed(name, launched, "no", at(0));
  tracker.succeeded(name);
  assert.equal(tracker.errors().size, 0);
  assert.equal(tracker.nextTry_ms(0), Infinity);
  tracker.failed(name, launched, "no", at(0));
  assert.equal(tracker.nextTry_ms(0), 1000);
});

Deno.test("a failed start is reported and not retried, and failures of removed units are dropped", () => {
  const tracker = new FailureTracker();
  tracker.startFailed(name, launched, "came to nothing");
  tracker.failed("b.service", undefined, "cannot be removed", at(0));
  assert.deepEqual([...tracker.backingOff(wanting(launched), 0)], ["b.service"]);
  assert.equal(tracker.nextTry_ms(0), 1000);
  assert.deepEqual(tracker.errors().get(name), { error: "came to nothing", tried: false });
  tracker.keepOnly(new Set([name]), wanting(launched));
  assert.deepEqual([...tracker.errors().keys()], [name]);
  assert.equal(tracker.nextTry_ms(0), Infinity);
});

Deno.test("a failure of an earlier desired state says nothing about a new one", () => {
  const tracker = new FailureTracker();
  tracker.failed(name, launched, "podman makes no service of it", at(0), true);
  tracker.keepOnly(new Set([name]), wanting(launched));
  assert.equal(tracker.errors().size, 1);
  tracker.keepOnly(new Set([name]), wanting({ ...launched, hash: "h2" }));
  assert.equal(tracker.errors().size, 0);
});
