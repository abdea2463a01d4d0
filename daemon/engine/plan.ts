/**
 * What `schedule` decides, and what it is asked with.
 *
 * @module
 */

import type { MachineId, UnitName } from "../../registry/model.ts";
import type { Placement } from "../../registry/mod.ts";
import type { Refusal } from "../policy/feasibility.ts";

/** What the engine would do, and what it cannot do. */
export interface Plan {
  /** In an order in which they may be carried out. */
  readonly placements: readonly Placement[];
  /** Units that are wanted and have no machine, each with why. */
  readonly waiting: ReadonlyMap<UnitName, Waiting>;
}

/** Why a unit has no machine. */
export interface Waiting {
  /** One sentence. */
  readonly summary: string;
  /** For each machine that is present, every reason it will not do. */
  readonly refusals: ReadonlyMap<MachineId, readonly Refusal[]>;
}

/** What the engine knows beside the cluster. */
export interface ScheduleOptions {
  /** False while machines that are not there may just be late to rejoin: their units are left alone. */
  readonly absentAreGone: boolean;
  /** Machines that vanished a moment ago: their units are left alone, whatever {@link absentAreGone} says. None if left out. */
  readonly vanished?: ReadonlySet<MachineId>;
}
