import assert from "node:assert/strict";
import { SimulatedCluster } from "../../../tests/scheduling/scenarios/scenario.ts";
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
