/**
 * Grace periods of missing machines. A healthy machine can lose its lease: it then writes its record again at once.
 *
 * @module
 */

import type { Cluster, MachineId } from "../../registry/model.ts";

/** The time that a missing machine has to return before its units are placed elsewhere. */
export interface GracePeriods {
  /** After a change of leader or an outage of the store, milliseconds. */
  readonly rejoinGrace_ms: number;
  /** After the loss of a single machine, milliseconds. */
  readonly vanishedGrace_ms: number;
}

/** Returns the grace periods for leases of `agentTtl_ms`. */
export function gracePeriods(agentTtl_ms: number): GracePeriods {
  return {
    rejoinGrace_ms: Math.min(10_000, Math.max(2_000, agentTtl_ms / 3)),
    vanishedGrace_ms: Math.min(2_000, agentTtl_ms / 4),
  };
}

/** Tracks the machines that vanish from one view of the cluster to the next. */
export class VanishedMachines {
  readonly #since_ms = new Map<MachineId, number>();
  #present: ReadonlySet<MachineId> = new Set();

  /** `grace_ms`: time until a vanished machine counts as gone. */
  constructor(private readonly grace_ms: number) {}

  /** Records the machines that have vanished or returned since the previous view. `now_ms`: monotonic clock. */
  observe({ machines }: Pick<Cluster, "machines">, now_ms: number): void {
    for (const id of this.#present) if (!machines.has(id)) this.#since_ms.set(id, now_ms);
    for (const id of machines.keys()) this.#since_ms.delete(id);
    this.#present = new Set(machines.keys());
  }

  /** Returns the vanished machines whose grace period has not ended, and the time until the first counts as gone. */
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
