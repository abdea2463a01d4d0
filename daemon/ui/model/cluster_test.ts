/// <reference lib="deno.ns" />

import assert from "node:assert/strict";
import { Cluster, type ClusterEvent, maxPast } from "./cluster.ts";
import { eventText, subjectOf } from "./event_text.ts";

const created: ClusterEvent = {
  kind: "unit",
  data: { name: "a.service", unit: { name: "a.service", desiredState: "launched" }, hash: "0" },
};
const running: ClusterEvent = {
  kind: "state",
  data: {
    name: "a.service",
    machineID: "m1",
    state: { name: "a.service", machineID: "m1", systemdActiveState: "active", systemdSubState: "running" },
  },
};
const gone: ClusterEvent = { kind: "state", data: { name: "a.service", machineID: "m1" } };
const placed: ClusterEvent = { kind: "decision", data: { name: "a.service", machineID: "m1", why: "least loaded" } };
const destroyed: ClusterEvent = { kind: "unit", data: { name: "a.service" } };

function clusterOf(...events: readonly ClusterEvent[]): Cluster {
  const cluster = new Cluster();
  for (const event of events) cluster.apply(event, 0);
  return cluster;
}

Deno.test("a unit is made of its events, in any order", () => {
  for (const events of [[created, placed, running], [running, placed, created]]) {
    const unit = clusterOf(...events).unit("a.service");
    assert.equal(unit?.decision?.why, "least loaded");
    assert.deepEqual([...unit?.states.keys() ?? []], ["m1"]);
  }
});

Deno.test("a unit without changes stays the same object, so that it is not drawn again", () => {
  const cluster = clusterOf(created, running);
  assert.equal(cluster.unit("a.service"), cluster.unit("a.service"));
  const before = cluster.unit("a.service");
  cluster.apply(placed, 0);
  assert.notEqual(cluster.unit("a.service"), before);
});

Deno.test("a destroyed unit is gone, also when its state ends later", () => {
  const cluster = clusterOf(created, running, destroyed, gone);
  assert.deepEqual(cluster.units(), []);
});

Deno.test("a unit that is created again has no decision on the destroyed one", () => {
  const unplaced: ClusterEvent = { kind: "decision", data: { name: "a.service", why: "the unit was destroyed" } };
  const cluster = clusterOf(created, placed, destroyed, unplaced, created);
  assert.equal(cluster.unit("a.service")?.decision, undefined);
});

Deno.test("a machine that leaves is gone", () => {
  const cluster = clusterOf({ kind: "machine", data: { id: "m1", machine: { id: "m1" } } });
  assert.deepEqual([...cluster.machines.keys()], ["m1"]);
  cluster.apply({ kind: "machine", data: { id: "m1" } }, 0);
  assert.equal(cluster.machines.size, 0);
});

Deno.test("events of the present are not remembered, later ones are, up to a limit", () => {
  const cluster = clusterOf(created);
  assert.equal(cluster.past.length, 0);
  cluster.isSynced = true;
  for (let count = 0; count < maxPast + 5; count++) cluster.apply(running, count);
  assert.equal(cluster.past.length, maxPast);
  assert.equal(cluster.past.at(-1)?.at_ms, maxPast + 4);
});

Deno.test("the successor of a cluster keeps the past, and leaves the present of the other as it is", () => {
  const cluster = clusterOf(created);
  cluster.isSynced = true;
  cluster.apply(running, 1);
  const next = cluster.successor();
  assert.deepEqual([next.units().length, next.isSynced, next.past.length], [0, false, 1]);
  next.apply(created, 2);
  next.isSynced = true;
  next.apply(running, 3);
  assert.deepEqual(next.past.map(({ number }) => number), [1, 2]);
  assert.equal(cluster.units().length, 1);
});

Deno.test("events are sentences about their subject", () => {
  const name = (id: string) => id.toUpperCase();
  const texts = [created, placed, running, gone, destroyed].map((event) =>
    `${subjectOf(event)} ${eventText(event, name)}`
  );
  assert.deepEqual(texts, [
    "a.service desired state is launched",
    "a.service placed on M1: least loaded",
    "a.service active (running) on M1",
    "a.service no longer on M1",
    "a.service destroyed",
  ]);
});

Deno.test("the event of a change names its author, a later one what has become of it", () => {
  const text = (time: number, what?: string) => {
    const unit = { name: "a.service", desiredState: "launched", currentState: "loaded" };
    const changed = { at: 5, by: "anna", ...what !== undefined && { what } };
    return eventText({ kind: "unit", data: { name: "a.service", unit, changed, time } }, String);
  };
  assert.equal(text(5), "desired state is launched, changed by anna");
  assert.equal(text(5, "restart"), "restart: desired state is launched, changed by anna");
  assert.equal(text(6), "current state is loaded");
});

Deno.test("the event of a roll-out names the units that have changed", () => {
  const steps = ["a", "b", "c", "d", "e"].map((name) => ({ name, change: "replace", state: "healthy" }));
  const text = (count: number, reason?: string) =>
    eventText({
      kind: "rollout",
      data: {
        app: "shop",
        rollout: {
          ...{ app: "shop", id: "1", what: "apply", status: "running", steps: steps.slice(0, count) },
          ...reason !== undefined && { reason },
        },
      },
    }, String);
  assert.equal(text(0), "apply is running");
  assert.equal(text(1), "apply is running: a is healthy");
  assert.equal(
    text(5, "c has failed"),
    "apply is running: c has failed: a is healthy, b is healthy, c is healthy, 2 other units",
  );
});
