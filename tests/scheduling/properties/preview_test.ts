/** Compares a preview of changes with the engine's reaction to the same changes, for random clusters. */

import assert from "node:assert/strict";
import fc from "fast-check";
import "../../support/property_seed.ts";
import { type Draft, preview } from "../../../daemon/engine/preview.ts";
import { schedule } from "../../../daemon/engine/schedule.ts";
import type { Cluster } from "../../../registry/model.ts";
import { draftPut, SimulatedCluster } from "../scenarios/scenario.ts";
import { type Event, event, happen, population } from "./random_cluster.ts";

/** Runs the engine until it has nothing more to do, and returns the cluster. */
function settled(simulation: SimulatedCluster): Cluster {
  for (;;) {
    const { placements } = schedule(simulation.cluster());
    if (placements.length === 0) return simulation.cluster();
    simulation.apply(placements);
  }
}

/** Returns the events that a preview supports, each with its draft. Events about units that do not exist are left out. */
function draftsOf(events: readonly Event[], units: Iterable<string>): { event: Event; draft: Draft }[] {
  const known = new Set(units);
  return events.flatMap((event): { event: Event; draft: Draft }[] => {
    switch (event.kind) {
      case "put":
        known.add(event.unit);
        return [{ event, draft: draftPut(event.unit, event.state, event.options) }];
      case "state":
        if (!known.has(event.unit)) return [];
        return [{ event, draft: { kind: "put", name: event.unit, desiredState: event.state } }];
      case "destroy":
        known.delete(event.unit);
        return [{ event, draft: { kind: "destroy", name: event.unit } }];
      case "leave":
        return [{ event, draft: { kind: "leave", machine: event.machine } }];
      case "label": {
        const { machine, key, value } = event;
        return [{ event, draft: { kind: "label", machine, key, ...value !== "" && { value } } }];
      }
      default:
        return [];
    }
  });
}

const machinesOf = ({ targets }: Cluster) => [...targets].map(([name, { machine }]) => `${name} on ${machine}`).sort();

Deno.test("a preview predicts the machines that the engine chooses", () => {
  fc.assert(
    fc.property(population, fc.array(event, { maxLength: 6 }), (events, changes) => {
      const simulation = new SimulatedCluster();
      for (const each of events) happen(simulation, each);
      const before = settled(simulation);
      const drafts = draftsOf(changes, before.units.keys());
      const predicted = preview(before, drafts.map(({ draft }) => draft));
      for (const { event } of drafts) happen(simulation, event);
      assert.deepEqual(machinesOf(predicted.after), machinesOf(settled(simulation)));
    }),
    { numRuns: 300 },
  );
});

Deno.test("a preview of no change has no effect", () => {
  fc.assert(
    fc.property(population, (events) => {
      const simulation = new SimulatedCluster();
      for (const each of events) happen(simulation, each);
      assert.deepEqual([...preview(simulation.cluster(), []).effects], []);
    }),
    { numRuns: 100 },
  );
});
