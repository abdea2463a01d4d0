import assert from "node:assert/strict";
import { EventMemory, type ToldEvent } from "./event_memory.ts";

const unit = (name: string, desiredState = "launched"): ToldEvent => ({
  event: "unit",
  data: JSON.stringify({ name, unit: { name, desiredState } }),
});
const state = (name: string, machineID: string): ToldEvent => ({
  event: "state",
  data: JSON.stringify({ name, machineID, state: { name } }),
});
const machine = (id: string): ToldEvent => ({ event: "machine", data: JSON.stringify({ id, machine: { id } }) });
const synced: ToldEvent = { event: "synced", data: "{}" };
const reset: ToldEvent = { event: "reset", data: '{"reason":"forgotten"}' };

/** What is told of these events. */
const told = (memory: EventMemory, ...events: ToldEvent[]) => events.flatMap((event) => memory.take(event));

Deno.test("a stream that begins anew where nothing was missed tells nothing again", () => {
  const memory = new EventMemory();
  memory.begin(true);
  const present = [unit("a"), state("a", "m1"), machine("m1")];
  assert.deepEqual(told(memory, ...present, synced), [...present, synced]);
  memory.begin(false);
  assert.deepEqual(told(memory, reset, ...present, synced), [synced]);
});

Deno.test("a stream that begins anew tells what is different, and what has gone", () => {
  const memory = new EventMemory();
  memory.begin(true);
  told(memory, unit("a"), unit("b"), state("b", "m1"), machine("m1"), machine("m2"), synced);
  memory.begin(false);
  assert.deepEqual(told(memory, reset, unit("a", "inactive"), machine("m1"), synced), [
    unit("a", "inactive"),
    { event: "unit", data: '{"name":"b"}' },
    { event: "state", data: '{"name":"b","machineID":"m1"}' },
    { event: "machine", data: '{"id":"m2"}' },
    synced,
  ]);
});

Deno.test("the time of an event is no difference, and every change is told while the stream goes on", () => {
  const memory = new EventMemory();
  memory.begin(true);
  told(memory, unit("a"), synced);
  const timed = { ...unit("a"), data: unit("a").data.replace(/\}$/, ',"time":5}') };
  assert.deepEqual(told(memory, timed), [timed]);
  memory.begin(true);
  assert.deepEqual(told(memory, unit("a"), synced), [synced]);
});

Deno.test("who began in the past does not know everything: after a reset all is told", () => {
  const memory = new EventMemory();
  memory.begin(false);
  told(memory, unit("a"), synced);
  assert.deepEqual(told(memory, reset, unit("a"), unit("b"), synced), [reset, unit("a"), unit("b"), synced]);
  assert.deepEqual(told(memory, reset, unit("a"), unit("b"), synced), [synced]);
});
