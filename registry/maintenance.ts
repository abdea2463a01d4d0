/**
 * The part of the data model about the maintenance and the loss of machines. Values only. Pure.
 *
 * @module
 */

import type { Authorship, MachineId, Revision, UnitName } from "./identifiers.ts";

/** An operator's mark on a machine: it takes no new jobs, and keeps those that it has. */
export interface Cordon {
  /** The author and the time, if known. */
  readonly changed?: Authorship;
  /** The operator's reason, if one was given. */
  readonly why?: string;
  readonly revision: Revision;
}

/** Every {@link Drain.status}, in order. */
export const drainStatuses = ["moving", "stopping", "done"] as const;

/** A request to move every unit off a machine. The machine is cordoned as well. It stays until an operator ends it. */
export interface Drain {
  readonly machine: MachineId;
  /** The author and the time, if known. */
  readonly changed?: Authorship;
  /** The number of units that move at once. */
  readonly maxParallel: number;
  /** Wall clock, milliseconds since the epoch: from then on no unit waits for another one, or for a machine. */
  readonly deadlineAt_ms?: number;
  /** True if units that fit on no other machine are stopped. */
  readonly force?: true;
  /** True if global units stay. */
  readonly keepsGlobals?: true;
  /** The number of jobs on the machine when the drain began. */
  readonly total: number;
  /** `moving`: jobs are left. `stopping`: global units are left. `done`: none is left. */
  readonly status: typeof drainStatuses[number];
  readonly revision: Revision;
  /** The reason why the record cannot be decoded. The machine is then only cordoned. */
  readonly unreadable?: string;
}

/** A unit that is to move for balance, and its machine after that. */
export interface RequestedMove {
  readonly unit: UnitName;
  readonly from: MachineId;
  readonly to: MachineId;
}

/** Moves that an operator has accepted, and that have not been made yet. */
export interface Rebalance {
  readonly changed?: Authorship;
  readonly moves: readonly RequestedMove[];
  readonly revision: Revision;
}

/** The reason why a machine is not expected back: it was stopped in good order, or was given up after a {@link MassLoss}. */
export type Departure = "stopped" | "lost";

/** A loss of so many machines at once that the engine waits for them to come back, and moves no unit of absent machines. */
export interface MassLoss {
  /** The lost machines, in order; some may be back. */
  readonly machines: readonly MachineId[];
  /** Wall clock of the engine that began the wait, milliseconds since the epoch: its beginning, and its expected end. */
  readonly since_ms: number;
  readonly until_ms: number;
  /** True if the wait is over: the engine gives up the machines that are still missing. */
  readonly isOver: boolean;
  /** Revision of the record. */
  readonly revision: Revision;
}

/** Returns the key of a second copy in the cluster's `successors`. */
export function successorId(machine: MachineId, unit: UnitName): string {
  return `${machine}/${unit}`;
}
