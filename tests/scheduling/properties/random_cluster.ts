/** Random clusters and random events, for properties of the engine's plans. */

import fc from "fast-check";
import type { DesiredState } from "../../../registry/model.ts";
import { validateFleetOptions } from "../../../registry/requirements.ts";
import type { UnitOption } from "../../../systemd/unit_file.ts";
import { isTemplate } from "../../../systemd/unit_name.ts";
import type { SimulatedCluster } from "../scenarios/scenario.ts";

/** An event in a cluster. */
export type Event =
  | {
    readonly kind: "join";
    readonly machine: string;
    readonly metadata: Readonly<Record<string, string>>;
    readonly capacity: { readonly memory: string; readonly resources?: string };
  }
  | { readonly kind: "leave"; readonly machine: string }
  | { readonly kind: "label"; readonly machine: string; readonly key: string; readonly value: string }
  | {
    readonly kind: "put";
    readonly unit: string;
    readonly state: DesiredState;
    readonly options: readonly UnitOption[];
  }
  | { readonly kind: "state"; readonly unit: string; readonly state: DesiredState }
  | { readonly kind: "restart" | "destroy"; readonly unit: string };

/** IDs as machine-id(5) has them, so that the short form means something. */
export const machineIds: readonly string[] = Array.from(
  { length: 12 },
  (_, index) => (index + 1).toString(16).padStart(2, "0").repeat(16),
);

/** Templates, which neither conflict nor count as peers. */
const templates: readonly string[] = ["a@.service", "b@.service"];

/** Sixty units of four families: `a@1.service` … `d@15.service`. */
export const unitNames: readonly string[] = ["a", "b", "c", "d"].flatMap((family) =>
  Array.from({ length: 15 }, (_, index) => `${family}@${index + 1}.service`)
);

const machine = fc.constantFrom(...machineIds);
/** Few enough that most of them exist, and that cycles occur. */
const peer = fc.constantFrom(...unitNames.filter((name) => /@[1-4]\.service$/.test(name)));
const unit = fc.oneof(
  { weight: 12, arbitrary: peer },
  { weight: 6, arbitrary: fc.constantFrom(...unitNames) },
  { weight: 1, arbitrary: fc.constantFrom(...templates) },
);
const metadata = fc.record({
  region: fc.constantFrom("us", "eu"),
  disk: fc.constantFrom("ssd", "hdd"),
}, { requiredKeys: [] });
/** A unit reserves so much of a machine that a few fill it. */
const capacity = fc.record({
  memory: fc.constantFrom("2G", "4G", "8G"),
  resources: fc.constantFrom("gpu=1", "gpu=2"),
}, { requiredKeys: ["memory"] });
const reservation = fc.oneof(
  fc.constantFrom("1G", "2G", "3G", "9G").map((amount) => ["MemoryReserve", amount]),
  fc.constantFrom("1", "4").map((amount) => ["CPUReserve", amount]),
  fc.constantFrom(["Resources", "gpu=1"]),
);
const glob = fc.oneof(
  { weight: 4, arbitrary: peer },
  { weight: 2, arbitrary: fc.constantFrom("a@*.service", "b@1*.service", "c@[1-4].service", "d@?.service", "%p@*") },
);
const state = fc.constantFrom<DesiredState>("launched", "launched", "launched", "launched", "loaded", "inactive");

const option = fc.oneof(
  { weight: 6, arbitrary: reservation },
  { weight: 3, arbitrary: fc.constantFrom(["Spread", "region"], ["Spread", "disk:hard"], ["Spread", "region:hard"]) },
  { weight: 1, arbitrary: fc.constantFrom(["Prefer", "disk=ssd"], ["Prefer", "region=us"], ["Pin", "true"]) },
  { weight: 2, arbitrary: machine.map((id) => ["MachineID", id]) },
  { weight: 2, arbitrary: machine.map((id) => ["MachineID", id.slice(0, 8)]) },
  { weight: 6, arbitrary: peer.map((name) => ["MachineOf", name]) },
  {
    weight: 1,
    arbitrary: fc.constantFrom("%n", "a@%i.service", "%p@1.service", ...templates, "no@1.service").map((
      v,
    ) => ["MachineOf", v]),
  },
  { weight: 6, arbitrary: glob.map((pattern) => ["Conflicts", pattern]) },
  { weight: 6, arbitrary: glob.map((pattern) => ["Replaces", pattern]) },
  { weight: 4, arbitrary: fc.constant(["Global", "true"]) },
  {
    weight: 6,
    arbitrary: fc.constantFrom("region=us", "region=eu", '"region=us" "region=eu"', "disk=ssd")
      .map((value) => ["MachineMetadata", value]),
  },
).map(([name, value]): UnitOption => ({ section: "X-Fleet", name: name!, value: value! }));

const put = fc.tuple(unit, state, fc.array(option, { maxLength: 3 }))
  // Only units that the API accepts.
  .filter(([name, _, options]) => validateFleetOptions(name, options) === undefined)
  .map(([unit, state, options]): Event => ({
    kind: "put",
    unit,
    state: isTemplate(unit) ? "inactive" : state,
    options,
  }));
const join = fc.tuple(machine, metadata, capacity)
  .map(([machine, metadata, capacity]): Event => ({ kind: "join", machine, metadata, capacity }));

/** Any event. */
export const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 3, arbitrary: join },
  { weight: 3, arbitrary: machine.map((machine): Event => ({ kind: "leave", machine })) },
  {
    weight: 3,
    arbitrary: fc.tuple(machine, fc.constantFrom("region", "disk"), fc.constantFrom("us", "eu", "ssd", ""))
      .map(([machine, key, value]): Event => ({ kind: "label", machine, key, value })),
  },
  { weight: 6, arbitrary: put },
  {
    weight: 4,
    arbitrary: fc.tuple(fc.constantFrom(...unitNames), state)
      .map(([unit, state]): Event => ({ kind: "state", unit, state })),
  },
  { weight: 1, arbitrary: unit.map((unit): Event => ({ kind: "restart", unit })) },
  { weight: 3, arbitrary: unit.map((unit): Event => ({ kind: "destroy", unit })) },
);

/** A cluster of 2 to 12 machines with up to 60 units, as the events that lead to it; small ones are as crowded as large. */
export const population: fc.Arbitrary<readonly Event[]> = fc.tuple(
  fc.oneof(
    fc.array(fc.tuple(metadata, capacity), { minLength: 2, maxLength: 4, size: "max" }),
    fc.array(fc.tuple(metadata, capacity), { minLength: 2, maxLength: 12, size: "max" }),
  ),
  fc.uniqueArray(put, { selector: (each) => (each as { unit: string }).unit, maxLength: 60, size: "max" }),
).map(([machines, units]) => [
  ...machines.map(([metadata, capacity], index): Event => ({
    ...{ kind: "join", machine: machineIds[index]!, metadata, capacity },
  })),
  ...units,
]);

/** Applies an event; one about a unit that does not exist has no effect. */
export function happen(simulation: SimulatedCluster, event: Event): void {
  switch (event.kind) {
    case "join":
      return simulation.machine(event.machine, { ...event.metadata }, false, event.capacity);
    case "leave":
      return simulation.gone(event.machine);
    case "label":
      return simulation.label(event.machine, event.key, event.value);
    case "put":
      return simulation.unit(event.unit, event.state, event.options);
    case "state":
      return simulation.units.has(event.unit) ? simulation.state(event.unit, event.state) : undefined;
    case "restart":
      return simulation.units.has(event.unit) ? simulation.restart(event.unit) : undefined;
    case "destroy":
      return simulation.destroy(event.unit);
  }
}
