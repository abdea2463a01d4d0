import assert from "node:assert/strict";
import { type Rollout, rolloutStatuses, type RolloutStep, type Unit, type UnitSpec } from "./model.ts";
import { parseRequirements } from "./requirements.ts";
import { answerRequest, hasDrifted, hasEnded, rolloutRequests, undoSteps } from "./rollouts.ts";

const spec = (digit: string): UnitSpec => ({ hash: digit.repeat(40), desiredState: "launched" });
const rollout: Rollout = {
  app: "web",
  id: "1",
  what: "apply",
  rollback: true,
  steps: [],
  status: "running",
  revision: 1,
};
const unit = (revision: number): Unit => ({ revision } as Unit);
const step: RolloutStep = {
  unit: "a.service",
  before: spec("a"),
  after: spec("b"),
  planned: 3,
  state: "healthy",
  written: 7,
};

Deno.test("every status answers every request by another status or by a refusal that names both", () => {
  const answers = rolloutStatuses.map((status) => [
    status,
    ...rolloutRequests.map((request) => {
      const answer = answerRequest({ ...rollout, status }, request, "bob");
      if (!("refusal" in answer)) return answer.status;
      assert.equal(answer.refusal, `cannot ${request} the roll-out of app web: it is ${status}`);
      return "";
    }),
  ]);
  assert.deepEqual(answers, [
    // pause, resume, abort, undo
    ["preparing", "", "", "aborted", ""],
    ["running", "paused", "", "aborted", "rolling-back"],
    ["paused", "", "running", "aborted", "rolling-back"],
    ["rolling-back", "", "", "aborted", ""],
    ["done", "", "", "", ""],
    ["failed", "", "", "", ""],
    ["rolled-back", "", "", "", ""],
    ["aborted", "", "", "", ""],
  ]);
  assert.deepEqual(answerRequest(rollout, "pause", "bob"), { status: "paused", reason: "paused by bob" });
  assert.deepEqual(rolloutStatuses.filter((status) => hasEnded({ status })), [
    "done",
    "failed",
    "rolled-back",
    "aborted",
  ]);
});

Deno.test("a unit has drifted if its revision is neither the planned one nor that of the roll-out's write", () => {
  const pending: RolloutStep = { ...step, state: "pending", written: 0 };
  const { before: _before, ...created } = step;
  const { after: _after, ...destroyed } = step;
  const cases: readonly (readonly [RolloutStep, Unit | undefined, boolean])[] = [
    [pending, unit(3), false],
    [pending, unit(4), true],
    [pending, undefined, true],
    [step, unit(7), false],
    [step, unit(8), true],
    [{ ...step, state: "undone", written: 9 }, unit(9), false],
    [{ ...created, state: "pending", written: 0, planned: 0 }, undefined, false],
    [{ ...created, state: "pending", written: 0, planned: 0 }, unit(1), true],
    [{ ...created, state: "undone", written: 9 }, undefined, false],
    [destroyed, undefined, false],
    [destroyed, unit(8), true],
    [{ ...destroyed, state: "undone", written: 9 }, unit(9), false],
  ];
  for (const [step, unit, drifted] of cases) {
    assert.equal(hasDrifted(step, unit), drifted, JSON.stringify([step, unit]));
  }
});

Deno.test("a roll-out is undone from its last step to its first, without the units that have changed since", () => {
  const { before: _before, ...created } = { ...step, unit: "new.service" };
  const { after: _after, ...destroyed } = { ...step, unit: "old.service" };
  const steps = [
    created,
    step,
    { ...step, unit: "by-hand.service" },
    { ...step, unit: "pending.service", state: "pending" as const, written: 0 },
    destroyed,
  ];
  const units = new Map([
    ...["new.service", "a.service"].map((name): [string, Unit] => [name, unit(7)]),
    ["by-hand.service", unit(9)],
    ["pending.service", unit(3)],
  ]);
  assert.deepEqual(undoSteps({ ...rollout, steps, status: "running" }, units), []);
  assert.deepEqual(undoSteps({ ...rollout, steps, status: "done" }, units), [
    { unit: "old.service", after: spec("a"), planned: 0 },
    { unit: "a.service", before: spec("b"), after: spec("a"), planned: 7 },
    { unit: "new.service", before: spec("b"), planned: 7 },
  ]);
});

Deno.test("a global unit that was changed on some machines goes back from there, whichever file its record has", () => {
  const undone = (state: "staging" | "unstaging" | "failed", hash: string, next?: Unit["next"]) => {
    const found = { ...unit(7), hash: hash.repeat(40), ...next && { next } } as Unit;
    return undoSteps({ ...rollout, steps: [{ ...step, state }], status: "aborted" }, new Map([[step.unit, found]]));
  };
  const [onlyMachines, record] = [{ before: spec("a"), after: spec("a") }, { before: spec("b"), after: spec("a") }];
  assert.deepEqual(undone("staging", "a"), [{ unit: "a.service", ...onlyMachines, planned: 7 }]);
  assert.deepEqual(undone("unstaging", "a"), [{ unit: "a.service", ...onlyMachines, planned: 7 }]);
  assert.deepEqual(undone("unstaging", "b"), [{ unit: "a.service", ...record, planned: 7 }]);
  const next = { ...spec("b"), fleetOptions: [], requirements: parseRequirements("a.service", []) };
  const failed = undone("failed", "a", { ...next, machines: ["m1"], unproven: ["m1"] });
  assert.deepEqual(failed, [{ unit: "a.service", ...onlyMachines, planned: 7 }]);
  assert.deepEqual(undone("failed", "b"), [{ unit: "a.service", ...record, planned: 7 }]);
});
