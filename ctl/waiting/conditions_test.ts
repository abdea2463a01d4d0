import assert from "node:assert/strict";
import type { StateView, UnitView } from "./unit_watcher.ts";
import {
  gone,
  having,
  reached,
  restarted,
  settle_ms,
  settleUnstarted_ms,
  started,
  stopped,
  unloaded,
  unseenRestart_ms,
  type WaitCondition,
  type WaitStatus,
} from "./conditions.ts";

const name = "a.service";

interface Told {
  readonly desired?: string;
  readonly current?: string;
  readonly active?: string;
  readonly sub?: string;
  readonly load?: string;
  readonly error?: string;
  readonly result?: string;
  readonly job?: string;
  readonly since_ms?: number;
  readonly restart?: number;
  readonly restarts?: number;
  readonly asked?: number;
  readonly changes?: number;
}

/** A launched unit on machine m, unless told otherwise; without `active` no machine has it. */
function view(told: Told): UnitView {
  const { desired = "launched", current = "launched", active, sub = "", load = "loaded" } = told;
  const states = new Map<string, StateView>();
  if (active !== undefined) {
    states.set("m", {
      state: { name, machineID: "m", systemdLoadState: load, systemdActiveState: active, systemdSubState: sub },
      ...(told.error === undefined ? {} : { error: told.error }),
      ...(told.job === undefined ? {} : { job: told.job }),
      ...(told.result === undefined ? {} : { result: told.result }),
      ...(told.since_ms === undefined ? {} : { since_ms: told.since_ms }),
      ...(told.restart === undefined ? {} : { restart: told.restart }),
      ...(told.restarts === undefined ? {} : { restarts: told.restarts }),
    });
  }
  return {
    unit: { name, desiredState: desired, currentState: current, machineID: "m" },
    ...(told.asked === undefined ? {} : { restart: told.asked }),
    ...{ seen: true, states, stateChanges: told.changes ?? 0 },
  };
}

const never: UnitView = { seen: false, states: new Map(), stateChanges: 0 };
const vanished: UnitView = { seen: true, states: new Map(), stateChanges: 0 };

/** Shows views one after the other, each at its time, and gives the last verdict. */
function after(judge: WaitCondition, ...steps: readonly (readonly [at_ms: number, seen: UnitView])[]): string {
  let judgement: WaitStatus = { verdict: "waiting" };
  for (const [at_ms, seen] of steps) judgement = judge(name, seen, at_ms);
  return judgement.verdict === "failed" ? judgement.reason : judgement.verdict;
}

const simple: { name: string; judge: () => WaitCondition; view: UnitView; expected: string }[] = [
  { name: "launched: told so", judge: () => reached("launched"), view: view({}), expected: "done" },
  {
    name: "launched: still loaded",
    judge: () => reached("launched"),
    view: view({ current: "loaded" }),
    expected: "waiting",
  },
  {
    name: "launched: what is seen is older than the desired state",
    judge: () => reached("launched"),
    view: view({ desired: "loaded" }),
    expected: "waiting",
  },
  { name: "launched: not there yet", judge: () => reached("launched"), view: never, expected: "waiting" },
  {
    name: "launched: destroyed meanwhile",
    judge: () => reached("launched"),
    view: vanished,
    expected: `unit ${name} no longer exists`,
  },
  {
    name: "stopped: its processes are ending",
    judge: stopped,
    view: view({ desired: "loaded", current: "loaded", active: "deactivating" }),
    expected: "waiting",
  },
  {
    name: "stopped: inactive",
    judge: stopped,
    view: view({ desired: "loaded", current: "loaded", active: "inactive" }),
    expected: "done",
  },
  {
    name: "stopped: a stop that ended badly is a stop",
    judge: stopped,
    view: view({ desired: "loaded", current: "loaded", active: "failed", error: "exit-code" }),
    expected: "done",
  },
  {
    name: "unloaded: a machine still has it",
    judge: unloaded,
    view: view({ desired: "inactive", current: "inactive", active: "deactivating" }),
    expected: "waiting",
  },
  {
    name: "unloaded: nobody has it",
    judge: unloaded,
    view: view({ desired: "inactive", current: "inactive" }),
    expected: "done",
  },
  { name: "gone: it is there", judge: gone, view: view({ active: "active" }), expected: "waiting" },
  {
    name: "gone: a machine still has it",
    judge: gone,
    view: { ...view({ active: "active" }), unit: undefined } as never,
    expected: "waiting",
  },
  { name: "gone: neither cluster nor machine has it", judge: gone, view: vanished, expected: "done" },
  {
    name: "started: active",
    judge: () => started(false),
    view: view({ active: "active", sub: "running" }),
    expected: "done",
  },
  {
    name: "started: under way",
    judge: () => started(false),
    view: view({ active: "activating", sub: "start" }),
    expected: "waiting",
  },
  { name: "started: its machine says nothing yet", judge: () => started(false), view: view({}), expected: "waiting" },
];

for (const { name, judge, view, expected } of simple) {
  Deno.test(name, () => assert.equal(after(judge(), [0, view]), expected));
}

const dead = { active: "inactive", sub: "dead" };
const failed = { active: "failed", sub: "failed", error: "exit-code" };
const failure = `unit ${name} failed: systemd reports it loaded, failed (failed): exit-code`;

Deno.test("started: systemd's own word for a failure counts more than that a job has failed", () => {
  const told = { ...failed, error: 'systemd\'s start job ended with "failed"', result: "exit-code" };
  assert.equal(after(started(false), [0, view({ ...told, active: "activating" })], [1, view(told)]), failure);
  const unloadable = { ...told, load: "bad-setting", error: "bad unit file setting" };
  assert.equal(
    after(started(false), [0, view({ ...unloadable, active: "activating" })], [1, view(unloadable)]),
    `unit ${name} failed: systemd reports it bad-setting, failed (failed): bad unit file setting`,
  );
});

Deno.test("having: a unit is where it should be once its machine has the new file", () => {
  const judge = having("new", reached("launched"));
  const seen = (hash: string): UnitView => {
    const { unit, states, ...rest } = view({ active: "active" });
    const [machine, said] = [...states][0]!;
    return { ...rest, unit: unit!, states: new Map([[machine, { state: { ...said.state, hash } }]]) };
  };
  assert.equal(after(judge, [0, seen("old")]), "waiting");
  assert.equal(after(judge, [0, seen("new")]), "done");
  assert.equal(after(judge, [0, view({})]), "waiting");
  assert.equal(after(judge, [0, vanished]), `unit ${name} no longer exists`);
  assert.equal(after(having(undefined, reached("launched")), [0, seen("old")]), "done");
});

Deno.test("started: a oneshot that was seen to run and is dead has done its work", () => {
  const oneshot = started(false);
  assert.equal(after(oneshot, [0, view({ active: "activating", sub: "start" })], [1, view(dead)]), "done");
});

Deno.test("started: a dead unit that was not seen to run may be about to", () => {
  assert.equal(after(started(false), [0, view(dead)], [settle_ms - 1, view(dead)]), "waiting");
  assert.equal(after(started(false), [0, view(dead)], [settle_ms, view(dead)]), "done");
});

Deno.test("started: it says when to look again", () => {
  assert.deepEqual(started(false)(name, view(dead), 7), { verdict: "waiting", again_ms: settle_ms });
});

Deno.test("started: a unit that has never run is given more time", () => {
  const fresh = view({ ...dead, since_ms: 0 });
  assert.equal(after(started(false), [0, fresh], [settleUnstarted_ms - 1, fresh]), "waiting");
  assert.equal(after(started(false), [0, fresh], [settleUnstarted_ms, fresh]), "done");
});

Deno.test("started: a start that is known to have come to its end is not waited for any longer", () => {
  for (const since_ms of [0, 5]) {
    assert.equal(after(started(false), [0, view({ ...dead, since_ms, job: "done" })]), "done");
  }
  assert.equal(after(started(false), [0, view({ ...failed, job: "failed" })]), failure);
});

Deno.test("started: news start the wait anew", () => {
  const steps = [[0, view({ ...dead, changes: 1 })], [400, view({ ...dead, changes: 2 })], [
    600,
    view({ ...dead, changes: 2 }),
  ]] as const;
  assert.equal(after(started(false), ...steps), "waiting");
});

Deno.test("started: a failure of an earlier run does not count, one of this run does at once", () => {
  assert.equal(after(started(false), [0, view(failed)]), "waiting");
  assert.equal(
    after(started(false), [0, view(failed)], [1, view({ active: "activating" })], [2, view(failed)]),
    failure,
  );
  assert.equal(after(started(false), [0, view(failed)], [settle_ms, view(failed)]), failure);
});

Deno.test("started: of a unit that is new, an end that systemd dates counts at once", () => {
  assert.equal(after(started(true), [0, view({ ...failed, since_ms: 7 })]), failure);
  assert.equal(after(started(true), [0, view({ ...dead, since_ms: 7 })]), "done");
  assert.equal(after(started(true), [0, view({ ...dead, since_ms: 0 })]), "waiting");
  assert.equal(after(started(true), [0, view(dead)]), "waiting");
});

Deno.test("started: a unit that ended with an error has failed", () => {
  const ended = view({ ...dead, error: "a condition was not met" });
  const expected = `unit ${name} failed: systemd reports it loaded, inactive (dead): a condition was not met`;
  assert.equal(after(started(false), [0, ended], [settle_ms, ended]), expected);
});

Deno.test("started: a unit that systemd cannot load has failed", () => {
  const missing = view({ ...dead, load: "not-found" });
  const expected = `unit ${name} failed: systemd reports it not-found, inactive (dead)`;
  assert.equal(after(started(false), [0, missing], [settle_ms, missing]), expected);
});

Deno.test("started: a first attempt that failed is a failure, though systemd will try again", () => {
  const again = view({ active: "activating", sub: "auto-restart", error: "exit-code" });
  assert.equal(
    after(started(false), [0, view({ active: "activating", sub: "start" })], [1, again]),
    `unit ${name} failed: systemd reports it loaded, activating (auto-restart): exit-code`,
  );
});

Deno.test("started: a unit that ended well and will run again goes on", () => {
  assert.equal(after(started(false), [0, view({ active: "activating", sub: "auto-restart" })]), "waiting");
});

const before = view({ active: "active", since_ms: 100, restart: 3, asked: 3 });

Deno.test("restarted: until the machine has done what was asked nothing counts", () => {
  assert.equal(after(restarted(before, 0), [0, before], [9e9, before]), "waiting");
  const asked = view({ active: "active", since_ms: 100, restart: 3, asked: 8 });
  assert.equal(after(restarted(before, 0), [0, asked], [9e9, asked]), "waiting");
});

Deno.test("restarted: a newer active state is the restarted one", () => {
  assert.equal(
    after(restarted(before, 0), [0, view({ active: "active", since_ms: 101, restart: 8, asked: 8 })]),
    "done",
  );
});

Deno.test("restarted: an active state as old as before counts once it has settled", () => {
  const same = view({ active: "active", since_ms: 100, restart: 8, asked: 8 });
  assert.equal(after(restarted(before, 0), [0, same]), "waiting");
  assert.equal(after(restarted(before, 0), [0, same], [settle_ms, same]), "done");
});

Deno.test("restarted: a unit that does not come back has failed", () => {
  const steps = [
    [0, view({ active: "deactivating", since_ms: 101, restart: 8, asked: 8 })],
    [1, view({ ...failed, since_ms: 102, restart: 8, asked: 8 })],
  ] as const;
  assert.equal(after(restarted(before, 0), ...steps), failure);
});

Deno.test("restarted: where restarts are not told of, a change of state is one", () => {
  const old = view({ active: "active", changes: 1 });
  const steps = [[0, old], [10, view({ active: "deactivating", changes: 2 })], [
    20,
    view({ active: "active", changes: 3 }),
  ]] as const;
  assert.equal(after(restarted(old, 0), ...steps), "done");
  assert.equal(after(restarted(old, 0), [0, old], [unseenRestart_ms - 1, old]), "waiting");
  assert.equal(after(restarted(old, 0), [0, old], [unseenRestart_ms, old]), "done");
});

const up = { active: "active", sub: "running" };

Deno.test("started: a unit that must stay active is started once it has been so for long enough", () => {
  assert.equal(after(started(true, 1000), [0, view(up)], [999, view(up)]), "waiting");
  assert.equal(after(started(true, 1000), [0, view(up)], [1000, view(up)]), "done");
  assert.deepEqual(started(true, 1000)(name, view(up), 7), { verdict: "waiting", again_ms: 1000 });
  assert.equal(after(started(true, 0), [0, view(up)]), "done");
});

Deno.test("started: a unit that fails while it must stay active has failed", () => {
  assert.equal(after(started(true, 1000), [0, view(up)], [500, view({ ...failed, since_ms: 9 })]), failure);
  const again = view({ active: "activating", sub: "auto-restart", error: "exit-code", result: "exit-code" });
  assert.equal(
    after(started(true, 1000), [0, view(up)], [100, again]),
    `unit ${name} failed: systemd reports it loaded, activating (auto-restart): exit-code`,
  );
});

Deno.test("started: a unit that ends well while it must stay active has done its work", () => {
  assert.equal(after(started(true, 1000), [0, view(up)], [500, view({ ...dead, since_ms: 9 })]), "done");
});

Deno.test("started: a unit that systemd had to start again has failed, although it is active", () => {
  const crashed = (times: string) =>
    `unit ${name} failed: its process has ended, and systemd has started it again ${times} already`;
  assert.equal(after(started(true, 1000), [0, view({ ...up, restarts: 1 })]), crashed("once"));
  assert.equal(after(started(false, 1000), [0, view(up)], [5, view({ ...up, restarts: 2 })]), crashed("2 times"));
  const told = view({ active: "activating", sub: "auto-restart", result: "signal" });
  assert.equal(
    after(started(false, 1000), [0, view(up)], [3, told], [5, view({ ...up, restarts: 1 })]),
    `unit ${name} failed: its process has ended (signal), and systemd has started it again once already`,
  );
});

Deno.test("started: what systemd had to start again long before does not count", () => {
  const old = view({ ...up, restarts: 3 });
  assert.equal(after(started(false, 1000), [0, old], [1000, old]), "done");
});

Deno.test("restarted: a unit that does not stay active has failed", () => {
  const back = { ...up, since_ms: 101, restart: 8, asked: 8 };
  assert.equal(after(restarted(before, 0, 1000), [0, view(back)], [999, view(back)]), "waiting");
  assert.equal(after(restarted(before, 0, 1000), [0, view(back)], [1000, view(back)]), "done");
  assert.equal(
    after(restarted(before, 0, 1000), [0, view(back)], [500, view({ ...back, ...failed, since_ms: 102 })]),
    failure,
  );
});
