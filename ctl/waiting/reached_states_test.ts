import assert from "node:assert/strict";
import { running } from "./reached_states.ts";
import type { StateView, UnitView } from "./unit_watcher.ts";

const isRunning = () => running({ isGlobal: true, stable_ms: 0, isChecked: false, mayEnd: false });

function view(
  files: Readonly<Record<string, readonly [hash: string, active: string]>>,
  next?: UnitView["next"],
): UnitView {
  const states = Object.entries(files).map(([machineID, [hash, systemdActiveState]]): [string, StateView] => {
    return [machineID, { state: { name: "g.service", machineID, hash, systemdActiveState } }];
  });
  const unit = { name: "g.service", desiredState: "launched" };
  return { unit, hash: "old", ...next && { next }, seen: true, states: new Map(states), stateChanges: 0 };
}

const verdict = (...[files, next]: Parameters<typeof view>) => isRunning()("g.service", view(files, next), 0).verdict;

Deno.test("a global unit runs when each machine runs the file that a roll-out has given to it, or the unit's own", () => {
  const next = { hash: "new", machines: ["m1"] };
  assert.equal(verdict({ m1: ["new", "active"], m2: ["old", "active"] }, next), "done");
  assert.equal(verdict({ m1: ["old", "active"], m2: ["old", "active"] }, next), "waiting");
  assert.equal(verdict({ m1: ["new", "active"], m2: ["new", "active"] }, next), "waiting");
  assert.equal(verdict({ m1: ["new", "active"], m2: ["old", "active"] }), "waiting");
});

Deno.test("a global unit has failed when the file that a roll-out has given to a machine fails there", () => {
  const condition = isRunning();
  const found = view({ m1: ["new", "failed"], m2: ["old", "active"] }, { hash: "new", machines: ["m1"] });
  assert.equal(condition("g.service", found, 0).verdict, "waiting");
  assert.equal(condition("g.service", found, 2_000).verdict, "failed");
});
