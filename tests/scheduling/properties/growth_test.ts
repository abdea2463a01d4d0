/**
 * The scheduler's work grows moderately with large groups and with groups that no machine takes. It is measured by the
 * number of times that a unit's requirements are read.
 */

import assert from "node:assert/strict";
import { schedule } from "../../../daemon/engine/schedule.ts";
import type { Cluster, Unit } from "../../../registry/model.ts";
import { SimulatedCluster } from "../scenarios/scenario.ts";

/** A cluster that counts how often the requirements of its units are read. */
function counting(cluster: Cluster): { readonly cluster: Cluster; readonly reads: () => number } {
  let reads = 0;
  const units = new Map([...cluster.units].map(([name, unit]): [string, Unit] => {
    const { requirements } = unit;
    return [name, Object.defineProperty({ ...unit }, "requirements", { get: () => (reads++, requirements) })];
  }));
  return { cluster: { ...cluster, units }, reads: () => reads };
}

type Lines = (index: number, size: number) => readonly string[];

/** The reads for a group of `size` units: before any unit has a machine, and after the first plan. */
function work(size: number, lines: Lines): readonly [number, number] {
  const simulation = new SimulatedCluster();
  for (let index = 0; index < 5; index++) simulation.machine(`m${index}`, {});
  simulation.unit("every.service", "launched", [{ section: "X-Fleet", name: "Global", value: "true" }]);
  for (let index = 0; index < size; index++) {
    const options = lines(index, size).map((line) => {
      const [name = "", value = ""] = line.split("=");
      return { section: "X-Fleet", name, value };
    });
    simulation.unit(`u${index}.service`, "launched", options);
  }
  return [decide(simulation), decide(simulation)];
}

function decide(simulation: SimulatedCluster): number {
  const { cluster, reads } = counting(simulation.cluster());
  simulation.apply(schedule(cluster).placements);
  return reads();
}

const following = (index: number) => `MachineOf=u${index - 1}.service`;
const conflicting = "Conflicts=every.service";

const groups: Readonly<Record<string, Lines>> = {
  "a chain": (index) => index === 0 ? [] : [following(index)],
  "a chain whose last unit is refused": (index) => index === 0 ? [conflicting] : [following(index)],
  "a chain whose first unit is refused, launched in reverse order": (index, size) =>
    index === size - 1 ? [conflicting] : [`MachineOf=u${index + 1}.service`],
  "a chain whose second half is refused": (index, size) =>
    index === 0 ? [] : index === size / 2 ? [following(index), conflicting] : [following(index)],
  "a cycle that is refused": (index, size) =>
    index === 0 ? [`MachineOf=u${size - 1}.service`, conflicting] : [following(index)],
  "followers of a unit that is refused": (index) => index === 0 ? [conflicting] : ["MachineOf=u0.service"],
  "followers that conflict with each other": (index) =>
    index === 0 ? [] : ["MachineOf=u0.service", "Conflicts=u[1-9]*"],
};

for (const [title, lines] of Object.entries(groups)) {
  Deno.test(`growth: ${title}`, () => {
    const [small, large] = [work(60, lines), work(120, lines)];
    for (const at of [0, 1] as const) {
      const grows = large[at] / small[at];
      assert.ok(grows < 5, `twice the units cost ${grows.toFixed(1)} times the work: ${small[at]}, then ${large[at]}`);
    }
  });
}

/** One machine after its first plan: options of each unit, and the limit of the growth of work with twice the units. */
const denseMachines: Readonly<Record<string, { readonly lines: (index: number) => readonly string[]; limit: number }>> =
  {
    "units without options": { lines: () => [], limit: 3 },
    "units of which one has Conflicts": {
      lines: (index) => index === 0 ? ["Conflicts=other@*.service"] : [],
      limit: 3,
    },
    // Each replaced unit is compared with every other unit of its machine.
    "units that replace each other and have no other machine": {
      lines: (index) => index % 4 === 0 ? [`Replaces=u${index + 1}.service`] : [],
      limit: 5,
    },
  };

for (const [title, { lines, limit }] of Object.entries(denseMachines)) {
  Deno.test(`growth: a settled machine with ${title}`, () => {
    const decideAgain = (size: number) => {
      const simulation = new SimulatedCluster();
      simulation.machine("m1", {});
      for (let index = 0; index < size; index++) simulation.unit(`u${index}.service`, "launched", []);
      simulation.apply(schedule(simulation.cluster()).placements);
      for (let index = 0; index < size; index++) {
        const options = lines(index).map((line) => {
          const [name = "", value = ""] = line.split("=");
          return { section: "X-Fleet", name, value };
        });
        simulation.unit(`u${index}.service`, "launched", options);
      }
      decide(simulation);
      return decide(simulation);
    };
    const [small, large] = [decideAgain(200), decideAgain(400)];
    const grows = large / small;
    assert.ok(grows < limit, `twice the units cost ${grows.toFixed(1)} times the work: ${small}, then ${large}`);
  });
}

Deno.test("growth: a group of 5,000 units is placed in one plan", () => {
  const simulation = new SimulatedCluster();
  simulation.machine("m1", {});
  const size = 5_000;
  for (let index = 0; index < size; index++) {
    const value = `u${index + 1}.service`;
    simulation.unit(
      `u${index}.service`,
      "launched",
      index + 1 < size ? [{ section: "X-Fleet", name: "MachineOf", value }] : [],
    );
  }
  const { placements } = schedule(simulation.cluster());
  const placed = placements.flatMap((step) => step.kind === "place" ? [step.unit.name] : []);
  assert.deepEqual(placed, Array.from({ length: size }, (_, index) => `u${size - 1 - index}.service`));
  simulation.apply(placements);
  assert.deepEqual(schedule(simulation.cluster()).placements, []);
});
