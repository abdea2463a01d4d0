/**
 * The desired state of this machine: the units assigned to it, and the globals that run beside them.
 *
 * @module
 */

import {
  type Assignment,
  effectiveMetadata,
  type MachineRecord,
  type MachineView,
  type Revision,
  type UnitName,
} from "../../registry/model.ts";
import { parseRequirements } from "../../registry/requirements.ts";
import { optionsOf } from "../../systemd/unit_file.ts";
import { globalsAmong, isActiveGlobal, versionOn } from "../policy/globals.ts";
import type { UnitTraits } from "../policy/feasibility.ts";

/** One unit that should be on this machine. */
export interface DesiredUnit {
  readonly name: UnitName;
  readonly hash: string;
  readonly desiredState: "loaded" | "launched";
  readonly restart: Revision;
  /** True if {@link restart} is the revision of a request to start: a unit that runs is left alone. */
  readonly startOnly?: true;
}

/** Returns the hashes of the files whose text {@link desired} needs. */
export function hashesNeeded(view: MachineView): Set<string> {
  const hashes = new Set<string>();
  for (const { hash } of view.assignments.values()) hashes.add(hash);
  for (const unit of view.globals.values()) if (isActiveGlobal(unit)) hashes.add(versionOn(unit, view.machine).hash);
  return hashes;
}

/**
 * Returns the files, as hashes by unit, of units whose assignment cannot be read: they are left alone. `files`: all files on
 * the machine.
 */
export function retainedFiles(view: MachineView, files: ReadonlyMap<UnitName, string>): ReadonlyMap<UnitName, string> {
  return new Map([...view.unreadable].flatMap((name) => {
    const hash = files.get(name);
    return hash === undefined ? [] : [[name, hash] as const];
  }));
}

/**
 * Returns the units that should be on the machine. `texts` holds unit files by hash. Units of {@link retainedFiles} are not
 * among them, but count as placed here.
 */
export function desired(
  view: MachineView,
  machine: MachineRecord,
  texts: ReadonlyMap<string, string>,
  retained: ReadonlyMap<UnitName, string> = new Map(),
): ReadonlyMap<UnitName, DesiredUnit> {
  const wanted = new Map<UnitName, DesiredUnit>();
  const jobs: UnitTraits[] = [...retained].map(([name, hash]) => traits(name, texts.get(hash)));
  const globals = [...view.globals.values()].filter(isActiveGlobal);
  for (const assignment of view.assignments.values()) {
    if (assignment.desiredState === "inactive") continue;
    const { unit: name, hash, desiredState, restart, startOnly } = assignment;
    wanted.set(name, { name, hash, desiredState, restart, ...(startOnly && { startOnly }) });
    if (globals.length > 0) jobs.push(traitsOf(assignment, texts.get(hash)));
  }
  const metadata = effectiveMetadata(machine.staticMetadata, view.dynamicMetadata);
  const host = { ...machine, metadata, ...view.stopsGlobals && { stopsGlobals: true as const } };
  for (const { name, hash, desiredState, restart, startOnly } of globalsAmong(host, jobs, globals)) {
    if (desiredState === "inactive") continue;
    wanted.set(name, { name, hash, desiredState, restart, ...(startOnly && { startOnly }) });
  }
  return wanted;
}

/**
 * Returns the units among `wanted` of which only one copy may run in the cluster, each with the revision of its assignment.
 * Global units are not among them.
 */
export function exclusiveUnits(
  { assignments }: MachineView,
  wanted: ReadonlyMap<UnitName, DesiredUnit>,
  texts: ReadonlyMap<string, string>,
): ReadonlyMap<UnitName, Revision> {
  const exclusive = new Map<UnitName, Revision>();
  for (const { name, hash, desiredState } of wanted.values()) {
    const assignment = assignments.get(name);
    if (desiredState !== "launched" || assignment?.hash !== hash) continue;
    const { stopWhenDisconnected_ms, unique } = traitsOf(assignment, texts.get(hash)).requirements;
    if (stopWhenDisconnected_ms !== undefined || unique) exclusive.set(name, assignment.revision);
  }
  return exclusive;
}

/** Returns StopWhenDisconnected= by unit, milliseconds, of those unit files that have it. */
export function disconnectionLimits(files: ReadonlyMap<UnitName, string>): Map<UnitName, number> {
  const limits_ms = new Map<UnitName, number>();
  for (const [unit, text] of files) {
    const { stopWhenDisconnected_ms } = traits(unit, text).requirements;
    if (stopWhenDisconnected_ms !== undefined) limits_ms.set(unit, stopWhenDisconnected_ms);
  }
  return limits_ms;
}

/** Traits by assignment, which never changes once it was read. Each event on the machine needs the traits of all units. */
const knownTraits = new WeakMap<Assignment, UnitTraits>();

/** Returns the traits of an assigned unit. */
function traitsOf(assignment: Assignment, text: string | undefined): UnitTraits {
  let known = knownTraits.get(assignment);
  if (!known) {
    known = traits(assignment.unit, text);
    if (text !== undefined) knownTraits.set(assignment, known);
  }
  return known;
}

/** Returns the traits of a unit. One whose text is missing, or cannot be parsed, has no requirements. */
function traits(name: UnitName, text: string | undefined): UnitTraits {
  const options = text === undefined ? [] : optionsOf(text);
  return { name, requirements: parseRequirements(name, options), launchedAt: 0 };
}
