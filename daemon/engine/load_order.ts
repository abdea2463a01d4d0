import type { MachineId } from "../../registry/model.ts";

/** Machines by load: fewest units first, then by machine ID. Changing one machine's load costs O(log n) comparisons. */
export class LoadOrder {
  readonly #order: MachineId[];
  readonly #count: Map<MachineId, number>;

  constructor(counts: Iterable<readonly [MachineId, number]>) {
    this.#count = new Map(counts);
    this.#order = [...this.#count.keys()].sort((a, b) => this.compare(a, b));
  }

  compare(a: MachineId, b: MachineId): number {
    return this.#count.get(a)! - this.#count.get(b)! || (a < b ? -1 : a > b ? 1 : 0);
  }

  #position(id: MachineId): number {
    let low = 0;
    let high = this.#order.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.compare(this.#order[middle]!, id) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  set(id: MachineId, count: number): void {
    if (this.#count.get(id) === count) return;
    this.#order.splice(this.#position(id), 1);
    this.#count.set(id, count);
    this.#order.splice(this.#position(id), 0, id);
  }

  ids(): readonly MachineId[] {
    return this.#order;
  }
}
