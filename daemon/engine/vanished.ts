/**
 * Machines that have just vanished. A lease can be lost though its machine is healthy: then the machine is back at once.
 *
 * @module
 */

import type { Cluster, MachineId } from "../../registry/model.ts";

/** Tracks the present machines from one view of the cluster to the next. */
export class VanishedMachines {
  readonly #since_ms = new Map<MachineId, number>();
  #present: ReadonlySet<MachineId> = new Set();

  /** `grace_ms`: time until a vanished machine counts as gone. */
  constructor(private readonly grace_ms: number) {}

  /** Compares a new view with the one before. `now_ms`: monotonic clock. */
  observe({ machines }: Pick<Cluster, "machines">, now_ms: number): void {
    for (const id of this.#present) if (!machines.has(id)) this.#since_ms.set(id, now_ms);
    for (const id of machines.keys()) this.#since_ms.delete(id);
    this.#present = new Set(machines.keys());
  }

  /** Returns the machines that vanished less than the grace ago, and the time until the first of them counts as gone. */
  at(now_ms: number): { readonly machines: ReadonlySet<MachineId>; readonly left_ms: number } {
    let left_ms = Infinity;
    const machines = new Set<MachineId>();
    for (const [id, since_ms] of this.#since_ms) {
      const rest_ms = since_ms + this.grace_ms - now_ms;
      if (rest_ms <= 0) {
        this.#since_ms.delete(id);
        continue;
      }
      machines.add(id);
      left_ms = Math.min(left_ms, rest_ms);
    }
    return { machines, left_ms };
  }
}
