import assert from "node:assert/strict";
import { onceAborted } from "./on_abort.ts";

/** A signal that counts its listeners. */
function counted(): { readonly controller: AbortController; listeners: number } {
  const self = { controller: new AbortController(), listeners: 0 };
  const { signal } = self.controller;
  const { addEventListener, removeEventListener } = signal;
  const held = new Set<unknown>();
  const count = () => self.listeners = held.size;
  signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
    held.add(args[1]);
    count();
    addEventListener.apply(signal, args);
  };
  signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
    held.delete(args[1]);
    count();
    removeEventListener.apply(signal, args);
  };
  return self;
}

Deno.test("the first of several signals calls back once, and no listener is left", async (test) => {
  const [one, two] = [counted(), counted()];
  const signals = [one.controller.signal, undefined, two.controller.signal];
  const listeners = () => [one.listeners, two.listeners];
  let calls = 0;
  await test.step("stopped", () => {
    const stopListening = onceAborted(signals, () => calls++);
    assert.deepEqual(listeners(), [1, 1]);
    stopListening();
    assert.deepEqual(listeners(), [0, 0]);
    assert.equal(calls, 0);
  });
  await test.step("aborted", () => {
    onceAborted(signals, () => calls++);
    two.controller.abort();
    assert.deepEqual(listeners(), [0, 0]);
    one.controller.abort();
    assert.equal(calls, 1);
  });
  await test.step("aborted before", () => {
    onceAborted(signals, () => calls++)();
    assert.equal(calls, 2);
    assert.deepEqual(listeners(), [0, 0]);
  });
});
