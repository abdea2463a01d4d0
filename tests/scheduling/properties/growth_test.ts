/** Groups that no machine takes, and long ones, hold up nobody: how the work grows with them, told by what is looked at. */

import assert from "node:assert/strict";
import { schedule } from "../../../daemon/engine/schedule.ts";
import type { Cluster, Unit } from "../../../registry/model.ts";
import { Story } from "../scenarios/scenario.ts";

/** A cluster whose units count how often anybody asks what they require. */
function counting(cluster: Cluster): { readonly cluster: Cluster; readonly asked: () => number } {
  let asked = 0;
  const units = new Map([...cluster.units].map(([name, unit]): [string, Unit] => {
    const { requirements } = unit;
    return [name, Object.defineProperty({ ...unit }, "requirements", { get: () => (asked++, requirements) })];
  }));
  return { cluster: { ...cluster, units }, asked: () => asked };
}

type Lines = (index: number, size: number) => readonly string[];

/** What deciding costs for a group of so many units, before any has a machine and when all have got what they can. */
function work(size: number, lines: Lines): readonly [number, number] {
  const story = new Story();
  for (let index = 0; index < 5; index++) story.machine(`m${index}`, {});
  story.unit("every.service", "launched", [{ section: "X-Fleet", name: "Global", value: "true" }]);
  for (let index = 0; index < size; index++) {
    const options = lines(index, size).map((line) => {
      const [name = "", value = ""] = line.split("=");
      return { section: "X-Fleet", name, value };
    });
    story.unit(`u${index}.service`, "launched", options);
  }
  return [decide(story), decide(story)];
}

function decide(story: Story): number {
  const { cluster, asked } = counting(story.cluster());
  story.apply(schedule(cluster).placements);
  return asked();
}

const behind = (index: number) => `MachineOf=u${index - 1}.service`;
const against = "Conflicts=every.service";

const groups: Readonly<Record<string, Lines>> = {
  "a chain": (index) => index === 0 ? [] : [behind(index)],
  "a chain whose last nobody takes": (index) => index === 0 ? [against] : [behind(index)],
  "a chain whose first nobody takes, launched the other way round": (index, size) =>
    index === size - 1 ? [against] : [`MachineOf=u${index + 1}.service`],
  "a chain of which nobody takes the second half": (index, size) =>
    index === 0 ? [] : index === size / 2 ? [behind(index), against] : [behind(index)],
  "a circle that nobody takes": (index, size) =>
    index === 0 ? [`MachineOf=u${size - 1}.service`, against] : [behind(index)],
  "followers of one that nobody takes": (index) => index === 0 ? [against] : ["MachineOf=u0.service"],
  "followers that are against each other": (index) => index === 0 ? [] : ["MachineOf=u0.service", "Conflicts=u[1-9]*"],
};

for (const [what, lines] of Object.entries(groups)) {
  Deno.test(`growth: ${what}`, () => {
    const [small, large] = [work(60, lines), work(120, lines)];
    for (const at of [0, 1] as const) {
      const grows = large[at] / small[at];
      assert.ok(grows < 5, `twice the units cost ${grows.toFixed(1)} times the work: ${small[at]}, then ${large[at]}`);
    }
  });
}

/** One settled machine: what each unit asks for, and how much more work twice the units may be. */
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

for (const [what, { lines, limit }] of Object.entries(denseMachines)) {
  Deno.test(`growth: a settled machine with ${what}`, () => {
    const decideAgain = (size: number) => {
      const story = new Story();
      story.machine("m1", {});
      for (let index = 0; index < size; index++) story.unit(`u${index}.service`, "launched", []);
      story.apply(schedule(story.cluster()).placements);
      for (let index = 0; index < size; index++) {
        const options = lines(index).map((line) => {
          const [name = "", value = ""] = line.split("=");
          return { section: "X-Fleet", name, value };
        });
        story.unit(`u${index}.service`, "launched", options);
      }
      decide(story);
      return decide(story);
    };
    const [small, large] = [decideAgain(200), decideAgain(400)];
    const grows = large / small;
    assert.ok(grows < limit, `twice the units cost ${grows.toFixed(1)} times the work: ${small}, then ${large}`);
  });
}

Deno.test("growth: a group may be as long as it likes", () => {
  const story = new Story();
  story.machine("m1", {});
  const size = 5_000;
  for (let index = 0; index < size; index++) {
    const value = `u${index + 1}.service`;
    story.unit(
      `u${index}.service`,
      "launched",
      index + 1 < size ? [{ section: "X-Fleet", name: "MachineOf", value }] : [],
    );
  }
  const { placements } = schedule(story.cluster());
  const placed = placements.flatMap((step) => step.kind === "place" ? [step.unit.name] : []);
  assert.deepEqual(placed, Array.from({ length: size }, (_, index) => `u${size - 1 - index}.service`));
  story.apply(placements);
  assert.deepEqual(schedule(story.cluster()).placements, []);
});
