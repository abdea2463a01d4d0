/**
 * Encodes and decodes the values of `cordon/`, `drain/` and `rebalance`. Each is written whole.
 *
 * @module
 */

import { type Cordon, type Drain, drainStatuses, type MachineId, type Rebalance } from "../model.ts";
import type { KeyValue } from "../store/port.ts";
import { encode, Fields } from "./codec.ts";

export function encodeCordon({ changed, why }: Omit<Cordon, "revision">): string {
  return encode({ changed, why });
}

/** Decoders throw a {@link TypeError} that names the key and the field that cannot be decoded. */
export function decodeCordon(kv: KeyValue): Cordon {
  const fields = new Fields(kv);
  const changed = fields.authorship();
  const why = fields.optionalText("why");
  return { ...changed && { changed }, ...why !== undefined && { why }, revision: kv.modRevision };
}

export function encodeDrain(drain: Omit<Drain, "machine" | "revision" | "unreadable">): string {
  const { changed, maxParallel, deadlineAt_ms, force, keepsGlobals, total, status } = drain;
  return encode({ changed, maxParallel, deadlineAt_ms, force, keepsGlobals, total, status });
}

export function decodeDrain(machine: MachineId, kv: KeyValue): Drain {
  const fields = new Fields(kv);
  const changed = fields.authorship();
  const deadlineAt_ms = fields.optionalNumber("deadlineAt_ms");
  return {
    machine,
    ...changed && { changed },
    maxParallel: fields.number("maxParallel"),
    ...deadlineAt_ms !== undefined && { deadlineAt_ms },
    ...fields.flag("force") && { force: true },
    ...fields.flag("keepsGlobals") && { keepsGlobals: true },
    total: fields.number("total"),
    status: fields.oneOf("status", drainStatuses),
    revision: kv.modRevision,
  };
}

export function encodeRebalance({ changed, moves }: Omit<Rebalance, "revision">): string {
  return encode({ changed, moves: moves.map(({ unit, from, to }) => `${from} ${to} ${unit}`) });
}

export function decodeRebalance(kv: KeyValue): Rebalance {
  const fields = new Fields(kv);
  const changed = fields.authorship();
  const moves = fields.list("moves").map((text) => {
    const [from = "", to = "", unit = ""] = text.split(" ");
    return { from, to, unit };
  });
  return { ...changed && { changed }, moves, revision: kv.modRevision };
}
