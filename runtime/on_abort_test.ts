import assert from "node:assert/strict";
import { onceAborted } from "./on_abort.ts";

/** A signal that counts who listens. */
function counted(): { readonly controller: AbortController; listeners: number } {
  const self = { controller: new AbortController(), listeners: 0 };
  const { signal } = self.controller;
  const { addEventListener, removeEventListener } = signal;
  const held = new Set<unknown>();
  const note = () => self.listeners = held.size;
  signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
    held.add(args[1]);
    note();
    addEventListener.apply(signal, args);
  };
  signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
    held.delete(args[1]);
    note();
    removeEventListener.apply(signal, args);
  };
  return self;
}

Deno.test("the first of several signals is told, once, and nothing stays behind", async (test) => {
  const [one, two] = [counted(), counted()];
  const signals = [one.controller.signal, undefined, two.controller.signal];
  const listeners = () => [one.listeners, two.listeners];
  let told = 0;
  await test.step("called off", () => {
    const callOff = onceAborted(signals, () => told++);
    assert.deepEqual(listeners(), [1, 1]);
    callOff();
    assert.deepEqual(listeners(), [0, 0]);
    assert.equal(told, 0);
  });
  await test.step("aborted", () => {
    onceAborted(signals, () => told++);
    two.controller.abort();
    assert.deepEqual(listeners(), [0, 0]);
    one.controller.abort();
    assert.equal(told, 1);
  });
  await test.step("aborted before", () => {
    onceAborted(signals, () => told++)();
    assert.equal(told, 2);
    assert.deepEqual(listeners(), [0, 0]);
  });
});
