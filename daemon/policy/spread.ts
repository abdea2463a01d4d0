/**
 * The rule of Spread=: the instances of a template are spread over the values of a metadata key. Pure.
 *
 * @module
 */

import type { Machine, MachineId, Unit } from "../../registry/model.ts";
import type { Spread } from "../../registry/placement_options.ts";

type MachineTraits = Pick<Machine, "metadata">;
type UnitTraits = Pick<Unit, "name" | "requirements">;

/** The number of a template's instances by the values of its metadata key. */
export type InstanceCounts = ReadonlyMap<string, number>;

/** Returns a machine's value of a metadata key. */
export function metadataOf({ metadata }: Pick<Machine, "metadata">, key: string): string | undefined {
  return Object.hasOwn(metadata, key) ? metadata[key] : undefined;
}

/** Instances by template, then by metadata key, then by value. */
export type InstanceCounters = Map<string, Map<string, Map<string, number>>>;

/** Returns the counter of a spread, which is added to `counters` if it is new. */
export function counterOf(counters: InstanceCounters, { template, key }: Spread): Map<string, number> {
  return counters.getOrInsertComputed(template, () => new Map()).getOrInsertComputed(key, () => new Map());
}

/** Adds the instances on one machine to counters. */
export function countInstances(
  counters: InstanceCounters,
  machine: Pick<Machine, "metadata">,
  jobs: Iterable<UnitTraits>,
): void {
  for (const { requirements: { spread } } of jobs) {
    if (spread) countInstance(counterOf(counters, spread), machine, spread);
  }
}

/** Adds one instance on a machine to the counter of its spread. */
export function countInstance(
  counter: Map<string, number>,
  machine: Pick<Machine, "metadata">,
  { key }: Spread,
): void {
  const value = metadataOf(machine, key);
  if (value !== undefined) counter.set(value, (counter.get(value) ?? 0) + 1);
}

/** The values over which a unit is spread. */
export interface Domain {
  /** The values of those machines that the unit's own options allow and that take new units. */
  readonly values: ReadonlySet<string>;
  /** A machine whose values are unknown. */
  readonly unknown: MachineId | undefined;
}

/** Returns the values of a key over which a unit is spread. `isEligible`: by the unit's own options. */
export function domainOf(key: string, machines: Iterable<Machine>, isEligible: (machine: Machine) => boolean): Domain {
  const values = new Set<string>();
  let unknown: MachineId | undefined;
  for (const machine of machines) {
    if (machine.unreadable !== undefined) unknown ??= machine.id;
    const value = metadataOf(machine, key);
    if (value !== undefined && !machine.cordon && isEligible(machine)) values.add(value);
  }
  return { values, unknown };
}

/** The instances among which a unit with a hard spread must be even. */
export interface EvenCounts extends Pick<Domain, "unknown"> {
  readonly counts: InstanceCounts;
  /** The value with the fewest of them. */
  readonly fewest: { readonly value: string; readonly count: number } | undefined;
}

/** Returns the instances among which a unit must be even; undefined if its spread is not hard. */
export function evenCounts(
  { requirements: { spread } }: UnitTraits,
  counts: InstanceCounts,
  { values, unknown }: Domain,
): EvenCounts | undefined {
  if (!spread?.hard) return undefined;
  const even = new Map<string, number>();
  let fewest: EvenCounts["fewest"];
  for (const value of values) {
    const count = counts.get(value) ?? 0;
    even.set(value, count);
    if (!fewest || count < fewest.count || count === fewest.count && value < fewest.value) fewest = { value, count };
  }
  return { counts: even, fewest, unknown };
}

/** Returns why a machine refuses a unit with a hard spread; undefined if it does not. */
export function spreadRefusal(
  { requirements: { spread } }: UnitTraits,
  machine: MachineTraits,
  { counts, fewest, unknown }: EvenCounts,
): string | undefined {
  if (!spread?.hard) return undefined;
  const { key, template } = spread;
  if (unknown !== undefined) return `Spread=${key}:hard: the record of machine ${unknown} cannot be read`;
  const value = metadataOf(machine, key);
  if (value === undefined) return `Spread=${key}:hard needs a machine with ${key}, has no ${key}`;
  const here = counts.get(value) ?? 0;
  if (!fewest || here <= fewest.count) return undefined;
  return `Spread=${key}:hard: ${key}=${value} has ${here} of ${template}, and ${key}=${fewest.value} has ${fewest.count}`;
}

/** Returns {@link evenCounts} of a cluster, for which the instances are counted. The unit itself does not count. */
export function evenCountsIn(
  unit: UnitTraits,
  machines: ReadonlyMap<MachineId, Machine>,
  jobsOn: (machine: MachineId) => Iterable<UnitTraits>,
  isEligible: (machine: Machine) => boolean,
): EvenCounts | undefined {
  const { spread } = unit.requirements;
  if (!spread?.hard) return undefined;
  const counters: InstanceCounters = new Map();
  for (const machine of machines.values()) {
    countInstances(counters, machine, [...jobsOn(machine.id)].filter(({ name }) => name !== unit.name));
  }
  return evenCounts(unit, counterOf(counters, spread), domainOf(spread.key, machines.values(), isEligible));
}

/** Returns the number of keys of Prefer= of which a machine has one of the values. */
export function preferenceOf(
  prefer: ReadonlyMap<string, readonly string[]>,
  machine: Pick<Machine, "metadata">,
): number {
  let matches = 0;
  for (const [key, values] of prefer) if (values.includes(metadataOf(machine, key) ?? "")) matches++;
  return matches;
}
