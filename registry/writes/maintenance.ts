/**
 * Builds the transactions of drains and of moves in which a unit runs on its new machine before it stops on the old one.
 * Pure.
 *
 * @module
 */

import type { Change, MoveStep } from "../mod.ts";
import type { Target } from "../model.ts";
import { encodeAssignment, encodeTarget } from "../schema/codec.ts";
import { cordonKey, drainKey, rebalanceKey, successorKey, targetKey, unitKey } from "../schema/keys.ts";
import { encodeCordon, encodeDrain, encodeRebalance } from "../schema/maintenance.ts";
import type { Compare, Op } from "../store/port.ts";
import { written } from "./written.ts";

interface Writes {
  readonly compares: readonly Compare[];
  readonly ops: readonly Op[];
}

/** Returns the transaction of an operator's request. */
export function maintenanceTransaction(
  change: Extract<Change, { kind: "drain" | "undrain" | "rebalance" }>,
): Writes {
  switch (change.kind) {
    case "drain":
      return {
        compares: change.drains.map(({ machine, was }) => ({ key: drainKey(machine), mod: was?.revision ?? 0 })),
        ops: [
          ...change.drains.flatMap(({ machine, isCordoned, drain }): Op[] => [
            ...isCordoned ? [] : [{ put: cordonKey(machine), value: encodeCordon(change.cordon) }],
            { put: drainKey(machine), value: encodeDrain(drain) },
          ]),
          written,
        ],
      };
    case "undrain":
      return {
        compares: [{ key: drainKey(change.was.machine), mod: change.was.revision }],
        ops: [
          { delete: drainKey(change.was.machine) },
          ...change.keepsCordon ? [] : [{ delete: cordonKey(change.was.machine) }],
          written,
        ],
      };
    case "rebalance": {
      const { rebalance } = change;
      const op = rebalance ? { put: rebalanceKey, value: encodeRebalance(rebalance) } : { delete: rebalanceKey };
      return { compares: [{ key: rebalanceKey, mod: change.was?.revision ?? 0 }], ops: [op, written] };
    }
  }
}

/** Returns the transaction of one step of a move, or of the progress of a request. */
export function relocationTransaction(step: MoveStep): Writes {
  switch (step.kind) {
    case "prepare": {
      const { unit, machine, from: { failedMove: _failedMove, ...from } } = step;
      // The target is written as well: a writer that has read it before the copy existed is refused.
      return {
        compares: [{ key: unitKey(unit.name), mod: unit.revision }, { key: targetKey(unit.name), mod: from.revision }],
        ops: [
          { put: targetKey(unit.name), value: encodeTarget({ ...from, successor: machine }) },
          { put: successorKey(machine, unit.name), value: encodeAssignment(unit) },
        ],
      };
    }
    case "abandon": {
      const { unit, from, failedMove } = step;
      const { successor, ...rest }: Target = from;
      return {
        compares: [{ key: targetKey(unit), mod: from.revision }],
        ops: [
          { put: targetKey(unit), value: encodeTarget({ ...rest, ...failedMove && { failedMove } }) },
          ...successor === undefined ? [] : [{ delete: successorKey(successor, unit) }],
        ],
      };
    }
    case "withdraw": {
      const key = successorKey(step.machine, step.unit);
      return { compares: [{ key, mod: step.revision }], ops: [{ delete: key }] };
    }
    case "drained": {
      const { drain, status } = step;
      const key = drainKey(drain.machine);
      return {
        compares: [{ key, mod: drain.revision }],
        ops: [{ put: key, value: encodeDrain({ ...drain, status }) }],
      };
    }
    case "rebalanced": {
      const { was, moves } = step;
      const op: Op = moves.length === 0
        ? { delete: rebalanceKey }
        : { put: rebalanceKey, value: encodeRebalance({ ...was, moves }) };
      return { compares: [{ key: rebalanceKey, mod: was.revision }], ops: [op] };
    }
  }
}
