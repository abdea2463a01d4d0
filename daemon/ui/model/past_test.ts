/// <reference lib="deno.ns" />

import assert from "node:assert/strict";
import type { ClusterEvent, PastEvent } from "./cluster.ts";
import { mergePast, passes } from "./past.ts";

const event = (number: number, at_ms: number, name: string, why = "least loaded"): PastEvent => ({
  kind: "decision",
  data: { name, why, machineID: "m1", time: at_ms },
  at_ms,
  number,
});

Deno.test("events that the page has seen are not shown again, also if another daemon saw them a moment later", () => {
  const earlier = [event(-3, 1_000, "a"), event(-2, 50_000, "a"), event(-1, 60_200, "b")];
  const seen = [event(1, 60_000, "b"), event(2, 70_000, "a")];
  assert.deepEqual(mergePast(earlier, seen).map(({ number }) => number), [2, 1, -2, -3]);
});

Deno.test("the same event at another time is another event", () => {
  const merged = mergePast([event(-1, 1_000, "a")], [
    event(1, 60_000, "a"),
    event(2, 60_000, "a", "its machine is gone"),
  ]);
  assert.deepEqual(merged.map(({ number }) => number), [2, 1, -1]);
});

Deno.test("a view shows the events of its unit or machine", () => {
  const machine: ClusterEvent = { kind: "machine", data: { id: "m1" } };
  const state: ClusterEvent = { kind: "state", data: { name: "a", machineID: "m1" } };
  const moved: ClusterEvent = { kind: "decision", data: { name: "a", machineID: "m2", from: "m1", why: "" } };
  const rollout: ClusterEvent = { kind: "rollout", data: { app: "a" } };
  const events = [machine, state, moved, rollout];
  const shown = (filter: Parameters<typeof passes>[0]) => events.filter((event) => passes(filter, event));
  assert.deepEqual(shown({ unit: "a" }), [state, moved]);
  assert.deepEqual(shown({ machine: "m1" }), [machine, state, moved]);
  assert.deepEqual(shown({ machine: "m2" }), [moved]);
  assert.deepEqual(shown({}), events);
});
