import assert from "node:assert/strict";
import type { Wanted } from "./desired.ts";
import { Troubles } from "./failures.ts";

const name = "a.service";
const launched: Wanted = { name, hash: "h1", desiredState: "launched", restart: 0 };
const wish = (wanted: Wanted) => new Map([[name, wanted]]);

Deno.test("a failed command waits a second, then twice as long each time, and never longer than a minute", () => {
  const troubles = new Troubles();
  const waits_s: number[] = [];
  let now_ms = 5;
  for (let attempt = 1; attempt <= 40; attempt++) {
    troubles.failed(name, launched, `attempt ${attempt}`, now_ms);
    const wait_ms = troubles.nextTry_ms(now_ms);
    assert.deepEqual([...troubles.waiting(wish(launched), now_ms + wait_ms - 1)], [name]);
    assert.deepEqual([...troubles.waiting(wish(launched), now_ms + wait_ms)], []);
    waits_s.push(wait_ms / 1000);
    now_ms += wait_ms;
    assert.deepEqual(troubles.errors().get(name), { error: `attempt ${attempt}`, tried: true });
  }
  assert.deepEqual(waits_s.slice(0, 8), [1, 2, 4, 8, 16, 32, 60, 60]);
  assert.ok(waits_s.slice(6).every((wait_s) => wait_s === 60));
  assert.equal(troubles.nextTry_ms(now_ms), Infinity);
});

Deno.test("another wish is tried at once, and its failures are counted from the first", () => {
  const others: readonly Partial<Wanted>[] = [{ hash: "h2" }, { desiredState: "loaded" }, { restart: 7 }];
  for (const other of others) {
    const troubles = new Troubles();
    for (let attempt = 0; attempt < 5; attempt++) troubles.failed(name, launched, "no", 0);
    const wanted = { ...launched, ...other };
    assert.deepEqual([...troubles.waiting(wish(wanted), 0)], []);
    assert.deepEqual([...troubles.waiting(new Map(), 0)], [], "to be away is another wish, too");
    troubles.failed(name, wanted, "no", 0);
    assert.equal(troubles.nextTry_ms(0), 1000);
  }
});

Deno.test("after a success failures are counted from the first", () => {
  const troubles = new Troubles();
  for (let attempt = 0; attempt < 5; attempt++) troubles.failed(name, launched, "no", 0);
  troubles.over(name);
  assert.equal(troubles.errors().size, 0);
  assert.equal(troubles.nextTry_ms(0), Infinity);
  troubles.failed(name, launched, "no", 0);
  assert.equal(troubles.nextTry_ms(0), 1000);
});

Deno.test("what came to nothing is told and not tried again, and what nobody has is forgotten", () => {
  const troubles = new Troubles();
  troubles.noted(name, launched, "came to nothing");
  troubles.failed("b.service", undefined, "cannot be removed", 0);
  assert.deepEqual([...troubles.waiting(wish(launched), 0)], ["b.service"]);
  assert.equal(troubles.nextTry_ms(0), 1000);
  assert.deepEqual(troubles.errors().get(name), { error: "came to nothing", tried: false });
  troubles.keepOnly(new Set([name]));
  assert.deepEqual([...troubles.errors().keys()], [name]);
  assert.equal(troubles.nextTry_ms(0), Infinity);
});
