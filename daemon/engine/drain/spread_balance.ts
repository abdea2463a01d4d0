/**
 * How evenly instances are spread over the values of a metadata key, and what a move would change. Pure.
 *
 * @module
 */

import type { Machine, Unit } from "../../../registry/model.ts";
import type { Spread } from "../../../registry/placement_options.ts";
import { metadataOf } from "../../policy/spread.ts";

/** The instances of one template on the machines with one value of a key. */
export interface SpreadShare {
  readonly template: string;
  readonly key: string;
  readonly value: string;
  readonly count: number;
}

/** The instances of one template by the value of one key. */
interface Counter extends Pick<Spread, "template" | "key"> {
  readonly byValue: Map<string, number>;
  total: number;
}

type Jobs = readonly Unit[];

/** Counts the instances of a cluster that state Spread=. */
export class SpreadBalance {
  readonly #counters = new Map<string, Counter>();

  /** `machines`: all that are present. Values with machines but no instances count as well. */
  constructor(machines: Iterable<Machine>, jobsOn: (machine: Machine) => Jobs) {
    const known = [...machines];
    for (const machine of known) this.#add(jobsOn(machine), machine, 1);
    for (const { key, byValue } of this.#counters.values()) {
      for (const machine of known) {
        const value = metadataOf(machine, key);
        if (value !== undefined && !machine.cordon) byValue.getOrInsert(value, 0);
      }
    }
  }

  /**
   * Returns by how much a move of jobs lowers the sum of the squares of the numbers of instances. An instance on a machine
   * without the key costs more than any other: as when it is placed, such a machine comes last.
   */
  gain(jobs: Jobs, from: Machine, to: Machine): number {
    let gain = 0;
    for (const [name, moving] of Map.groupBy(jobs.filter(hasSpread), (unit) => nameOf(unit.requirements.spread!))) {
      const { key, byValue, total } = this.#counters.get(name)!;
      const [was, is] = [metadataOf(from, key), metadataOf(to, key)];
      if (was === is) continue;
      const { length } = moving;
      const outside = length * (2 * total + 1);
      const before = was === undefined ? 0 : byValue.get(was)!;
      const after = is === undefined ? 0 : byValue.get(is) ?? 0;
      gain += was === undefined ? outside : before ** 2 - (before - length) ** 2;
      gain -= is === undefined ? outside : (after + length) ** 2 - after ** 2;
    }
    return gain;
  }

  /** Counts jobs that move. */
  move(jobs: Jobs, from: Machine, to: Machine): void {
    this.#add(jobs, from, -1);
    this.#add(jobs, to, 1);
  }

  /** Returns all counts, by template, key and value. */
  shares(): SpreadShare[] {
    const shares = [...this.#counters.values()].flatMap(({ template, key, byValue }) =>
      Array.from(byValue, ([value, count]) => ({ template, key, value, count }))
    );
    return shares.sort((a, b) => shareName(a) < shareName(b) ? -1 : 1);
  }

  #add(jobs: Jobs, machine: Machine, change: 1 | -1): void {
    for (const { requirements: { spread } } of jobs) {
      if (!spread) continue;
      const { template, key } = spread;
      const counter = this.#counters.getOrInsertComputed(nameOf(spread), () => {
        return { template, key, byValue: new Map<string, number>(), total: 0 };
      });
      counter.total += change;
      const value = metadataOf(machine, key);
      if (value !== undefined) counter.byValue.set(value, (counter.byValue.get(value) ?? 0) + change);
    }
  }
}

function hasSpread({ requirements: { spread } }: Unit): boolean {
  return spread !== undefined;
}

function nameOf({ template, key }: Pick<Spread, "template" | "key">): string {
  return `${template} ${key}`;
}

function shareName({ template, key, value }: SpreadShare): string {
  return `${template} ${key}=${value}`;
}
