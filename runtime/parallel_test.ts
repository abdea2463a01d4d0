import assert from "node:assert/strict";
import { inParallel, maxInFlight } from "./parallel.ts";

Deno.test("results come in the order of the items, however long each takes", async () => {
  const gates = [0, 1, 2].map(() => Promise.withResolvers<void>());
  const running = inParallel([0, 1, 2], async (item) => {
    await gates[item]?.promise;
    return item * 10;
  });
  for (const gate of gates.reverse()) gate.resolve();
  assert.deepEqual(await running, [0, 10, 20]);
});

Deno.test("no more calls than the limit are in progress together", async () => {
  let underWay = 0;
  let most = 0;
  await inParallel(Array.from({ length: 3 * maxInFlight }), async () => {
    most = Math.max(most, ++underWay);
    await Promise.resolve();
    underWay--;
  });
  assert.equal(most, maxInFlight);
});

Deno.test("after a failure no call is started, and the failure is thrown", async () => {
  const started: number[] = [];
  const items = Array.from({ length: 100 }, (_, index) => index);
  const running = inParallel(items, (item) => {
    started.push(item);
    return item === 3 ? Promise.reject(new Error("no")) : Promise.resolve();
  });
  await assert.rejects(running, /^Error: no$/);
  assert.ok(started.length < 2 * maxInFlight + 4, `${started.length} were started`);
});

Deno.test("no items give no results", async () => assert.deepEqual(await inParallel([], () => Promise.resolve(1)), []));
