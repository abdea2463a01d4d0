/// <reference lib="deno.ns" />

import assert from "node:assert/strict";
import type { DecisionEvent, StateEvent } from "../../api/v1/types.ts";
import { type Condition, conditionOf, countConditions, problemOf, type UnitView } from "./condition.ts";

const state = (active: string, more: Partial<StateEvent> = {}): StateEvent => ({
  name: "a.service",
  machineID: "m1",
  state: { name: "a.service", machineID: "m1", systemdActiveState: active, systemdSubState: "x" },
  ...more,
});

const unit = (desiredState: string, states: readonly StateEvent[] = [], decision?: DecisionEvent): UnitView => ({
  name: "a.service",
  unit: { name: "a.service", desiredState },
  states: new Map(states.map((each, index) => [`m${index}`, each])),
  ...decision && { decision },
});

const sick: StateEvent = {
  ...state("active"),
  state: {
    name: "a.service",
    machineID: "m1",
    systemdActiveState: "active",
    health: "failing",
    healthReason: "HTTP 500",
  },
};

const waiting: DecisionEvent = { name: "a.service", why: "none of 3 machines will take it", waiting: true };

/** A unit that runs on m1 and is placed on another machine, from which it may move to a third. */
const movedTo = (machineID: string, to?: string): UnitView => ({
  ...unit("launched", [state("active")], { name: "a.service", why: "", machineID, ...to !== undefined && { to } }),
  unit: { name: "a.service", desiredState: "launched", machineID },
});

const cases: readonly (readonly [what: string, unit: UnitView, condition: Condition])[] = [
  ["an active unit runs", unit("launched", [state("active")]), "running"],
  ["an active unit whose health check fails is unhealthy", unit("launched", [state("active"), sick]), "unhealthy"],
  ["an active unit that is to be loaded is stopping", unit("loaded", [state("active")]), "stopping"],
  ["an active unit that is to be inactive is stopping", unit("inactive", [state("active")]), "stopping"],
  ["a copy on a machine that the unit has left is stopping", movedTo("m2"), "stopping"],
  ["a copy on the machine that the unit moves to runs", movedTo("m2", "m1"), "running"],
  ["a unit without a state is starting", unit("launched"), "starting"],
  ["an activating unit is starting", unit("launched", [state("activating")]), "starting"],
  ["a deactivating unit is stopping", unit("loaded", [state("deactivating")]), "stopping"],
  ["a oneshot that has ended well is finished", unit("launched", [state("inactive", { job: "done" })]), "finished"],
  ["a failed unit has failed", unit("launched", [state("failed", { error: "exit-code" })]), "failed"],
  ["a unit whose command failed has failed", unit("launched", [state("inactive", { error: "no file" })]), "failed"],
  ["of several copies the worst counts", unit("launched", [state("active"), state("failed")]), "failed"],
  ["a waiting unit waits", unit("launched", [], waiting), "waiting"],
  ["a waiting unit whose copy has failed has failed", unit("launched", [state("failed")], waiting), "failed"],
  ["a loaded unit is loaded", unit("loaded", [state("inactive")]), "loaded"],
  ["an inactive unit is inactive", unit("inactive"), "inactive"],
];

for (const [what, view, condition] of cases) {
  Deno.test(what, () => assert.equal(conditionOf(view), condition));
}

Deno.test("a unit that is unreadable in the store needs attention, with the reason", () => {
  const view: UnitView = { ...unit("launched"), unit: { name: "a.service", unreadable: "its file is missing" } };
  assert.equal(conditionOf(view), "failed");
  assert.equal(problemOf(view), "its file is missing");
});

Deno.test("a problem is the agent's error, systemd's result, or the engine's reason", () => {
  assert.equal(problemOf(unit("launched", [state("inactive", { error: "no file" })])), "no file");
  const failed = state("failed", { error: "exit-code", result: "exit-code" });
  assert.equal(problemOf(unit("launched", [failed])), "systemd reports exit-code");
  assert.equal(problemOf(unit("launched", [sick])), "its health check fails: HTTP 500");
  assert.equal(problemOf(unit("launched", [], waiting)), "none of 3 machines will take it");
  assert.equal(problemOf(unit("launched", [state("active")])), undefined);
});

Deno.test("conditions are counted, the worst first", () => {
  const counts = countConditions([unit("inactive"), unit("launched", [state("failed")]), unit("inactive")]);
  assert.deepEqual([...counts], [["failed", 1], ["inactive", 2]]);
});
