import assert from "node:assert/strict";
import { EventMemory, type StreamEvent } from "./event_memory.ts";

const unit = (name: string, desiredState = "launched"): StreamEvent => ({
  event: "unit",
  data: JSON.stringify({ name, unit: { name, desiredState } }),
});
const state = (name: string, machineID: string): StreamEvent => ({
  event: "state",
  data: JSON.stringify({ name, machineID, state: { name } }),
});
const machine = (id: string): StreamEvent => ({ event: "machine", data: JSON.stringify({ id, machine: { id } }) });
const synced: StreamEvent = { event: "synced", data: "{}" };
const reset: StreamEvent = { event: "reset", data: '{"reason":"forgotten"}' };

/** Returns the events that are passed on. */
const passOn = (memory: EventMemory, ...events: StreamEvent[]) => events.flatMap((event) => memory.take(event));

Deno.test("an unchanged snapshot of a new stream is not passed on", () => {
  const memory = new EventMemory();
  memory.begin(true);
  const snapshot = [unit("a"), state("a", "m1"), machine("m1")];
  assert.deepEqual(passOn(memory, ...snapshot, synced), [...snapshot, synced]);
  memory.begin(false);
  assert.deepEqual(passOn(memory, reset, ...snapshot, synced), [synced]);
});

Deno.test("the differences in the snapshot of a new stream are passed on, and so are removals", () => {
  const memory = new EventMemory();
  memory.begin(true);
  passOn(memory, unit("a"), unit("b"), state("b", "m1"), machine("m1"), machine("m2"), synced);
  memory.begin(false);
  assert.deepEqual(passOn(memory, reset, unit("a", "inactive"), machine("m1"), synced), [
    unit("a", "inactive"),
    { event: "unit", data: '{"name":"b"}' },
    { event: "state", data: '{"name":"b","machineID":"m1"}' },
    { event: "machine", data: '{"id":"m2"}' },
    synced,
  ]);
});

Deno.test("the time of an event is no difference, and every event after a snapshot is passed on", () => {
  const memory = new EventMemory();
  memory.begin(true);
  passOn(memory, unit("a"), synced);
  const timed = { ...unit("a"), data: unit("a").data.replace(/\}$/, ',"time":5}') };
  assert.deepEqual(passOn(memory, timed), [timed]);
  memory.begin(true);
  assert.deepEqual(passOn(memory, unit("a"), synced), [synced]);
});

Deno.test("the first snapshot after a reset is passed on whole", () => {
  const memory = new EventMemory();
  memory.begin(false);
  passOn(memory, unit("a"), synced);
  assert.deepEqual(passOn(memory, reset, unit("a"), unit("b"), synced), [reset, unit("a"), unit("b"), synced]);
  assert.deepEqual(passOn(memory, reset, unit("a"), unit("b"), synced), [synced]);
});

Deno.test("a roll-out in a new stream is passed on only if its status has changed", () => {
  const rollout = (status: string, ...steps: string[]): StreamEvent => ({
    event: "rollout",
    data: JSON.stringify({ app: "shop", rollout: { id: "r1", status, steps } }),
  });
  const memory = new EventMemory();
  memory.begin(true);
  passOn(memory, rollout("running", "a", "b"), synced);
  assert.deepEqual(passOn(memory, rollout("running", "a")), [rollout("running", "a")]);
  assert.deepEqual(passOn(memory, reset, rollout("running", "a", "b"), synced), [synced]);
  assert.deepEqual(passOn(memory, reset, rollout("done", "a", "b"), synced), [rollout("done", "a", "b"), synced]);
  assert.deepEqual(passOn(memory, reset, synced), [{ event: "rollout", data: '{"app":"shop"}' }, synced]);
});
