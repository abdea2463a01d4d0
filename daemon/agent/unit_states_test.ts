import assert from "node:assert/strict";
import type { UnitStatus } from "../../systemd/port.ts";
import type { DesiredUnit } from "./desired.ts";
import type { Current } from "./plan.ts";
import { sameStates, unitStates } from "./unit_states.ts";
import type { Failure } from "./failures.ts";

const name = "a.service";
const wanted = new Map<string, DesiredUnit>([[name, { name, hash: "h1", desiredState: "launched", restart: 7 }]]);

function current(active: string, result = "success"): Map<string, Current> {
  const status: UnitStatus = { name, load: "loaded", active, sub: "x", result, invocation: "", since_ms: 3 };
  return new Map([[name, { name, hash: "h0", commanded: "launched", restart: 5, status }]]);
}

function published(at: ReadonlyMap<string, Current>, failure?: Failure, restarting?: number) {
  const errors = new Map(failure ? [[name, failure]] : []);
  return unitStates("m1", wanted, at, errors, new Map(restarting === undefined ? [] : [[name, restarting]])).get(name);
}

Deno.test("a unit's state has its file's hash, the commanded state and systemd's state", () => {
  assert.deepEqual(published(current("failed", "exit-code")), {
    ...{ unit: name, machine: "m1", hash: "h0", commanded: "launched", restart: 5 },
    ...{ load: "loaded", active: "failed", sub: "x", since_ms: 3, result: "exit-code" },
  });
  assert.equal(published(current("active"))!.result, undefined);
  assert.equal(published(current("active"), undefined, 4)!.restart, 4, "a restart under way is not done yet");
});

Deno.test("an error is reported until it is over, or until systemd has started the unit itself", () => {
  const tried: Failure = { error: "refused", tried: true }, noted: Failure = { error: "failed", tried: false };
  assert.equal(published(current("inactive"), tried)!.error, "refused");
  assert.equal(published(current("active"), tried)!.error, "refused");
  assert.equal(published(current("failed"), noted)!.error, "failed");
  assert.equal(published(current("active"), noted)!.error, undefined);
});

Deno.test("a unit that could not be installed has a state with its error, one that was not tried has none", () => {
  assert.deepEqual(published(new Map(), { error: "disk full", tried: true }), {
    ...{ unit: name, machine: "m1", hash: "h1", commanded: "inactive", restart: 0, error: "disk full" },
    ...{ load: "not-found", active: "inactive", sub: "dead", since_ms: 0 },
  });
  assert.equal(published(new Map()), undefined);
});

Deno.test("states are equal if all their fields are", () => {
  const states = (active: string) => unitStates("m1", wanted, current(active), new Map(), new Map());
  assert.equal(sameStates(states("active"), states("active")), true);
  assert.equal(sameStates(states("active"), states("failed")), false);
  assert.equal(sameStates(states("active"), new Map()), false);
  assert.equal(sameStates(undefined, new Map()), false);
});
