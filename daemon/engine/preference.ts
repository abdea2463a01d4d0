/**
 * The order of machines for units with Spread= or Prefer=: machines where fewer instances of the template are come first, then
 * those that the unit prefers.
 *
 * @module
 */

import type { MachineId, Unit } from "../../registry/model.ts";
import type { Spread } from "../../registry/placement_options.ts";
import { isEligible } from "../policy/feasibility.ts";
import {
  counterOf,
  countInstance,
  countInstances,
  type Domain,
  domainOf,
  type EvenCounts,
  evenCounts,
  type InstanceCounters,
  type InstanceCounts,
  metadataOf,
  preferenceOf,
} from "../policy/spread.ts";
import { LoadOrder, type MachineLoads, type Measure, type Range } from "./load_order.ts";
import type { MachineUnits } from "./machine_units.ts";

type Machines = ReadonlyMap<MachineId, MachineUnits>;

/** The largest number of orders that are kept: one for each different combination of Spread= and Prefer=. */
const maxOrders = 16;

/** Counts instances by values of metadata, and orders machines. Results are cached: many units state the same. */
export class Preference {
  #counters: InstanceCounters | undefined;
  readonly #orders = new Map<string, Ranking>();
  #lastRanking: { readonly measure: Measure; readonly key: string | undefined; readonly ranking: Ranking } | undefined;
  readonly #domains = new Map<string, Domain>();
  /** The counts of the unit that is being placed, which every machine is compared with. */
  #latest: { readonly unit: Unit; readonly even: EvenCounts | undefined } | undefined;

  /** The counter that was asked for last: a unit that is placed asks several times. */
  #latestCounter: { readonly spread: Spread; readonly counter: Map<string, number> } | undefined;

  constructor(private readonly machines: Machines) {}

  /** Counts a job that was placed. */
  placed(job: Unit, { machine }: MachineUnits): void {
    const { spread } = job.requirements;
    if (!spread) return;
    this.#latest = undefined;
    if (this.#counters) countInstance(this.#counterOf(spread), machine, spread);
  }

  /** Forgets the counts: units were removed. */
  reset(): void {
    this.#counters = undefined;
    this.#latest = undefined;
    this.#latestCounter = undefined;
  }

  #counterOf(spread: Spread): Map<string, number> {
    if (this.#latestCounter?.spread === spread) return this.#latestCounter.counter;
    if (!this.#counters) {
      this.#counters = new Map();
      for (const { machine, jobs } of this.machines.values()) countInstances(this.#counters, machine, jobs);
    }
    const counter = counterOf(this.#counters, spread);
    this.#latestCounter = { spread, counter };
    return counter;
  }

  /** See {@link evenCounts}. */
  evenCounts(unit: Unit): EvenCounts | undefined {
    if (this.#latest?.unit !== unit) {
      const { spread, machineId = "", machineMetadata } = unit.requirements;
      const domain = this.#domains.getOrInsertComputed(
        JSON.stringify([spread!.key, machineId, [...machineMetadata]]),
        () => {
          const machines = Array.from(this.machines.values(), ({ machine }) => machine);
          return domainOf(spread!.key, machines, (machine) => isEligible(unit, machine));
        },
      );
      this.#latest = { unit, even: evenCounts(unit, this.#counterOf(spread!), domain) };
    }
    return this.#latest.even;
  }

  /**
   * Returns machines in the order in which a group prefers them, those that it does not distinguish by `measure`. The first
   * member with Spread= or Prefer= decides. `among`: only these, as a list that has the order of the measure, or as flags, see
   * {@link MachineLoads.flagsOf}.
   */
  sort(
    loads: MachineLoads,
    measure: Measure,
    among: readonly MachineId[] | Uint8Array | undefined,
    group: readonly Unit[],
  ): Iterable<MachineId> {
    const spread = group.find(({ requirements }) => requirements.spread)?.requirements.spread;
    const key = spread?.key;
    const prefer = group.find(({ requirements }) => requirements.prefer)?.requirements.prefer;
    const { classes, order } = this.#orderOf(loads, measure, key, prefer);
    const counter = spread && this.#counterOf(spread);
    const ranked = levels(classes, counter);
    if (!among || among instanceof Uint8Array) return order.ids(ranked, among);
    return ranked.flatMap((level) => among.filter((id) => level.includes(order.rangeOf(id))));
  }

  #classOf(id: MachineId, key: string | undefined, prefer: Unit["requirements"]["prefer"]): Omit<Class, "range"> {
    const { machine } = this.machines.get(id)!;
    const value = key === undefined ? undefined : metadataOf(machine, key);
    const matches = prefer ? preferenceOf(prefer, machine) : 0;
    return { name: `${matches} ${value === undefined ? "" : `=${value}`}`, value, matches };
  }

  #orderOf(
    loads: MachineLoads,
    measure: Measure,
    key: string | undefined,
    prefer: Unit["requirements"]["prefer"],
  ): Ranking {
    const last = this.#lastRanking;
    // Most units state the same as the one before.
    if (!prefer && last?.measure === measure && last.key === key) return last.ranking;
    const name = `${measure} ${key ?? ""} ${prefer ? JSON.stringify([...prefer]) : ""}`;
    if (!this.#orders.has(name) && this.#orders.size >= maxOrders) this.#orders.clear();
    const ranking = this.#orders.getOrInsertComputed(name, () => {
      const classes = new Map(Array.from(this.machines.keys(), (id) => [id, this.#classOf(id, key, prefer)] as const));
      const distinct = new Map(Array.from(classes.values(), (each) => [each.name, each] as const));
      const order = new LoadOrder(loads, measure, (id) => classes.get(id)!.name);
      return { classes: Array.from(distinct.values(), (each) => ({ ...each, range: order.range(each.name) })), order };
    });
    this.#lastRanking = prefer ? undefined : { measure, key, ranking };
    return ranking;
  }

  /** Returns how a machine is preferred by a unit, for people; "" if the unit states nothing. The text is made when called for. */
  text(unit: Unit, id: MachineId): () => string {
    const { spread, prefer } = unit.requirements;
    const { machine } = this.machines.get(id)!;
    const value = spread && metadataOf(machine, spread.key);
    const count = value === undefined ? 0 : this.#counterOf(spread!).get(value) ?? 0;
    return () => {
      const words: string[] = [];
      if (value !== undefined) words.push(`${count} of ${spread!.template} in ${spread!.key}=${value}`);
      if (prefer) {
        const found = [...prefer].filter(([key, values]) => values.includes(metadataOf(machine, key) ?? ""))
          .map(([key]) => `${key}=${metadataOf(machine, key)}`);
        words.push(found.length === 0 ? "not preferred" : `preferred for ${found.join(" and ")}`);
      }
      return words.map((each) => `, ${each}`).join("");
    };
  }
}

/** The machines in classes, each of them sorted. */
interface Ranking {
  readonly classes: readonly Class[];
  readonly order: LoadOrder;
}

/** Machines that a unit does not distinguish: they have the same value of the key, and match Prefer= as often. */
interface Class {
  readonly name: string;
  readonly value: string | undefined;
  readonly matches: number;
  /** The part of the order that its machines have. */
  readonly range: Range;
}

/**
 * Yields the parts of the order that classes have, grouped by rank: fewer instances first, machines without the key last; then
 * more matches. Most units go to a machine of the first group, so that the others are not computed in advance.
 */
function* levels(classes: readonly Class[], counter: InstanceCounts | undefined): Generator<Range[]> {
  const ranks = classes.map(({ value, matches }) => {
    return (value === undefined ? 2 ** 40 : counter?.get(value) ?? 0) * 2 ** 10 - matches;
  });
  for (let last = -Infinity;;) {
    let least = Infinity;
    for (const rank of ranks) if (rank > last && rank < least) least = rank;
    if (least === Infinity) return;
    const level: Range[] = [];
    for (let index = 0; index < ranks.length; index++) if (ranks[index] === least) level.push(classes[index]!.range);
    yield level;
    last = least;
  }
}
