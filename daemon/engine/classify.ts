/**
 * Classifies the units of a cluster by the decision that the engine has to take about each.
 *
 * @module
 */

import {
  type Cluster,
  type MachineId,
  successorOf,
  type Target,
  type Unit,
  type UnitName,
} from "../../registry/model.ts";
import { isActive } from "../policy/globals.ts";
import { precedence } from "../policy/precedence.ts";
import type { ScheduleOptions } from "./plan.ts";

/** A job that needs a machine. */
export interface Candidate {
  readonly unit: Unit;
  readonly from?: Target;
  /** The machine that came back and still runs it. */
  readonly runsOn?: MachineId;
  /** The machine that runs a second copy, which was to take its place. */
  readonly successor?: MachineId;
  /** True for the machines that it may move to, although it may stay on its own. */
  readonly leavesFor?: (machine: MachineId) => boolean;
  /** The reason why it cannot stay where it was; "" if it had no machine. */
  readonly because: string;
}

/** All units of a cluster by class. */
export interface Classification {
  /** Active globals, in order of precedence, and those that cannot be read. */
  readonly globals: readonly Unit[];
  /** Jobs placed on machines that are present; also those that cannot be read. */
  readonly placed: ReadonlyMap<MachineId, readonly Unit[]>;
  /** Jobs among {@link placed} whose assignment differs from the unit, in order of precedence. */
  readonly stale: readonly Unit[];
  /** Jobs among {@link stale} whose assignment names another file. */
  readonly changed: ReadonlyMap<MachineId, ReadonlySet<UnitName>>;
  /** Jobs without a machine that is present. */
  readonly unplaced: readonly Candidate[];
  /** Jobs whose machine is absent and may come back, in order of precedence. */
  readonly awaitingMachine: readonly Candidate[];
  /** Targets of units that should be on no machine, in order of name. */
  readonly leftovers: readonly Target[];
}

/**
 * Classifies all units. `absentAreGone`: absent machines will not come back, except during the wait after a mass loss. A
 * machine that has departed never does.
 */
export function classifyUnits(
  cluster: Cluster,
  { absentAreGone, vanished, returned, leaving }: ScheduleOptions,
): Classification {
  const { units, targets, machines, departed, massLoss } = cluster;
  const globals: Unit[] = [];
  const placed = new Map<MachineId, Unit[]>();
  const stale: Unit[] = [];
  const changed = new Map<MachineId, Set<UnitName>>();
  const unplaced: Candidate[] = [];
  const awaitingMachine: Candidate[] = [];
  let withTarget = 0;
  for (const unit of units.values()) {
    const isReadable = unit.unreadable === undefined;
    if (isReadable && !isActive(unit)) continue;
    if (unit.requirements.global) {
      globals.push(unit);
      continue;
    }
    const from = targets.get(unit.name);
    if (from) withTarget++;
    if (!isReadable) {
      if (from) placed.getOrInsertComputed(from.machine, () => []).push(unit);
      continue;
    }
    if (!from || from.machine === "") {
      unplaced.push({
        unit,
        ...(from && { from }),
        because: from ? `the machine that has it is not known (${from.why})` : "",
      });
      continue;
    }
    if (!machines.has(from.machine)) {
      const departure = departed?.get(from.machine);
      const isGone = departure !== undefined || absentAreGone && !massLoss && !vanished?.has(from.machine);
      const what = departure === "stopped" ? "was stopped and left the cluster" : isGone ? "went away" : "is away";
      const because = `machine ${short(from.machine)} ${what}`;
      const successor = successorOf(cluster, unit.name)?.machine;
      (isGone ? unplaced : awaitingMachine).push({ unit, from, because, ...successor !== undefined && { successor } });
      continue;
    }
    const leaves = leavingCandidate(unit, from, cluster, returned, leaving);
    if (leaves) {
      unplaced.push(leaves);
      continue;
    }
    placed.getOrInsertComputed(from.machine, () => []).push(unit);
    const assignment = cluster.assignments.get(unit.name);
    const hasState = assignment?.desiredState === unit.desiredState && assignment.restart === unit.restart;
    const hasFile = assignment?.hash === unit.hash;
    // A target that cannot be read is written again.
    if (!hasFile || !hasState || from.unreadable !== undefined) stale.push(unit);
    if (hasFile || assignment?.unreadable !== undefined) continue;
    changed.getOrInsertComputed(from.machine, () => new Set()).add(unit.name);
  }
  const leftovers = withTarget === targets.size ? [] : leftoverTargets(cluster);
  awaitingMachine.sort((a, b) => precedence(a.unit, b.unit));
  return {
    globals: globals.sort(precedence),
    placed,
    stale: stale.sort(precedence),
    changed,
    unplaced,
    awaitingMachine,
    leftovers,
  };
}

/** Returns a unit that is to leave a machine that is present: for the one that still runs it, or since it is requested. */
function leavingCandidate(
  unit: Unit,
  from: Target,
  cluster: Cluster,
  returned: ScheduleOptions["returned"],
  leaving: ScheduleOptions["leaving"],
): Candidate | undefined {
  const runsOn = returned && originalMachine(unit, from, cluster, returned);
  if (runsOn !== undefined) {
    const because = `machine ${short(runsOn)} came back with it before machine ${short(from.machine)} had started it`;
    return { unit, from, runsOn, because };
  }
  const leavesFor = leaving?.get(unit.name);
  return leavesFor && { unit, from, leavesFor, because: `it leaves machine ${short(from.machine)}` };
}

/** Returns the machine that came back and still runs a unit, if the unit's new machine has not started it. */
function originalMachine(
  { name, hash, desiredState }: Unit,
  { machine }: Target,
  { states }: Cluster,
  returned: ReadonlySet<MachineId>,
): MachineId | undefined {
  if (desiredState !== "launched" || returned.size === 0) return undefined;
  const known = states.get(name);
  if (known?.get(machine)?.commanded === "launched") return undefined;
  return [...returned].find((id) => {
    const state = known?.get(id);
    return id !== machine && state?.hash === hash && state.commanded === "launched" &&
      ["active", "activating", "reloading"].includes(state.active);
  });
}

function leftoverTargets({ units, targets }: Cluster): readonly Target[] {
  const left = [...targets.values()].filter(({ unit: name }) => {
    const unit = units.get(name);
    return !unit || unit.unreadable === undefined && (!isActive(unit) || unit.requirements.global);
  });
  return left.sort((a, b) => a.unit < b.unit ? -1 : 1);
}

/** Shortens a machine's ID for messages. */
export function short(id: MachineId): string {
  return `${id.slice(0, 8)}...`;
}
