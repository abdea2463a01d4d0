/**
 * The result and the options of `schedule`.
 *
 * @module
 */

import type { MachineId, UnitName } from "../../registry/model.ts";
import type { Placement } from "../../registry/mod.ts";
import type { Refusal } from "../policy/feasibility.ts";

/** The changes that the engine makes, and the units that it cannot place. */
export interface Plan {
  /** Changes, in an order in which they may be carried out. */
  readonly placements: readonly Placement[];
  /** Active units without a machine, each with the reason. */
  readonly unplaced: ReadonlyMap<UnitName, UnplacedReason>;
}

/** The reason why a unit has no machine. */
export interface UnplacedReason {
  /** One sentence. */
  readonly summary: string;
  /** Every refusal of each machine that is present. */
  readonly refusals: ReadonlyMap<MachineId, readonly Refusal[]>;
}

/** Facts beside the cluster that the engine's decisions depend on. */
export interface ScheduleOptions {
  /** True if absent machines will not come back; false while they may still rejoin: then their units are not moved. */
  readonly absentAreGone: boolean;
  /** Machines that vanished a moment ago: their units are not moved even if {@link absentAreGone}. None if left out. */
  readonly vanished?: ReadonlySet<MachineId>;
  /** Machines that came back a moment ago: they keep units that no other machine has started. None if left out. */
  readonly returned?: ReadonlySet<MachineId>;
  /**
   * Units that are to leave their machine although they may stay there, each with the machines that are considered: never
   * its own. None if left out.
   */
  readonly leaving?: ReadonlyMap<UnitName, (machine: MachineId) => boolean>;
}
