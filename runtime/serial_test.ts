import assert from "node:assert/strict";
import { serial } from "./serial.ts";

Deno.test("work runs one after the other, in the order of the calls, also after a failure", async () => {
  const inOrder = serial();
  const log: string[] = [];
  const gate = Promise.withResolvers<void>();
  const first = inOrder(async () => {
    await gate.promise;
    log.push("first");
    throw new Error("first");
  });
  const second = inOrder(() => Promise.resolve(log.push("second")));
  gate.resolve();
  await assert.rejects(first, /first/);
  assert.equal(await second, 2);
  assert.deepEqual(log, ["first", "second"]);
});
