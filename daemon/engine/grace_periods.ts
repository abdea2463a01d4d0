/**
 * Grace periods of missing machines. A healthy machine can lose its lease: it then writes its record again at once.
 *
 * @module
 */

import type { Cluster, MachineId } from "../../registry/model.ts";
import { isOff, type MassLossLimits } from "./mass_loss.ts";

/** The time that a missing machine has to return before its units are placed elsewhere. */
export interface GracePeriods {
  /** After a change of leader or an outage of the store, milliseconds. */
  readonly rejoinGrace_ms: number;
  /** After the loss of a single machine, milliseconds. */
  readonly vanishedGrace_ms: number;
  /** After the first loss of several machines, until the leases of all that were lost with it have expired, milliseconds. */
  readonly togetherGrace_ms: number;
  readonly massLoss: MassLossLimits;
}

/** The time for which a machine counts as returned, milliseconds: it leaves units alone for as long that may come back to it. */
const return_ms = 5_000;

/** Returns the grace periods for leases of `agentTtl_ms`. */
export function gracePeriods(agentTtl_ms: number, massLoss: MassLossLimits): GracePeriods {
  const rejoinGrace_ms = Math.min(10_000, Math.max(2_000, agentTtl_ms / 3));
  const vanishedGrace_ms = Math.min(2_000, agentTtl_ms / 4);
  // Leases are renewed every third of their time, so machines that are cut off together vanish within such a third. etcd
  // looks for expired leases twice a second.
  const together_ms = Math.max(rejoinGrace_ms, agentTtl_ms / 3) + 1_000;
  return {
    rejoinGrace_ms,
    vanishedGrace_ms,
    togetherGrace_ms: isOff(massLoss) ? vanishedGrace_ms : together_ms,
    massLoss,
  };
}

/** Machines that are missing. */
interface Vanished {
  /** Machines that may have been lost together. */
  readonly recent: ReadonlySet<MachineId>;
  /** Those among them that do not count as gone yet. */
  readonly held: ReadonlySet<MachineId>;
  /** Time until one of these sets changes, milliseconds; Infinity if they do not. */
  readonly left_ms: number;
}

/** Tracks the present machines from one view of the cluster to the next. */
export class VanishedMachines {
  readonly #since_ms = new Map<MachineId, number>();
  /** Machines that were present and are not. */
  readonly #absent = new Set<MachineId>();
  readonly #returnedAt_ms = new Map<MachineId, number>();
  #present: ReadonlySet<MachineId> | undefined;

  constructor(private readonly grace: Pick<GracePeriods, "vanishedGrace_ms" | "togetherGrace_ms">) {}

  /**
   * Compares a new view with the one before. In the first view, machines that are absent and have units count as lost just
   * now: the engine before may have been lost with them. `now_ms`: monotonic clock.
   */
  observe({ machines, targets, departed }: Pick<Cluster, "machines" | "targets" | "departed">, now_ms: number): void {
    const before = this.#present ?? new Set(Array.from(targets.values(), ({ machine }) => machine));
    for (const id of before) if (id !== "" && !machines.has(id)) this.#since_ms.set(id, now_ms);
    for (const id of [...machines.keys(), ...departed?.keys() ?? []]) this.#since_ms.delete(id);
    for (const id of before) if (!machines.has(id)) this.#absent.add(id);
    for (const id of machines.keys()) if (this.#absent.delete(id)) this.#returnedAt_ms.set(id, now_ms);
    this.#present = new Set(machines.keys());
  }

  /** Returns the machines that came back a short time ago. */
  returned(now_ms: number): ReadonlySet<MachineId> {
    for (const [id, at_ms] of this.#returnedAt_ms) if (now_ms - at_ms >= return_ms) this.#returnedAt_ms.delete(id);
    return new Set(this.#returnedAt_ms.keys());
  }

  /**
   * Returns the machines that vanished a short time ago. No time counts before `from_ms`: the store was away until then. A
   * machine stays among the recent ones until {@link forget}, so that a caller that is late, or whose reaction has failed,
   * still sees all that were lost together.
   */
  at(now_ms: number, from_ms = -Infinity): Vanished {
    const { vanishedGrace_ms, togetherGrace_ms } = this.grace;
    const ages_ms = Array.from(this.#since_ms, ([id, since_ms]) => [id, now_ms - Math.max(since_ms, from_ms)] as const);
    const young = ages_ms.filter(([, age_ms]) => age_ms < togetherGrace_ms);
    const grace_ms = young.length > 1 ? togetherGrace_ms : vanishedGrace_ms;
    const held = new Set<MachineId>();
    let left_ms = Infinity;
    for (const [id, age_ms] of young) {
      if (age_ms < grace_ms) held.add(id);
      left_ms = Math.min(left_ms, (age_ms < grace_ms ? grace_ms : togetherGrace_ms) - age_ms);
    }
    return { recent: new Set(this.#since_ms.keys()), held, left_ms };
  }

  /** Drops the machines whose time has ended. */
  forget(now_ms: number, from_ms = -Infinity): void {
    for (const [id, since_ms] of this.#since_ms) {
      if (now_ms - Math.max(since_ms, from_ms) >= this.grace.togetherGrace_ms) this.#since_ms.delete(id);
    }
  }
}
