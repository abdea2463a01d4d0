import assert from "node:assert/strict";
import type { Cluster, UnitState } from "../../registry/model.ts";
import { SimulatedCluster } from "../../tests/scheduling/scenarios/scenario.ts";
import { schedule } from "./schedule.ts";

const option = (name: string, value: string) => ({ section: "X-Fleet", name, value });

/** The states of units on machines, by unit and machine. */
type States = Readonly<Record<string, Readonly<Record<string, Partial<UnitState>>>>>;

/** A cluster in which m1 was lost with both units, which were placed on m2, and is back. */
function returned(): SimulatedCluster {
  const cluster = new SimulatedCluster();
  const plan = () => cluster.apply(schedule(cluster.cluster()).placements);
  cluster.machine("m1", { disk: "ssd" });
  cluster.unit("a.service", "launched", [option("MachineMetadata", "disk=ssd")]);
  cluster.unit("b.service", "launched", [option("MachineOf", "a.service")]);
  plan();
  cluster.machine("m2", { disk: "ssd" });
  cluster.machine("m3", {});
  cluster.gone("m1");
  plan();
  cluster.machine("m1", { disk: "ssd" });
  assert.deepEqual([...cluster.targets.values()].map(({ machine }) => machine), ["m2", "m2"]);
  return cluster;
}

/** The moves that the engine plans when m1 is back. Running units have the newest file, unless `states` says otherwise. */
function moves(cluster: SimulatedCluster, states: States, back: readonly string[] = ["m1"]): string[] {
  const view = cluster.cluster();
  const full: Cluster["states"] = new Map(
    Object.entries(states).map(([unit, byMachine]) => [
      unit,
      new Map(
        Object.entries(byMachine).map(([machine, state]) => [
          machine,
          {
            unit,
            machine,
            hash: view.units.get(unit)!.hash,
            commanded: "launched",
            active: "active",
            ...state,
          } as UnitState,
        ]),
      ),
    ]),
  );
  const { placements } = schedule({ ...view, states: full }, { absentAreGone: true, returned: new Set(back) });
  return placements.flatMap((step) => step.kind === "place" ? [`${step.unit.name} ${step.machine}: ${step.why}`] : []);
}

const reason = "machine m1... came back with it before machine m2... had started it";

Deno.test("a unit that its new machine has not started goes back to the machine that still runs it", () => {
  const runs = { m1: {} };
  assert.deepEqual(moves(returned(), { "a.service": runs, "b.service": runs }), [
    `a.service m1: ${reason}`,
    `b.service m1: ${reason}`,
  ]);
  const failed = { m1: {}, m2: { commanded: "inactive", active: "inactive", error: "it is masked" } } as const;
  assert.equal(
    moves(returned(), { "a.service": failed, "b.service": failed }).length,
    2,
    "its new machine cannot start it",
  );
});

Deno.test("a unit stays on its new machine if that has started it, or if the machine before does not run it", () => {
  const cases: readonly States[string][] = [
    { m1: {}, m2: {} },
    { m1: {}, m2: { active: "failed" } },
    { m1: { active: "deactivating" } },
    { m1: { active: "inactive" } },
    { m1: { commanded: "loaded" } },
    { m1: { hash: "another file" } },
    {},
  ];
  for (const states of cases) {
    assert.deepEqual(moves(returned(), { "a.service": states, "b.service": states }), [], JSON.stringify(states));
  }
});

Deno.test("a machine that has been back for a while gets no units back", () => {
  assert.deepEqual(moves(returned(), { "a.service": { m1: {} }, "b.service": { m1: {} } }, []), []);
});

Deno.test("a unit stays on its new machine if the machine that is back may not run it any more", () => {
  const cluster = returned();
  cluster.label("m1", "disk", "hdd");
  assert.deepEqual(moves(cluster, { "a.service": { m1: {} }, "b.service": { m1: {} } }), []);
});
