/**
 * Decides which units may leave the old cluster and start in this one. Pure.
 *
 * @module
 */

import { type DesiredState, desiredStates } from "../../registry/model.ts";
import { isTemplate } from "../../systemd/unit_name.ts";
import type { ComparedUnit } from "./compare.ts";
import type { OldCluster, OldUnit } from "./old_cluster.ts";
import type { MovedUnits } from "./record.ts";
import { relatedGroups } from "./related.ts";

/** A unit that moves. */
export interface Move {
  readonly name: string;
  /** The unit as the old cluster has it now. */
  readonly old: OldUnit;
  /** Its desired state in the old cluster before the move. */
  readonly desiredState: DesiredState;
  /** The machine that it leaves; undefined if it waits for one there. */
  readonly machineID?: string;
  /** The desired state that it gets here. */
  readonly target: DesiredState;
}

/** A unit that stays where it is. */
export interface Held {
  readonly name: string;
  readonly why: string;
}

/** The decisions on a set of units. */
export interface CutOver {
  /** Units that move, in groups that systemd ties together. */
  readonly groups: readonly (readonly Move[])[];
  readonly held: readonly Held[];
  /** Names of units that have moved already. */
  readonly done: readonly string[];
  /** Those of them that were stopped or destroyed here since. */
  readonly stopped: readonly string[];
}

/** A unit that is to move, before it is known whether it may. */
export interface Candidate {
  readonly old: OldUnit;
  /** Its desired state in the old cluster before the move, and its machine then. */
  readonly desiredState: DesiredState;
  readonly machineID?: string;
  /** True if the unit has moved before: it stays as it is here, also if it was stopped. */
  readonly hasMoved: boolean;
}

/**
 * Returns the units of the old cluster that are to run here: those that are loaded or launched there, and those that the
 * record says were, until an interrupted move stopped them. `machine`: only those of this machine.
 */
export function candidatesOf({ units }: OldCluster, moved: MovedUnits, machine?: string): Candidate[] {
  return units.flatMap((old): Candidate[] => {
    if (isTemplate(old.name) || old.isGlobal) return [];
    const recorded = moved.get(old.name);
    const live = desiredStates.find((state) => state === old.desiredState) ?? "inactive";
    const hasMoved = recorded?.hasMoved === true && live === "inactive";
    // A unit that is loaded there again after its move was loaded by an operator: only an unfinished move leaves it so.
    const before = recorded?.hasMoved && !hasMoved ? undefined : recorded?.desiredState;
    const desiredState = live === "launched" ? live : before ?? live;
    const machineID = old.machineID ?? recorded?.machineID;
    if (desiredState === "inactive" || machine !== undefined && machineID !== machine) return [];
    return [{ old, desiredState, ...machineID !== undefined && { machineID }, hasMoved }];
  });
}

/** Decides on candidates, which have been compared with this cluster. */
export function decideCutOver(
  candidates: readonly Candidate[],
  compared: ReadonlyMap<string, ComparedUnit>,
  cluster: OldCluster,
): CutOver {
  const present = new Set(cluster.machines.map(({ id }) => id));
  const held = new Map<string, string>();
  const moves = new Map<string, Move>();
  const done: string[] = [];
  const stopped: string[] = [];
  for (const { old, desiredState, machineID, hasMoved } of candidates) {
    const { name } = old;
    const unit = compared.get(name);
    const here = unit?.here?.desiredState ?? "inactive";
    const isHere = here === desiredState || here === "launched";
    if (hasMoved || unit?.change === "same" && isHere && old.desiredState === "inactive") {
      done.push(name);
      if (!isHere) stopped.push(name);
      continue;
    }
    const why = whyNotHere(unit, old) ?? whyNotStoppable(old, desiredState, present);
    if (why !== undefined) held.set(name, why);
    const target = here === "launched" ? here : desiredState;
    moves.set(name, { name, old, desiredState, target, ...machineID !== undefined && { machineID } });
  }
  const others = othersOnMachines(candidates, cluster);
  const groups = relatedGroups([...candidates.map(({ old }) => old), ...others]);
  for (const group of groups) holdTogether(group, held, others);
  return {
    groups: groups.map((names) => names.flatMap((name) => held.has(name) ? [] : moves.get(name) ?? []))
      .filter((group) => group.length > 0),
    held: [...held].filter(([name]) => moves.has(name)).map(([name, why]) => ({ name, why })),
    done,
    stopped,
  };
}

/** Returns the units that are not selected, on the machines of those that are. Global units do not count: none moves. */
function othersOnMachines(candidates: readonly Candidate[], { units }: OldCluster): OldUnit[] {
  const selected = new Set(candidates.map(({ old }) => old.name));
  const machines = new Set(candidates.map(({ machineID }) => machineID));
  return units.filter(({ name, machineID, isGlobal, desiredState }) => {
    return !selected.has(name) && !isGlobal && desiredState !== "inactive" && machineID !== undefined &&
      machines.has(machineID);
  });
}

/** Holds all units of a group if one of them stays, or is not selected. */
function holdTogether(group: readonly string[], held: Map<string, string>, others: readonly OldUnit[]): void {
  const other = group.find((name) => others.some((unit) => unit.name === name));
  const first = group.find((name) => held.has(name));
  const why = other !== undefined
    ? `systemd may start it together with ${other}, which is not selected: name both`
    : first !== undefined
    ? `systemd may start it together with ${first}, which stays`
    : undefined;
  for (const name of why === undefined ? [] : group) if (!held.has(name)) held.set(name, why!);
}

/** Returns why this cluster cannot run a unit; undefined if it can. */
function whyNotHere(unit: ComparedUnit | undefined, old: OldUnit): string | undefined {
  if (unit?.change === "refuse") return unit.refusal;
  if (!unit || unit.change === "create") return "this cluster does not have it: import it first, without --start";
  if (unit.change === "differs") return "its file here differs from that in the old cluster";
  if (old.desiredState === "launched" && unit.here?.desiredState === "launched") {
    return "it is launched in both clusters and may run twice: stop it in one of them";
  }
  if (!unit.unplaceable) return undefined;
  const machines = unit.unplaceable.machines.map(({ machineID: id, reasons }) => {
    return `${id.slice(0, 8)}: ${reasons.map(({ reason }) => reason).join(", ")}`;
  });
  return [unit.unplaceable.why, ...machines].join("; ");
}

/** Returns why the old cluster could not show that a unit has stopped; undefined if it could. */
function whyNotStoppable(
  { desiredState, currentState, machineID, states }: OldUnit,
  wanted: DesiredState,
  present: ReadonlySet<string>,
): string | undefined {
  if (machineID === undefined) return undefined;
  if (!present.has(machineID)) {
    return `its machine ${machineID} has left the old cluster, and nothing shows that it has stopped there: ` +
      "make sure of that, and repeat the command in a minute, when the old cluster has noticed";
  }
  if (desiredState === "launched" && currentState !== "launched") {
    return `it is not running in the old cluster yet (its state there is ${currentState}): wait, or unload it there`;
  }
  const running = states.find((state) => !isStopped(state.systemdActiveState));
  if (desiredState === "loaded" && wanted === "loaded" && running) {
    return `it is only loaded in the old cluster, but something started it: stop it on machine ${machineID}`;
  }
  return undefined;
}

/** True for the states of systemd in which a unit has no processes. */
export function isStopped(activeState: string | undefined): boolean {
  return activeState === "inactive" || activeState === "failed";
}

/**
 * True if the old cluster shows that a unit has stopped. fleet 1.0 drops the state of a unit that becomes `inactive` before
 * its processes have ended, and keeps that of a `loaded` one: a missing state proves nothing.
 */
export function hasStopped({ old: before }: Move, now: OldUnit | undefined): boolean {
  if (!now || now.desiredState === "launched") return false;
  // Stopped earlier, and then made inactive.
  if (before.desiredState === "inactive") return now.desiredState === "inactive" && now.states.length === 0;
  // Of a machine that was lost, another one that has the unit now knows nothing.
  if (now.machineID !== before.machineID) return false;
  if (now.machineID === undefined) return now.states.length === 0;
  return now.currentState === "loaded" && now.states.length > 0 &&
    now.states.every(({ systemdActiveState }) => isStopped(systemdActiveState));
}
