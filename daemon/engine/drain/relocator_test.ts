import assert from "node:assert/strict";
import { SimulatedCluster } from "../../../tests/scheduling/scenarios/scenario.ts";
import type { Cluster, UnitState } from "../../../registry/model.ts";
import { schedule } from "../schedule.ts";
import { Relocator } from "./relocator.ts";

Deno.test("a unit that fails on its new machine no longer arrives, also after the end of the drain", () => {
  const simulation = new SimulatedCluster();
  const relocator = new Relocator();
  const plan = () => {
    const times = { wall_ms: simulation.now_ms, monotonic_ms: simulation.now_ms };
    simulation.apply(relocator.plan(simulation.cluster(), { absentAreGone: true }, times).steps);
  };
  for (const id of ["m1", "m2"]) simulation.machine(id, {});
  simulation.unit("a.service", "launched", [{ section: "X-Fleet", name: "Unique", value: "true" }]);
  simulation.apply(schedule(simulation.cluster()).placements);
  simulation.agents();
  simulation.breaks("a.service", "m2", true);
  simulation.drain("m1");
  plan();
  assert.deepEqual([...relocator.arriving], ["a.service"]);
  simulation.undrain("m1");
  simulation.agents();
  plan();
  assert.deepEqual([...relocator.arriving], []);
});

Deno.test("a drain by force stops no unit while a machine that may take it has just vanished", () => {
  const simulation = new SimulatedCluster();
  const relocator = new Relocator();
  for (const id of ["m1", "m2"]) simulation.machine(id, {});
  simulation.unit("a.service", "launched", []);
  simulation.apply(schedule(simulation.cluster()).placements);
  simulation.agents();
  simulation.drain("m1", { force: true });
  simulation.gone("m2");
  const times = { wall_ms: simulation.now_ms, monotonic_ms: simulation.now_ms };
  const plan = (vanished: ReadonlySet<string>) =>
    relocator.plan(simulation.cluster(), { absentAreGone: true, vanished }, times).steps.map(({ kind }) => kind);
  assert.deepEqual(plan(new Set(["m2"])), []);
  assert.deepEqual(plan(new Set()), ["unplace"]);
});

Deno.test("a unit whose machine has come back and has not reported it yet is not stopped first", () => {
  const simulation = new SimulatedCluster();
  const relocator = new Relocator();
  for (const id of ["m1", "m2"]) simulation.machine(id, {});
  simulation.unit("a.service", "launched", []);
  simulation.apply(schedule(simulation.cluster()).placements);
  simulation.drain("m1");
  const times = { wall_ms: simulation.now_ms, monotonic_ms: simulation.now_ms };
  const plan = () => relocator.plan(simulation.cluster(), { absentAreGone: true }, times).steps.map(({ kind }) => kind);
  assert.deepEqual(plan(), []);
  simulation.agents();
  assert.deepEqual(plan(), ["prepare"]);
});

Deno.test("an old copy runs on until the machine of the new one says that it has settled, however long that takes", () => {
  const simulation = new SimulatedCluster();
  for (const id of ["m1", "m2"]) simulation.machine(id, {});
  simulation.unit("a.service", "launched", []);
  simulation.apply(schedule(simulation.cluster()).placements);
  simulation.agents();
  simulation.drain("m1");
  simulation.apply(simulation.moves().steps);
  simulation.agents();
  const plan = () => simulation.moves().steps.map(({ kind }) => kind);
  assert.deepEqual(plan(), []);
  // The new machine has lost its power: its lease is not over yet, and its agent publishes nothing.
  simulation.now_ms += 30_000;
  assert.deepEqual(plan(), []);
  simulation.passes(0);
  assert.deepEqual(plan(), ["place"]);
});

Deno.test("a second copy that must be healthy for longer than HealthyDeadline= gets that time", () => {
  const simulation = new SimulatedCluster();
  const relocator = new Relocator();
  for (const id of ["m1", "m2"]) simulation.machine(id, {});
  simulation.unit("a.service", "launched", [{ section: "X-Fleet", name: "MinHealthyTime", value: "5min" }]);
  simulation.apply(schedule(simulation.cluster()).placements);
  simulation.agents();
  simulation.drain("m1");
  const planAt = (monotonic_ms: number) => {
    const times = { wall_ms: simulation.now_ms, monotonic_ms };
    return relocator.plan(simulation.cluster(), { absentAreGone: true }, times).steps;
  };
  simulation.apply(planAt(0));
  simulation.agents();
  const kindsAt = (monotonic_ms: number) => planAt(monotonic_ms).map(({ kind }) => kind);
  assert.deepEqual(kindsAt(1), [], "the copy is healthy, and its machine has not said that it stays so");
  assert.deepEqual(kindsAt(300_000), []);
  assert.deepEqual(kindsAt(360_001), ["abandon"], "its machine has never said so");
});

Deno.test("a new leader goes on waiting for a unit that a drain has stopped on its old machine", () => {
  const simulation = new SimulatedCluster();
  for (const id of ["m1", "m2"]) simulation.machine(id, {});
  simulation.unit("a.service", "launched", [{ section: "X-Fleet", name: "Unique", value: "true" }]);
  simulation.apply(schedule(simulation.cluster()).placements);
  simulation.agents();
  simulation.drain("m1");
  simulation.apply(simulation.moves().steps);
  const arrivingAt = (wall_ms: number) => {
    const leader = new Relocator();
    leader.plan(simulation.cluster(), { absentAreGone: true }, { wall_ms, monotonic_ms: 0 });
    return [...leader.arriving];
  };
  assert.deepEqual(arrivingAt(59_000), ["a.service"]);
  assert.deepEqual(arrivingAt(60_000), [], "HealthyDeadline= is over");
  simulation.agents();
  assert.deepEqual(arrivingAt(59_000), [], "it is healthy");
});

/** Returns the cluster with another state of a unit on a machine. */
function withState(cluster: Cluster, unit: string, machine: string, state: Partial<UnitState>): Cluster {
  const { hash, restart } = cluster.units.get(unit)!;
  const running = { unit, machine, hash, restart, commanded: "launched", load: "loaded", since_ms: 1 } as const;
  const on = new Map(cluster.states.get(unit)).set(machine, { ...running, active: "active", sub: "running", ...state });
  return { ...cluster, states: new Map(cluster.states).set(unit, on) };
}

const restarted = (restarts: number) => ({ active: "activating", sub: "auto-restart", result: "exit-code", restarts });
const down = { active: "failed", sub: "failed", result: "exit-code" };
const moveAfter2 = { OnFailure: "move", MoveAfter: "2/10m" };

for (
  const [what, state, gaveUp, options = {}] of [
    ["has failed", down, "failed on machine m2 with result exit-code"],
    [
      "is refused for good",
      { error: "bad file", permanent: true, tries: 3, commanded: "loaded" },
      "fails on machine m2: bad file",
    ],
    ["fails, and is started again by fleet", { ...down, tries: 1 }, undefined],
    ["has failed once of twice", { ...down, failures: 1 }, undefined, moveAfter2],
    ["has failed twice of twice", { ...down, failures: 2 }, "failed on machine m2 with result exit-code", moveAfter2],
    ["was started again by systemd four times", restarted(4), undefined],
    [
      "was started again by systemd five times",
      restarted(5),
      "crashes on machine m2 with result exit-code: systemd has started it again 5 times",
    ],
    [
      "runs, and was started again five times",
      { restarts: 5 },
      "crashes on machine m2: systemd has started it again 5 times",
    ],
    ["has settled, and was started again five times before", { restarts: 5, settled: 0 }, "moves"],
  ] as readonly (readonly [string, Partial<UnitState>, string | undefined, Record<string, string>?])[]
) {
  const end = gaveUp === undefined
    ? "gets its HealthyDeadline="
    : gaveUp === "moves"
    ? "takes over"
    : "is given up at once";
  Deno.test(`a second copy that ${what} ${end}`, () => {
    const simulation = new SimulatedCluster();
    const relocator = new Relocator();
    for (const id of ["m1", "m2"]) simulation.machine(id, {});
    const fleetOptions = Object.entries(options).map(([name, value]) => ({ section: "X-Fleet", name, value }));
    simulation.unit("a.service", "launched", fleetOptions);
    simulation.apply(schedule(simulation.cluster()).placements);
    simulation.agents();
    simulation.drain("m1");
    const planAt = (monotonic_ms: number, cluster: Cluster) => {
      const times = { wall_ms: 0, monotonic_ms };
      return relocator.plan(cluster, { absentAreGone: true }, times).steps.map((step) =>
        step.kind === "abandon" ? step.why : step.kind
      );
    };
    simulation.apply(
      relocator.plan(simulation.cluster(), { absentAreGone: true }, { wall_ms: 0, monotonic_ms: 0 }).steps,
    );
    const cluster = simulation.cluster();
    const [copy] = cluster.successors!.values();
    const { settled } = state;
    const after = withState(cluster, "a.service", "m2", {
      ...state,
      ...settled !== undefined && { settled: copy!.revision },
    });
    const why = "its second copy is not healthy: it ";
    if (gaveUp === "moves") assert.deepEqual(planAt(1, after), ["place"]);
    else assert.deepEqual(planAt(1, after), gaveUp === undefined ? [] : [why + gaveUp]);
    if (gaveUp === undefined) assert.ok(planAt(60_000, after)[0]!.startsWith(why));
  });
}

Deno.test("a state that a machine has reported before it got a second copy says nothing about that copy", () => {
  const simulation = new SimulatedCluster();
  const relocator = new Relocator();
  for (const id of ["m1", "m2"]) simulation.machine(id, {});
  simulation.unit("a.service", "launched", []);
  simulation.apply(schedule(simulation.cluster()).placements);
  simulation.agents();
  simulation.drain("m1");
  const plan = (since_ms: number) => {
    const cluster = withState(simulation.cluster(), "a.service", "m2", { ...down, since_ms });
    return relocator.plan(cluster, { absentAreGone: true }, { wall_ms: 0, monotonic_ms: 0 }).steps;
  };
  simulation.apply(plan(7));
  assert.deepEqual(plan(7), []);
  assert.deepEqual(plan(8).map(({ kind }) => kind), ["abandon"]);
});
