import assert from "node:assert/strict";
import type { Cluster, Target, Unit, UnitState } from "../../registry/model.ts";
import { parseRequirements } from "../../registry/requirements.ts";
import { healthOf } from "./health.ts";

const hash = "a".repeat(40);

function unitOf(more: Partial<Unit> = {}): Unit {
  const unit = {
    name: "a.service",
    hash,
    fleetOptions: [],
    desiredState: "launched",
    restart: 5,
    launchedAt: 1,
  } as const;
  return { ...unit, requirements: parseRequirements("a.service", []), revision: 5, ...more };
}

const running: UnitState = {
  ...{ unit: "a.service", machine: "machine-1", hash, commanded: "launched", restart: 5 },
  ...{ load: "loaded", active: "active", sub: "running", since_ms: 1 },
};

function clusterOf(
  unit: Unit,
  states: readonly UnitState[],
  more: Partial<Cluster> & { readonly text?: string } = {},
): Cluster {
  const target = { unit: unit.name, machine: "machine-1", why: "", since_ms: 0, revision: 1 } satisfies Target;
  const record = { ip: "", incarnation: "", staticMetadata: {}, metadata: {}, version: "2" };
  const machine = (id: string) => [id, { id, ...record, capabilities: { disableEngine: false } }] as const;
  const { text = "[Service]\nExecStart=/bin/a\n", ...rest } = more;
  return {
    ...{ id: "1", revision: 9, assignments: new Map(), dynamicMetadata: new Map() },
    units: new Map([[unit.name, unit]]),
    files: new Map([[unit.hash, { hash: unit.hash, text, revision: 1 }]]),
    targets: unit.requirements.global ? new Map() : new Map([[unit.name, target]]),
    machines: new Map([machine("machine-1"), machine("machine-2")]),
    states: new Map([[unit.name, new Map(states.map((state) => [state.machine, state]))]]),
    ...rest,
  };
}

Deno.test("a unit is healthy if its machine says that it runs as desired, and otherwise the reason is given", () => {
  const { restarts: _restarts, ...old } = running;
  const cases: readonly (readonly [string, Partial<UnitState> | undefined, Partial<Unit>?])[] = [
    ["healthy", {}],
    ["waiting: does not have its file on machine machine- yet", undefined],
    ["waiting: does not have its file on machine machine- yet", { hash: "b".repeat(40) }],
    [
      "waiting: does not have its file on machine machine- yet: bad file",
      { hash: "b".repeat(40), error: "bad file", permanent: true },
    ],
    ["waiting: is not started on machine machine- yet", { commanded: "loaded" }],
    ["waiting: is not started on machine machine- yet", { restart: 4 }],
    ["waiting: is not started on machine machine- yet: StartUnit: no", { commanded: "loaded", error: "StartUnit: no" }],
    ["waiting: is activating (start) on machine machine-", { active: "activating", sub: "start" }],
    [
      "waiting: is activating (auto-restart) on machine machine- with result exit-code",
      { active: "activating", sub: "auto-restart", result: "exit-code" },
    ],
    ["waiting: is inactive (dead) on machine machine-", { active: "inactive", sub: "dead" }],
    ["unhealthy: failed on machine machine- with result signal", { active: "failed", result: "signal" }],
    ["unhealthy: fails on machine machine-: bad file", { commanded: "inactive", error: "bad file", permanent: true }],
    ["healthy", { commanded: "loaded", active: "inactive" }, { desiredState: "loaded" }],
    ["healthy", undefined, { desiredState: "inactive" }],
    ["healthy", undefined, { name: "a@.service" }],
    ["unhealthy: cannot be read", {}, { unreadable: "it is not JSON" }],
  ];
  for (const [expected, state, unit] of cases) {
    const health = healthOf(clusterOf(unitOf(unit), state ? [{ ...old, ...state }] : []), unitOf(unit));
    assert.equal(health.kind === "healthy" ? "healthy" : `${health.kind}: ${health.why}`, expected);
  }
});

Deno.test("a unit with a health check is healthy while the check passes", () => {
  const unit = unitOf({ fleetOptions: [{ section: "X-Fleet", name: "HealthCheck", value: "/bin/check" }] });
  const health = (more: Partial<UnitState>) => healthOf(clusterOf(unit, [{ ...running, ...more }]), unit);
  assert.equal(health({ health: "passing" }).kind, "healthy");
  assert.deepEqual(health({}), { kind: "waiting", why: "was not checked on machine machine- yet" });
  assert.deepEqual(health({ health: "failing", healthReason: "exit status 1" }), {
    kind: "waiting",
    why: "fails its health check on machine machine-: exit status 1",
  });
});

Deno.test("a oneshot is healthy when it has ended with success", () => {
  const text = "[Service]\nType=oneshot\nExecStart=/bin/a\n";
  const ended = { ...running, active: "inactive", sub: "dead", job: "done" };
  const kind = (state: UnitState, more = {}) => healthOf(clusterOf(unitOf(), [state], more), unitOf()).kind;
  assert.equal(kind(ended, { text }), "healthy");
  assert.equal(kind({ ...ended, result: "exit-code" }, { text }), "unhealthy");
  assert.equal(kind({ ...ended, job: "failed" }, { text }), "waiting");
  assert.equal(kind(ended), "waiting", "another service is to run");
  for (const type of ["build", "image", "network", "volume"]) {
    const unit = unitOf({ name: `a.${type}` });
    assert.equal(healthOf(clusterOf(unit, [{ ...ended, unit: unit.name }]), unit).kind, "healthy", type);
  }
});

Deno.test("a unit without a machine, or whose machine is away, is waited for", () => {
  const unit = unitOf();
  for (
    const [more, why] of [
      [{ targets: new Map() }, "has no machine yet"],
      [{ machines: new Map() }, "is on machine machine-, which is away"],
    ] as const
  ) assert.deepEqual(healthOf(clusterOf(unit, [running], more), unit), { kind: "waiting", why });
});

Deno.test("a global unit is healthy if it is healthy on every machine where it runs", () => {
  const unit = unitOf({ requirements: { ...parseRequirements("a.service", []), global: true } });
  const elsewhere = { ...running, machine: "machine-2" };
  assert.equal(healthOf(clusterOf(unit, [running, elsewhere]), unit).kind, "healthy");
  assert.equal(healthOf(clusterOf(unit, [running]), unit).kind, "waiting");
  assert.equal(healthOf(clusterOf(unit, [running, { ...elsewhere, active: "failed" }]), unit).kind, "unhealthy");
  assert.equal(healthOf(clusterOf(unit, [], { machines: new Map() }), unit).kind, "healthy", "it is to run nowhere");
});

Deno.test("the start of a healthy unit changes with each start by systemd", () => {
  const start = (state: UnitState) => {
    const health = healthOf(clusterOf(unitOf(), [state]), unitOf());
    return health.kind === "healthy" ? health.start : health.why;
  };
  assert.equal(start(running), start({ ...running }));
  assert.notEqual(start(running), start({ ...running, restarts: 1 }));
  assert.notEqual(start(running), start({ ...running, since_ms: 2 }));
});
