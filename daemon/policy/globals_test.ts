import assert from "node:assert/strict";
import type { Unit } from "../../registry/model.ts";
import { parseRequirements } from "../../registry/requirements.ts";
import { globalsAmong, versionOn } from "./globals.ts";

function traits(name: string, ...lines: readonly string[]) {
  const fleetOptions = lines.map((line) => {
    const [option = "", value = ""] = line.split("=");
    return { section: "X-Fleet", name: option, value };
  });
  return { hash: lines.join(), fleetOptions, requirements: parseRequirements(name, fleetOptions) };
}

/** A global unit that one machine runs with another file. */
const edge: Unit = {
  ...{ name: "edge.service", desiredState: "launched", restart: 3, launchedAt: 4, revision: 5 },
  ...traits("edge.service", "Global=true"),
  next: {
    ...traits("edge.service", "Global=true", "Conflicts=job.service"),
    ...{ machines: ["m1"], unproven: ["m1"] },
  },
};

Deno.test("a machine that a roll-out has changed runs the next file of a global unit, and the others its own", () => {
  const { next, ...own } = edge;
  const { hash, fleetOptions, requirements } = next!;
  assert.deepEqual(versionOn(edge, "m1"), { ...own, hash, fleetOptions, requirements });
  assert.equal(versionOn(edge, "m1"), versionOn(edge, "m1"), "the same object as long as the record is the same");
  assert.equal(versionOn(edge, "m2"), edge);
});

Deno.test("a global unit runs beside the jobs of a machine if the file that it has there allows it", () => {
  const job = { name: "job.service", launchedAt: 1, ...traits("job.service") };
  const on = (id: string) =>
    globalsAmong({ id, metadata: {}, capabilities: { disableEngine: false } }, [job], [edge]).map(({ hash }) => hash);
  assert.deepEqual([on("m1"), on("m2")], [[], [edge.hash]]);
});
