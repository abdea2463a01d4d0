import assert from "node:assert/strict";
import type { StateView, UnitView } from "./unit_watcher.ts";
import {
  changed_ms,
  gone,
  having,
  loaded,
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

interface ViewFields {
  readonly desired?: string;
  readonly current?: string;
  readonly active?: string;
  readonly sub?: string;
  readonly load?: string;
  readonly error?: string;
  readonly result?: string;
  readonly job?: string;
  readonly since?: number;
  readonly restart?: number;
  readonly restarts?: number;
  readonly asked?: number;
  readonly changes?: number;
}

/**
 * Returns the view of a launched unit on machine m, with `fields` in place of the defaults. Without `active`, no machine
 * reports a state.
 */
function view(fields: ViewFields): UnitView {
  const { desired = "launched", current = "launched", active, sub = "", load = "loaded" } = fields;
  const states = new Map<string, StateView>();
  if (active !== undefined) {
    states.set("m", {
      state: { name, machineID: "m", systemdLoadState: load, systemdActiveState: active, systemdSubState: sub },
      ...(fields.error === undefined ? {} : { error: fields.error }),
      ...(fields.job === undefined ? {} : { job: fields.job }),
      ...(fields.result === undefined ? {} : { result: fields.result }),
      ...(fields.since === undefined ? {} : { since: fields.since }),
      ...(fields.restart === undefined ? {} : { restart: fields.restart }),
      ...(fields.restarts === undefined ? {} : { restarts: fields.restarts }),
    });
  }
  return {
    unit: { name, desiredState: desired, currentState: current, machineID: "m" },
    ...(fields.asked === undefined ? {} : { restart: fields.asked }),
    ...{ seen: true, states, stateChanges: fields.changes ?? 0 },
  };
}

const never: UnitView = { seen: false, states: new Map(), stateChanges: 0 };
const vanished: UnitView = { seen: true, states: new Map(), stateChanges: 0 };

/**
 * Checks a condition with one view after the other, each at the given time. Returns the last verdict, or the reason of a
 * failure.
 */
function after(condition: WaitCondition, ...steps: readonly (readonly [at_ms: number, seen: UnitView])[]): string {
  let status: WaitStatus = { verdict: "waiting" };
  for (const [at_ms, seen] of steps) status = condition(name, seen, at_ms);
  return status.verdict === "failed" ? status.reason : status.verdict;
}

const simple: { name: string; condition: () => WaitCondition; view: UnitView; expected: string }[] = [
  {
    name: "launched is met once the agent has issued a start",
    condition: () => reached("launched"),
    view: view({}),
    expected: "done",
  },
  {
    name: "launched is not met while the unit is only loaded",
    condition: () => reached("launched"),
    view: view({ current: "loaded" }),
    expected: "waiting",
  },
  {
    name: "launched is not met by a view that is older than the new desired state",
    condition: () => reached("launched"),
    view: view({ desired: "loaded" }),
    expected: "waiting",
  },
  {
    name: "launched waits for a unit that the cluster does not have yet",
    condition: () => reached("launched"),
    view: never,
    expected: "waiting",
  },
  {
    name: "launched fails if the unit is destroyed during the wait",
    condition: () => reached("launched"),
    view: vanished,
    expected: `unit ${name} no longer exists`,
  },
  {
    name: "stopped is not met while the processes of the unit are ending",
    condition: stopped,
    view: view({ desired: "loaded", current: "loaded", active: "deactivating" }),
    expected: "waiting",
  },
  {
    name: "stopped is met by an inactive unit",
    condition: stopped,
    view: view({ desired: "loaded", current: "loaded", active: "inactive" }),
    expected: "done",
  },
  {
    name: "stopped is met by a unit that failed while it stopped",
    condition: stopped,
    view: view({ desired: "loaded", current: "loaded", active: "failed", error: "exit-code" }),
    expected: "done",
  },
  {
    name: "unloaded is not met while a machine has the unit",
    condition: unloaded,
    view: view({ desired: "inactive", current: "inactive", active: "deactivating" }),
    expected: "waiting",
  },
  {
    name: "unloaded is met once no machine has the unit",
    condition: unloaded,
    view: view({ desired: "inactive", current: "inactive" }),
    expected: "done",
  },
  {
    name: "gone is not met while the cluster has the unit",
    condition: gone,
    view: view({ active: "active" }),
    expected: "waiting",
  },
  {
    name: "gone is not met while a machine has the unit",
    condition: gone,
    view: { ...view({ active: "active" }), unit: undefined } as never,
    expected: "waiting",
  },
  {
    name: "gone is met once neither the cluster nor a machine has the unit",
    condition: gone,
    view: vanished,
    expected: "done",
  },
  {
    name: "started is met by an active unit",
    condition: () => started(false),
    view: view({ active: "active", sub: "running" }),
    expected: "done",
  },
  {
    name: "started is not met while the unit is activating",
    condition: () => started(false),
    view: view({ active: "activating", sub: "start" }),
    expected: "waiting",
  },
  {
    name: "started waits for the first report of the machine",
    condition: () => started(false),
    view: view({}),
    expected: "waiting",
  },
];

for (const { name, condition, view, expected } of simple) {
  Deno.test(name, () => assert.equal(after(condition(), [0, view]), expected));
}

const dead = { active: "inactive", sub: "dead" };
const failed = { active: "failed", sub: "failed", error: "exit-code" };
const failure = `unit ${name} failed: systemd reports it loaded, failed (failed): exit-code`;

Deno.test("started: the unit's result takes precedence over the job's error", () => {
  const reported = { ...failed, error: 'systemd\'s start job ended with "failed"', result: "exit-code" };
  assert.equal(after(started(false), [0, view({ ...reported, active: "activating" })], [1, view(reported)]), failure);
  const unloadable = { ...reported, load: "bad-setting", error: "bad unit file setting" };
  assert.equal(
    after(started(false), [0, view({ ...unloadable, active: "activating" })], [1, view(unloadable)]),
    `unit ${name} failed: systemd reports it bad-setting, failed (failed): bad unit file setting`,
  );
});

Deno.test("having: the condition is met only once the unit's machine has the new file", () => {
  const condition = having("new", reached("launched"));
  const seen = (hash: string): UnitView => {
    const { unit, states, ...rest } = view({ active: "active" });
    const [machine, reported] = [...states][0]!;
    return { ...rest, unit: unit!, states: new Map([[machine, { state: { ...reported.state, hash } }]]) };
  };
  assert.equal(after(condition, [0, seen("old")]), "waiting");
  assert.equal(after(condition, [0, seen("new")]), "done");
  assert.equal(after(condition, [0, view({})]), "waiting");
  assert.equal(after(condition, [0, vanished]), `unit ${name} no longer exists`);
  assert.equal(after(having(undefined, reached("launched")), [0, seen("old")]), "done");
});

Deno.test("loaded: the wait for the load state has a limit", () => {
  const unreported = view({ desired: "loaded", current: "loaded" });
  const broken = view({ desired: "loaded", current: "loaded", active: "inactive", load: "bad-setting" });
  const expected = `unit ${name} cannot be started as it is: systemd reports it bad-setting`;
  assert.equal(after(loaded(), [0, unreported], [settle_ms - 1, unreported]), "waiting");
  assert.equal(after(loaded(), [0, unreported], [1, broken]), expected);
  assert.equal(after(loaded(), [0, unreported], [settle_ms, unreported]), "done");
});

Deno.test("started: a oneshot unit that was seen running has succeeded once it is dead", () => {
  const oneshot = started(false);
  assert.equal(after(oneshot, [0, view({ active: "activating", sub: "start" })], [1, view(dead)]), "done");
});

Deno.test("started: a dead unit that was not seen running may be about to start", () => {
  assert.equal(after(started(false), [0, view(dead)], [settle_ms - 1, view(dead)]), "waiting");
  assert.equal(after(started(false), [0, view(dead)], [settle_ms, view(dead)]), "done");
});

Deno.test("started: the time of the next check is returned", () => {
  assert.deepEqual(started(false)(name, view(dead), 7), { verdict: "waiting", again_ms: settle_ms });
});

Deno.test("started: a unit that has never run is given more time", () => {
  const fresh = view({ ...dead, since: 0 });
  assert.equal(after(started(false), [0, fresh], [settleUnstarted_ms - 1, fresh]), "waiting");
  assert.equal(after(started(false), [0, fresh], [settleUnstarted_ms, fresh]), "done");
});

Deno.test("started: the result of an ended start job counts at once, without time to settle", () => {
  for (const since of [0, 5]) {
    assert.equal(after(started(false), [0, view({ ...dead, since, job: "done" })]), "done");
  }
  assert.equal(after(started(false), [0, view({ ...failed, job: "failed" })]), failure);
});

Deno.test("started: a new event restarts the time to settle", () => {
  const steps = [[0, view({ ...dead, changes: 1 })], [400, view({ ...dead, changes: 2 })], [
    600,
    view({ ...dead, changes: 2 }),
  ]] as const;
  assert.equal(after(started(false), ...steps), "waiting");
});

Deno.test("started: a failure of an earlier run does not count, and a failure of this run counts at once", () => {
  assert.equal(after(started(false), [0, view(failed)]), "waiting");
  assert.equal(
    after(started(false), [0, view(failed)], [1, view({ active: "activating" })], [2, view(failed)]),
    failure,
  );
  assert.equal(after(started(false), [0, view(failed)], [settle_ms, view(failed)]), failure);
});

Deno.test("started: the end of a new unit counts at once if systemd reports its time", () => {
  assert.equal(after(started(true), [0, view({ ...failed, since: 7 })]), failure);
  assert.equal(after(started(true), [0, view({ ...dead, since: 7 })]), "done");
  assert.equal(after(started(true), [0, view({ ...dead, since: 0 })]), "waiting");
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

Deno.test("started: a failed first attempt is a failure, although systemd will restart the unit", () => {
  const again = view({ active: "activating", sub: "auto-restart", error: "exit-code" });
  assert.equal(
    after(started(false), [0, view({ active: "activating", sub: "start" })], [1, again]),
    `unit ${name} failed: systemd reports it loaded, activating (auto-restart): exit-code`,
  );
});

Deno.test("started: a unit that ended successfully and will be restarted is still starting", () => {
  assert.equal(after(started(false), [0, view({ active: "activating", sub: "auto-restart" })]), "waiting");
});

const before = view({ active: "active", since: 100, restart: 3, asked: 3 });

Deno.test("restarted: no state counts before the machine has carried out the restart", () => {
  assert.equal(after(restarted(before, 0), [0, before], [9e9, before]), "waiting");
  const asked = view({ active: "active", since: 100, restart: 3, asked: 8 });
  assert.equal(after(restarted(before, 0), [0, asked], [9e9, asked]), "waiting");
});

Deno.test("restarted: an active state that began after the restart request is done", () => {
  assert.equal(
    after(restarted(before, 0), [0, view({ active: "active", since: 101, restart: 8, asked: 8 })]),
    "done",
  );
});

Deno.test("restarted: an active state with an unchanged time counts after the time to settle", () => {
  const same = view({ active: "active", since: 100, restart: 8, asked: 8 });
  assert.equal(after(restarted(before, 0), [0, same]), "waiting");
  assert.equal(after(restarted(before, 0), [0, same], [settle_ms, same]), "done");
});

Deno.test("restarted: a unit that is not active again has failed", () => {
  const steps = [
    [0, view({ active: "deactivating", since: 101, restart: 8, asked: 8 })],
    [1, view({ ...failed, since: 102, restart: 8, asked: 8 })],
  ] as const;
  assert.equal(after(restarted(before, 0), ...steps), failure);
});

Deno.test("restarted: a change of state counts as a restart if the server does not report restarts", () => {
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

Deno.test("started: a unit that must stay active is started after it has been active for long enough", () => {
  assert.equal(after(started(true, 1000), [0, view(up)], [999, view(up)]), "waiting");
  assert.equal(after(started(true, 1000), [0, view(up)], [1000, view(up)]), "done");
  assert.deepEqual(started(true, 1000)(name, view(up), 7), { verdict: "waiting", again_ms: 1000 });
  assert.equal(after(started(true, 0), [0, view(up)]), "done");
});

Deno.test("started: a unit that fails while it must stay active has failed", () => {
  assert.equal(after(started(true, 1000), [0, view(up)], [500, view({ ...failed, since: 9 })]), failure);
  const again = view({ active: "activating", sub: "auto-restart", error: "exit-code", result: "exit-code" });
  assert.equal(
    after(started(true, 1000), [0, view(up)], [100, again]),
    `unit ${name} failed: systemd reports it loaded, activating (auto-restart): exit-code`,
  );
});

Deno.test("started: a unit that ends successfully while it must stay active is started", () => {
  assert.equal(after(started(true, 1000), [0, view(up)], [500, view({ ...dead, since: 9 })]), "done");
});

Deno.test("started: a unit that systemd restarted has failed, although it is active", () => {
  const crashed = (times: string) =>
    `unit ${name} failed: its process ended, and systemd has already restarted it ${times}`;
  assert.equal(after(started(true, 1000), [0, view({ ...up, restarts: 1 })]), crashed("once"));
  assert.equal(after(started(false, 1000), [0, view(up)], [5, view({ ...up, restarts: 2 })]), crashed("2 times"));
  const restarting = view({ active: "activating", sub: "auto-restart", result: "signal" });
  assert.equal(
    after(started(false, 1000), [0, view(up)], [3, restarting], [5, view({ ...up, restarts: 1 })]),
    `unit ${name} failed: its process ended (signal), and systemd has already restarted it once`,
  );
});

Deno.test("started: restarts before the start do not count", () => {
  const old = view({ ...up, restarts: 3 });
  assert.equal(after(started(false, 1000), [0, old], [1000, old]), "done");
});

Deno.test("restarted: a unit that does not stay active has failed", () => {
  const back = { ...up, since: 101, restart: 8, asked: 8 };
  assert.equal(after(restarted(before, 0, 1000), [0, view(back)], [999, view(back)]), "waiting");
  assert.equal(after(restarted(before, 0, 1000), [0, view(back)], [1000, view(back)]), "done");
  assert.equal(
    after(restarted(before, 0, 1000), [0, view(back)], [500, view({ ...back, ...failed, since: 102 })]),
    failure,
  );
});

Deno.test("a unit that another client changes meanwhile has neither started nor stopped", () => {
  const other = (desired: string) =>
    `unit ${name} was changed by another client meanwhile: its desired state is ${desired}`;
  const dead = { active: "inactive", sub: "dead", since: 102 };
  const stoppedByOther = view({ ...dead, desired: "loaded", current: "loaded", restart: 8, asked: 8 });
  for (const condition of [restarted(before, 0), started(true)]) {
    const steps = [[0, view({ active: "activating", since: 101, restart: 8, asked: 8 })], [1, stoppedByOther]] as const;
    assert.equal(after(condition, ...steps, [changed_ms, stoppedByOther]), "waiting");
    assert.equal(condition(name, stoppedByOther, changed_ms + 1).verdict, "failed");
  }
  const stopping = view({ active: "deactivating", desired: "loaded" });
  const startedByOther = view({ active: "active" });
  assert.equal(after(stopped(), [0, stopping], [1, startedByOther], [changed_ms, startedByOther]), "waiting");
  assert.equal(
    after(stopped(), [0, stopping], [1, startedByOther], [changed_ms + 1, startedByOther]),
    other("launched"),
  );
});

Deno.test("an older view, such as that of another server, is no change of another client", () => {
  const stopping = view({ active: "deactivating", desired: "loaded" });
  const older = view({ active: "active" });
  const ended = view({ active: "inactive", sub: "dead", desired: "loaded", current: "loaded" });
  // The request is not in the view yet.
  assert.equal(after(stopped(), [0, older], [9e9, older]), "waiting");
  assert.equal(after(stopped(), [0, stopping], [1, older], [changed_ms, ended], [9e9, ended]), "done");
});
