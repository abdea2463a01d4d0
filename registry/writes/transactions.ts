/**
 * Builds the transactions (compares and writes) of operators' changes and of the engine's placements. Pure.
 *
 * @module
 */

import {
  type AssignmentValue,
  encodeAssignment,
  encodeTarget,
  encodeUnit,
  now,
  type UnitValue,
  type WrittenRevision,
} from "../schema/codec.ts";
import {
  assignKey,
  fileKey,
  globalKey,
  lossKey,
  lossWaitKey,
  metadataKey,
  targetKey,
  unitKey,
  writtenKey,
} from "../schema/keys.ts";
import type { Change, Placement, UnitRecord } from "../mod.ts";
import type { Target, Unit, UnitName, UnknownFields } from "../model.ts";
import { parseRequirements } from "../requirements.ts";
import { versionsOf, withVersion } from "../versions.ts";
import { type Compare, maxTransactionOps, type Op } from "../store/port.ts";

/** Compares and writes that are applied whole or not at all. */
export interface Transaction {
  readonly compares: readonly Compare[];
  readonly ops: readonly Op[];
  /** True if it requests a restart: two requests leave the same values in the store, and yet are two restarts. */
  readonly restarts?: boolean;
}

/** Returns the transaction of an operator's change. It puts `written`, whose revision linearizable reads wait for. */
export function changeTransaction(change: Change): Transaction {
  const written: Op = { put: writtenKey, value: "" };
  switch (change.kind) {
    case "metadata":
      return { compares: [], ops: [{ put: metadataKey(change.machine, change.key), value: change.value }, written] };
    case "accept loss":
      return { compares: [{ key: lossKey, mod: change.was.revision }], ops: [{ delete: lossWaitKey }, written] };
    case "delete":
      return {
        compares: compareRecord(change.was),
        ops: [...deleteUnit(change.was), ...unassign(change.was), written],
      };
    case "put":
      return {
        compares: compareRecord(change.was),
        ops: [...putUnit(change), written],
        restarts: change.restart ?? false,
      };
  }
}

/** Returns the compares that unit, global and target have not changed since they were read. */
function compareRecord(was: UnitRecord): Compare[] {
  const revision = was.unit?.revision ?? 0;
  const global = was.unit?.requirements.global ?? false;
  return [
    { key: unitKey(was.name), mod: global ? 0 : revision },
    { key: globalKey(was.name), mod: global ? revision : 0 },
    { key: targetKey(was.name), mod: was.target?.revision ?? 0 },
  ];
}

function deleteUnit(was: UnitRecord): Op[] {
  if (was.unit === undefined) return [];
  return [{ delete: was.unit.requirements.global ? globalKey(was.name) : unitKey(was.name) }];
}

function unassign(was: UnitRecord): Op[] {
  // An unreadable target does not name the machine: the engine, which sees all assignments, deletes the unit's.
  if (was.target === undefined || was.target.machine === "") return [];
  return [{ delete: targetKey(was.name) }, ...withdraw(was.target)];
}

/** Returns the deletion of the unit's assignment to its machine, if that is known. */
function withdraw({ machine, unit }: Target): Op[] {
  return machine === "" ? [] : [{ delete: assignKey(machine, unit) }];
}

function putUnit(change: Extract<Change, { kind: "put" }>): Op[] {
  const { was, file, desiredState } = change;
  const name = was.name;
  const hash = file?.hash ?? was.unit?.hash;
  const fleetOptions = file?.fleetOptions ?? was.unit?.fleetOptions;
  if (hash === undefined || fleetOptions === undefined) {
    throw new TypeError(`cannot create unit ${name} without its file`);
  }
  const restart: WrittenRevision = change.restart ? now : was.unit?.restart ?? 0;
  const startOnly = change.restart ? change.startOnly ?? false : was.unit?.startOnly ?? false;
  const launchedAt: WrittenRevision = desiredState === "launched" ? was.unit?.launchedAt || now : 0;
  const changed = change.changed ? { changed: change.changed } : {};
  const value: UnitValue = {
    hash,
    fleetOptions,
    desiredState,
    restart,
    launchedAt,
    ...(startOnly && { startOnly }),
    ...changed,
    versions: withVersion(
      was.unit && was.unit.unreadable === undefined ? versionsOf(was.unit) : [],
      hash,
      change.changed,
    ),
    ...unknownFieldsOf(was.unit),
  };
  const wasGlobal = was.unit?.requirements.global ?? false;
  const isGlobal = file ? parseRequirements(name, fleetOptions).global : wasGlobal;

  const ops: Op[] = [{ put: isGlobal ? globalKey(name) : unitKey(name), value: encodeUnit(value) }];
  if (was.unit && wasGlobal !== isGlobal) ops.push(...deleteUnit(was));
  if (file) ops.push({ put: fileKey(hash), value: file.text });
  if (isGlobal || desiredState === "inactive") ops.push(...unassign(was));
  else if (change.placed && was.target === undefined) ops.push(...placeOn(change.placed, name, value));
  else if (was.target && was.target.machine !== "" && was.unit && keepsOptions(was.unit, fleetOptions)) {
    ops.push({ put: assignKey(was.target.machine, name), value: encodeAssignment(value) });
  }
  return ops;
}

function placeOn(target: Parameters<typeof encodeTarget>[0], unit: UnitName, assigned: AssignmentValue): Op[] {
  return [
    { put: targetKey(unit), value: encodeTarget(target) },
    { put: assignKey(target.machine, unit), value: encodeAssignment(assigned) },
  ];
}

function unknownFieldsOf(was: Unit | Target | undefined): { readonly unknownFields?: UnknownFields } {
  return was?.unknownFields === undefined ? {} : { unknownFields: was.unknownFields };
}

/** Returns true if the unit is known to have had the same options before. */
function keepsOptions(was: Unit, options: UnitValue["fleetOptions"]): boolean {
  const text = (some: UnitValue["fleetOptions"]) =>
    JSON.stringify(some.map(({ section, name, value }) => [section, name, value]));
  return was.unreadable === undefined && text(options) === text(was.fleetOptions);
}

/** Returns the transaction of one placement, without the leader's fence. `now_ms` is the wall clock. */
export function placementTransaction(placement: Placement, now_ms: number): Transaction {
  switch (placement.kind) {
    case "forget":
      return {
        compares: [{ key: fileKey(placement.hash), mod: placement.revision }],
        ops: [{ delete: fileKey(placement.hash) }],
      };
    case "unplace":
      return {
        compares: [{ key: targetKey(placement.unit), mod: placement.from.revision }],
        ops: [{ delete: targetKey(placement.unit) }, ...withdraw(placement.from)],
      };
    case "place":
      return place(placement, now_ms);
  }
}

function place({ unit, machine, from, why }: Extract<Placement, { kind: "place" }>, now_ms: number): Transaction {
  const stays = from?.machine === machine;
  const since_ms = stays && from.unreadable === undefined ? from.since_ms : now_ms;
  const ops = placeOn({ machine, why, since_ms, ...unknownFieldsOf(from) }, unit.name, unit);
  if (from && !stays) ops.push(...withdraw(from));
  return {
    compares: [
      { key: unitKey(unit.name), mod: unit.revision },
      { key: targetKey(unit.name), mod: from?.revision ?? 0 },
    ],
    ops,
  };
}

/** Several placements in one transaction. */
export interface PlacementBatch extends Transaction {
  readonly placements: readonly Placement[];
}

/**
 * Packs placements, in order, into as few transactions as fit beside `fence` compares. No transaction writes a key twice,
 * which etcd refuses: a second placement of one unit goes to a later transaction, where its compares decide.
 */
export function packPlacements(placements: readonly Placement[], fence: number, now_ms: number): PlacementBatch[] {
  const batches: { placements: Placement[]; compares: Compare[]; ops: Op[]; subjects: Set<string> }[] = [];
  for (const placement of placements) {
    const { compares, ops } = placementTransaction(placement, now_ms);
    const subject = subjectOf(placement);
    const last = batches.at(-1);
    if (
      last && !last.subjects.has(subject) && fence + last.compares.length + compares.length <= maxTransactionOps &&
      last.ops.length + ops.length <= maxTransactionOps
    ) {
      last.placements.push(placement);
      last.compares.push(...compares);
      last.ops.push(...ops);
      last.subjects.add(subject);
    } else {
      batches.push({ placements: [placement], compares: [...compares], ops: [...ops], subjects: new Set([subject]) });
    }
  }
  return batches;
}

function subjectOf(placement: Placement): UnitName {
  switch (placement.kind) {
    case "place":
      return unitKey(placement.unit.name);
    case "unplace":
      return unitKey(placement.unit);
    case "forget":
      return fileKey(placement.hash);
  }
}
