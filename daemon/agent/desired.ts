/**
 * What this machine ought to have: the units assigned to it, and the globals that will run beside them.
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
import { parseUnitFile, UnitFileError, type UnitOption } from "../../systemd/unit_file.ts";
import { globalsAmong, isActiveGlobal } from "../policy/globals.ts";
import type { UnitTraits } from "../policy/feasibility.ts";

/** One unit that ought to be here. */
export interface Wanted {
  readonly name: UnitName;
  readonly hash: string;
  readonly desiredState: "loaded" | "launched";
  readonly restart: Revision;
  /** True if the request at {@link restart} is for a start: a unit that runs is left alone. */
  readonly startOnly?: true;
}

/** Hashes of the files that {@link desired} must be given the text of. */
export function hashesNeeded(view: MachineView): Set<string> {
  const hashes = new Set<string>();
  for (const { hash } of view.assignments.values()) hashes.add(hash);
  for (const unit of view.globals.values()) if (isActiveGlobal(unit)) hashes.add(unit.hash);
  return hashes;
}

/**
 * What is on the machine of units that the view has only unreadable orders for: `files` are hashes by unit. They stay as
 * they are.
 */
export function kept(view: MachineView, files: ReadonlyMap<UnitName, string>): ReadonlyMap<UnitName, string> {
  return new Map([...view.unreadable].flatMap((name) => {
    const hash = files.get(name);
    return hash === undefined ? [] : [[name, hash] as const];
  }));
}

/**
 * Everything that ought to be on the machine. `texts` holds unit files by hash. Units that are {@link kept} are not among
 * it, but count as placed here.
 */
export function desired(
  view: MachineView,
  machine: MachineRecord,
  texts: ReadonlyMap<string, string>,
  kept: ReadonlyMap<UnitName, string> = new Map(),
): ReadonlyMap<UnitName, Wanted> {
  const wanted = new Map<UnitName, Wanted>();
  const jobs: UnitTraits[] = [...kept].map(([name, hash]) => subject(name, texts.get(hash)));
  const globals = [...view.globals.values()].filter(isActiveGlobal);
  for (const orders of view.assignments.values()) {
    if (orders.desiredState === "inactive") continue;
    const { unit: name, hash, desiredState, restart, startOnly } = orders;
    wanted.set(name, { name, hash, desiredState, restart, ...(startOnly && { startOnly }) });
    if (globals.length > 0) jobs.push(subjectOf(orders, texts.get(hash)));
  }
  const host = { ...machine, metadata: effectiveMetadata(machine.staticMetadata, view.dynamicMetadata) };
  for (const { name, hash, desiredState, restart, startOnly } of globalsAmong(host, jobs, globals)) {
    if (desiredState === "inactive") continue;
    wanted.set(name, { name, hash, desiredState, restart, ...(startOnly && { startOnly }) });
  }
  return wanted;
}

/** An assignment never changes once it was read, and is looked at each time anything happens on the machine. */
const subjects = new WeakMap<Assignment, UnitTraits>();

/** An assigned unit as placement sees it. */
function subjectOf(orders: Assignment, text: string | undefined): UnitTraits {
  let known = subjects.get(orders);
  if (!known) {
    known = subject(orders.unit, text);
    if (text !== undefined) subjects.set(orders, known);
  }
  return known;
}

/** A unit as placement sees it. One whose text is not there, or cannot be read, is taken to ask for nothing. */
function subject(name: UnitName, text: string | undefined): UnitTraits {
  const options = text === undefined ? [] : optionsOf(text);
  return { name, requirements: parseRequirements(name, options), launchedAt: 0 };
}

function optionsOf(text: string): readonly UnitOption[] {
  try {
    return parseUnitFile(text);
  } catch (error) {
    // systemd says what is wrong with it when it is loaded.
    if (error instanceof UnitFileError) return [];
    throw error;
  }
}
