/**
 * The changes of the store that move units: steps of the engine, and requests of operators. Types only.
 *
 * @module
 */

import type { FailedMove } from "./failed_on.ts";
import type { Cordon, Drain, MachineId, Rebalance, Revision, Target, Unit, UnitName } from "./model.ts";

/** A step of a move in which a unit runs on its new machine first, or the progress of a request to move units. */
export type MoveStep =
  /** Begins a move: a second copy of the unit starts on `machine`, and the one of `from` stays until the unit is placed there. */
  | {
    readonly kind: "prepare";
    readonly unit: Unit;
    readonly machine: MachineId;
    readonly from: Target;
    readonly why: string;
  }
  /** Ends a move that was begun: the second copy is stopped. `failedMove`: set if it did not become healthy. */
  | {
    readonly kind: "abandon";
    readonly unit: UnitName;
    readonly from: Target;
    readonly why: string;
    readonly failedMove?: FailedMove;
  }
  /** Stops a second copy that the unit's target does not name. */
  | {
    readonly kind: "withdraw";
    readonly unit: UnitName;
    readonly machine: MachineId;
    readonly revision: Revision;
  }
  | { readonly kind: "drained"; readonly drain: Drain; readonly status: Drain["status"] }
  /** Keeps only the moves that have not been made; removes the request if there are none. */
  | { readonly kind: "rebalanced"; readonly was: Rebalance; readonly moves: Rebalance["moves"] };

/** A change of cordons, drains and requested moves, which an operator requests. */
export type MaintenanceChange =
  /** Sets or, without `cordon`, removes the mark that a machine takes no new jobs. Unknown machines are accepted. */
  | {
    readonly kind: "cordon";
    readonly machine: MachineId;
    readonly cordon?: Omit<Cordon, "revision">;
  }
  /** Begins to drain machines, which are cordoned in the same transaction. `was`: an earlier drain that is replaced. */
  | {
    readonly kind: "drain";
    readonly drains: readonly {
      readonly machine: MachineId;
      readonly was?: Drain;
      readonly isCordoned: boolean;
      readonly drain: Omit<Drain, "machine" | "revision">;
    }[];
    readonly cordon: Omit<Cordon, "revision">;
  }
  /** Ends a drain and, unless `keepsCordon`, the cordon of the machine. */
  | { readonly kind: "undrain"; readonly was: Drain; readonly keepsCordon: boolean }
  /** Requests moves or, without `rebalance`, cancels those that have not been made. */
  | { readonly kind: "rebalance"; readonly was?: Rebalance; readonly rebalance?: Omit<Rebalance, "revision"> };
