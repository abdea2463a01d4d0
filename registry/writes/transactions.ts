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
import { maintenanceTransaction, relocationTransaction } from "./maintenance.ts";
import { encodeCordon } from "../schema/maintenance.ts";
import {
  assignKey,
  contentKey,
  cordonKey,
  drainKey,
  fileKey,
  globalKey,
  lossKey,
  lossWaitKey,
  metadataKey,
  rebalanceKey,
  successorKey,
  targetKey,
  unitKey,
} from "../schema/keys.ts";
import type { Change, EngineStep, Placement, UnitChange, UnitRecord } from "../mod.ts";
import type { AppName, Target, Unit, UnitName, UnitVersion, UnknownFields } from "../model.ts";
import { isFileOption } from "../attached_files.ts";
import { parseRequirements } from "../requirements.ts";
import { versionsOf, withRestart, withVersion } from "../versions.ts";
import { pastOf } from "../past.ts";
import { type Compare, maxTransactionOps, type Op } from "../store/port.ts";
import { written } from "./written.ts";

/** Compares and writes that are applied whole or not at all. */
export interface Transaction {
  readonly compares: readonly Compare[];
  readonly ops: readonly Op[];
  /** True if it requests a restart: two requests leave the same values in the store, and yet are two restarts. */
  readonly restarts?: boolean;
}

/** Returns the transaction of an operator's change. It puts {@link written}. */
export function changeTransaction(change: Change): Transaction {
  switch (change.kind) {
    case "metadata":
      return { compares: [], ops: [{ put: metadataKey(change.machine, change.key), value: change.value }, written] };
    case "drain":
    case "undrain":
    case "rebalance":
      return maintenanceTransaction(change);
    case "cordon": {
      const { machine, cordon } = change;
      const key = cordonKey(machine);
      return { compares: [], ops: [cordon ? { put: key, value: encodeCordon(cordon) } : { delete: key }, written] };
    }
    case "content":
      return { compares: [], ops: [{ put: contentKey(change.name), value: change.base64 }, written] };
    case "accept loss":
      return { compares: [{ key: lossKey, mod: change.was.revision }], ops: [{ delete: lossWaitKey }, written] };
    case "delete":
    case "put": {
      const { compares, ops } = unitTransaction(change);
      return { compares, ops: [...ops, written], ...change.kind === "put" && { restarts: change.restart ?? false } };
    }
  }
}

/** Returns the transaction of a change of one unit, without `written`. */
export function unitTransaction(change: UnitChange): Transaction {
  const compares = compareRecord(change.was);
  if (change.kind === "delete") return { compares, ops: [...deleteUnit(change.was), ...unassign(change.was)] };
  const { file, contents = [] } = change;
  if (file && "revision" in file) compares.push({ key: fileKey(file.hash), mod: file.revision });
  for (const content of contents) compares.push({ key: contentKey(content), mod: content.revision });
  return { compares, ops: putUnit(change) };
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
  return [{ delete: targetKey(was.name) }, ...withdraw(was.target), ...withdrawSuccessor(was.target)];
}

/** Returns the deletion of the unit's assignment to its machine, if that is known. */
function withdraw({ machine, unit }: Target): Op[] {
  return machine === "" ? [] : [{ delete: assignKey(machine, unit) }];
}

/** Returns the deletion of the unit's second copy, if it has one. */
export function withdrawSuccessor({ unit, successor }: Target): Op[] {
  return successor === undefined ? [] : [{ delete: successorKey(successor, unit) }];
}

/**
 * Returns the end of a move that has not been completed: the second copy is withdrawn. Whatever changes a unit does this, so
 * that a copy is never one of another version.
 */
function endMove(target: Target | undefined): Op[] {
  if (target?.successor === undefined) return [];
  const { successor: _successor, ...rest } = target;
  return [{ put: targetKey(target.unit), value: encodeTarget(rest) }, ...withdrawSuccessor(target)];
}

function putUnit(change: Extract<UnitChange, { kind: "put" }>): Op[] {
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
  const wasGlobal = was.unit?.requirements.global ?? false;
  const isGlobal = file ? parseRequirements(name, fleetOptions).global : wasGlobal;
  const losesTarget = isGlobal || desiredState === "inactive";
  // While the unit has a target, that has its past.
  const past = losesTarget || was.target === undefined ? pastOf(was.target, was.unit) : undefined;
  const value: UnitValue = {
    hash,
    fleetOptions,
    desiredState,
    restart,
    launchedAt,
    ...(startOnly && { startOnly }),
    ...changed,
    versions: versionsAfter(change, hash),
    ...appOf(change),
    ...past && { past },
    ...nextOf(change),
    ...unknownFieldsOf(was.unit),
  };

  const ops: Op[] = [{ put: isGlobal ? globalKey(name) : unitKey(name), value: encodeUnit(value) }];
  if (was.unit && wasGlobal !== isGlobal) ops.push(...deleteUnit(was));
  if (file && "text" in file) ops.push({ put: fileKey(hash), value: file.text });
  if (losesTarget) ops.push(...unassign(was));
  else if (change.placed && was.target === undefined) {
    ops.push(...placeOn({ ...change.placed, ...past && { past } }, name, value));
  } else {
    ops.push(...endMove(was.target));
    if (was.target && was.target.machine !== "" && was.unit && keepsOptions(was.unit, fleetOptions)) {
      ops.push({ put: assignKey(was.target.machine, name), value: encodeAssignment(value) });
    }
  }
  return ops;
}

function versionsAfter(
  { was, changed, restart, startOnly }: Extract<UnitChange, { kind: "put" }>,
  hash: string,
): readonly UnitVersion[] {
  const before = was.unit && was.unit.unreadable === undefined ? versionsOf(was.unit) : [];
  const versions = withVersion(before, hash, changed);
  return versions === before && restart && !startOnly && changed ? withRestart(versions, changed) : versions;
}

/** Returns the app that the unit belongs to after the change. */
function appOf({ app, was }: Extract<UnitChange, { kind: "put" }>): { readonly app?: AppName } {
  const owner = app ?? was.unit?.app;
  return owner === undefined ? {} : { app: owner };
}

/** Returns the file that some machines have after the change. A file that is put by hand is one of all machines. */
function nextOf({ next, was, file, desiredState }: Extract<UnitChange, { kind: "put" }>): Pick<UnitValue, "next"> {
  if (next !== undefined) return next === null ? {} : { next };
  const kept = file === undefined && desiredState !== "inactive" ? was.unit?.next : undefined;
  return kept ? { next: kept } : {};
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

/** Returns true if the unit is known to have had the same options before; attached files may have another content. */
function keepsOptions(was: Unit, options: UnitValue["fleetOptions"]): boolean {
  const text = (some: UnitValue["fleetOptions"]) =>
    JSON.stringify(some.map((option) => [option.section, option.name, isFileOption(option) ? "" : option.value]));
  return was.unreadable === undefined && text(options) === text(was.fleetOptions);
}

/** Returns the transaction of one placement, without the leader's fence. `now_ms` is the wall clock. */
export function placementTransaction(placement: EngineStep, now_ms: number): Transaction {
  switch (placement.kind) {
    case "forget": {
      const key = forgottenKey(placement);
      return { compares: [{ key, mod: placement.revision }], ops: [{ delete: key }] };
    }
    case "unplace":
      return {
        compares: [{ key: targetKey(placement.unit), mod: placement.from.revision }],
        ops: [
          { delete: targetKey(placement.unit) },
          ...withdraw(placement.from),
          ...withdrawSuccessor(placement.from),
        ],
      };
    case "place":
      return place(placement, now_ms);
    default:
      return relocationTransaction(placement);
  }
}

function place(placement: Extract<Placement, { kind: "place" }>, now_ms: number): Transaction {
  const { unit, machine, from, why, failedOn } = placement;
  const stays = from?.machine === machine;
  const since_ms = stays && from.unreadable === undefined ? from.since_ms : now_ms;
  const past = stays ? from.past : pastOf(from, unit);
  const more = { ...failedOn && { failedOn }, ...past && { past }, ...unknownFieldsOf(from) };
  const ops = placeOn({ machine, why, since_ms, ...more }, unit.name, unit);
  if (from && !stays) ops.push(...withdraw(from));
  if (from) ops.push(...withdrawSuccessor(from));
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
  readonly placements: readonly EngineStep[];
}

/**
 * Packs placements, in order, into as few transactions as fit beside `fence` compares. The progress of a drain or rebalance
 * puts `written`; placements do not. No transaction writes a key twice, which etcd refuses: a second placement of one unit
 * goes to a later transaction, where its compares decide.
 */
export function packPlacements(placements: readonly EngineStep[], fence: number, now_ms: number): PlacementBatch[] {
  const batches: { placements: EngineStep[]; compares: Compare[]; ops: Op[]; subjects: Set<string> }[] = [];
  for (const placement of placements) {
    const { compares, ops } = placementTransaction(placement, now_ms);
    const subject = subjectOf(placement);
    const last = batches.at(-1);
    if (
      last && !last.subjects.has(subject) && fence + last.compares.length + compares.length <= maxTransactionOps &&
      last.ops.length + ops.length < maxTransactionOps
    ) {
      last.placements.push(placement);
      last.compares.push(...compares);
      last.ops.push(...ops);
      last.subjects.add(subject);
    } else {
      batches.push({ placements: [placement], compares: [...compares], ops: [...ops], subjects: new Set([subject]) });
    }
  }
  // The operator who waits for the end of a request reads on from there.
  return batches.map((batch) => batch.placements.some(isProgress) ? { ...batch, ops: [...batch.ops, written] } : batch);
}

function isProgress({ kind }: EngineStep): boolean {
  return kind === "drained" || kind === "rebalanced";
}

function subjectOf(placement: EngineStep): string {
  switch (placement.kind) {
    case "place":
    case "prepare":
      return unitKey(placement.unit.name);
    case "unplace":
    case "abandon":
      return unitKey(placement.unit);
    case "withdraw":
      return successorKey(placement.machine, placement.unit);
    case "drained":
      return drainKey(placement.drain.machine);
    case "rebalanced":
      return rebalanceKey;
    case "forget":
      return forgottenKey(placement);
  }
}

function forgottenKey({ hash, size_bytes }: Extract<Placement, { kind: "forget" }>): string {
  return size_bytes === undefined ? fileKey(hash) : contentKey({ hash, size_bytes });
}
