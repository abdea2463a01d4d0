/**
 * Machines in classes, each of which stays sorted by load while loads change.
 *
 * @module
 */

import type { MachineId } from "../../registry/model.ts";
import { type LargestMachine, largestOf, remaining } from "../policy/capacity.ts";
import type { MachineUnits } from "./machine_units.ts";

/** The load of a machine: the number of its units; or first the room that is left, then that number. */
export type Measure = "units" | "room";

/**
 * The loads of machines, which are numbered in the order of their IDs. They are kept in arrays of numbers that all orders
 * share: every placement of a unit changes a load.
 */
export class MachineLoads {
  readonly ids: readonly MachineId[];
  readonly numbers: ReadonlyMap<MachineId, number>;
  /** The number of units, globals included. */
  readonly units: Float64Array;
  /** The number of each machine whose load has changed, as often as it has. Every order reads on from where it stopped. */
  readonly log: number[] = [];
  #used: Float64Array | undefined;
  readonly #largest: LargestMachine;

  /** `machines`: their units may change later, see {@link changed}. */
  constructor(private readonly machines: ReadonlyMap<MachineId, MachineUnits>) {
    this.ids = [...machines.keys()].sort();
    this.numbers = new Map(this.ids.map((id, number) => [id, number]));
    this.units = Float64Array.from(this.ids, (id) => machines.get(id)!.residents.length);
    this.#largest = largestOf(Array.from(machines.values(), ({ machine }) => machine));
  }

  /** The negative of what remains of the machine. Computed when first read, as {@link MachineUnits.demand}. */
  get used(): Float64Array {
    return this.#used ??= Float64Array.from(this.ids, (id) => this.#usedOf(this.machines.get(id)!));
  }

  #usedOf({ machine, demand }: MachineUnits): number {
    return -remaining(machine, demand, this.#largest);
  }

  /** Takes over the load of a machine whose units have changed. */
  changed(units: MachineUnits): void {
    const number = this.numbers.get(units.machine.id)!;
    this.units[number] = units.residents.length;
    if (this.#used) this.#used[number] = this.#usedOf(units);
    this.log.push(number);
  }

  /** Returns a set of machines as an array with a 1 at the number of each of them. */
  flagsOf(ids: Iterable<MachineId>): Uint8Array {
    const flags = new Uint8Array(this.ids.length);
    for (const id of ids) {
      const number = this.numbers.get(id);
      if (number !== undefined) flags[number] = 1;
    }
    return flags;
  }
}

/**
 * Machines by class, then by load, the lowest first, then by machine ID. Changing one machine's load costs O(log n)
 * comparisons.
 */
export class LoadOrder {
  /** The loads as they are now. */
  readonly #actual: readonly [Float64Array, Float64Array];
  /** The loads by which the machines are sorted. */
  readonly #first: Float64Array;
  readonly #second: Float64Array;
  /** The numbers of machines, in order. */
  readonly #order: Int32Array;
  /** The part of the order that each class has: it always has the same machines. */
  readonly #ranges = new Map<string, Range>();
  readonly #rangeOf: readonly Range[];
  /** The length of the log of changes up to which the machines are sorted. */
  #seen: number;

  /** `classOf`: one class if left out. */
  constructor(
    private readonly loads: MachineLoads,
    measure: Measure,
    classOf: (id: MachineId) => string = () => "",
  ) {
    const { ids, units, log } = loads;
    this.#seen = log.length;
    this.#actual = [measure === "units" ? units : loads.used, units];
    this.#first = this.#actual[0].slice();
    this.#second = this.#actual[1].slice();
    this.#order = new Int32Array(ids.length);
    const rangeOf: Range[] = [];
    let start = 0;
    for (const [name, members] of Map.groupBy(ids.keys(), (number) => classOf(ids[number]!))) {
      const range = { start, end: start + members.length };
      this.#ranges.set(name, range);
      for (const number of members) rangeOf[number] = range;
      this.#order.set(members.sort((a, b) => this.#compare(a, b)), start);
      start = range.end;
    }
    this.#rangeOf = rangeOf;
  }

  /** Infinity is a number, so that a difference would not do. */
  #compare(a: number, b: number): number {
    const firstOfA = this.#first[a]!, firstOfB = this.#first[b]!;
    if (firstOfA !== firstOfB) return firstOfA < firstOfB ? -1 : 1;
    const secondOfA = this.#second[a]!, secondOfB = this.#second[b]!;
    if (secondOfA !== secondOfB) return secondOfA < secondOfB ? -1 : 1;
    return a - b;
  }

  #update(): void {
    const { log } = this.loads;
    const [first, second] = this.#actual;
    for (; this.#seen < log.length; this.#seen++) {
      const number = log[this.#seen]!;
      this.#set(number, first[number]!, second[number]!);
    }
  }

  #set(number: number, first: number, second: number): void {
    if (this.#first[number] === first && this.#second[number] === second) return;
    const { start, end } = this.#rangeOf[number]!;
    // Most changes are placements on the first machine.
    const from = this.#order[start] === number ? start : this.#position(number, start, end);
    const grows = first > this.#first[number]! || first === this.#first[number] && second > this.#second[number]!;
    this.#first[number] = first;
    this.#second[number] = second;
    // Between the two positions, the others move by one.
    const to = grows ? this.#position(number, from + 1, end) - 1 : this.#position(number, start, from);
    if (grows) this.#order.copyWithin(from, from + 1, to + 1);
    else this.#order.copyWithin(to + 1, to, from);
    this.#order[to] = number;
  }

  /** Returns the first position of a range whose machine does not come before this one. */
  #position(number: number, low: number, high: number): number {
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#compare(this.#order[middle]!, number) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Returns the part of the order that a class has. */
  range(name = ""): Range {
    return this.#ranges.get(name) ?? { start: 0, end: 0 };
  }

  /** Returns the part of the order that a machine is in. */
  rangeOf(id: MachineId): Range {
    return this.#rangeOf[this.loads.numbers.get(id)!]!;
  }

  /**
   * Returns the machines in parts of the order, level by level, those of a level by load; only those that `among` has, see
   * {@link MachineLoads.flagsOf}. No load may change before the last one was taken.
   */
  *ids(levels: Iterable<readonly Range[]> = [[this.range()]], among?: Uint8Array): Generator<MachineId> {
    this.#update();
    for (const ranges of levels) {
      const next = ranges.map(({ start }) => start);
      for (let first = this.#leastLoaded(ranges, next); first >= 0; first = this.#leastLoaded(ranges, next)) {
        const number = this.#order[next[first]!]!;
        next[first]!++;
        if (!among || among[number] === 1) yield this.loads.ids[number]!;
      }
    }
  }

  /** Returns which of several ranges has the least loaded of the machines that come next in each; -1 if they are used up. */
  #leastLoaded(ranges: readonly Range[], next: readonly number[]): number {
    let first = -1;
    for (let index = 0; index < ranges.length; index++) {
      if (next[index]! >= ranges[index]!.end) continue;
      if (first < 0 || this.#compare(this.#order[next[index]!]!, this.#order[next[first]!]!) < 0) first = index;
    }
    return first;
  }

  /** Sorts machines by load. */
  sort(ids: Iterable<MachineId>): MachineId[] {
    this.#update();
    return [...ids].sort((a, b) => this.#compare(this.loads.numbers.get(a)!, this.loads.numbers.get(b)!));
  }
}

/** A part of the order. */
export interface Range {
  readonly start: number;
  readonly end: number;
}
