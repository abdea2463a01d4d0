/**
 * The progress of drains and of moves for balance, as every daemon knows it from the cluster alone. Pure.
 *
 * @module
 */

import type { Cluster, Drain, Machine, MachineId, UnitName } from "../../../registry/model.ts";
import type { MoveProgress } from "./move_plan.ts";
import { Relocator } from "./relocator.ts";

export type { MoveProgress } from "./move_plan.ts";

/**
 * Returns the progress of every unit that is to move. What only the leader knows, for how long units have been healthy, is
 * left out.
 */
export function moveProgress(cluster: Cluster, wall_ms: number): ReadonlyMap<UnitName, MoveProgress> {
  const times = { wall_ms, monotonic_ms: 0 };
  return new Relocator({ isLeader: false }).plan(cluster, { absentAreGone: true }, times).units;
}

/** Returns the jobs on a machine that is drained. */
export function jobsOn({ targets }: Cluster, id: MachineId): readonly UnitName[] {
  return [...targets.values()].filter(({ machine }) => machine === id).map(({ unit }) => unit).sort();
}

/** Returns the global units that a machine reports. */
export function globalsOn({ states, units }: Cluster, id: MachineId): readonly UnitName[] {
  return [...states].filter(([name, on]) => on.has(id) && units.get(name)?.requirements.global).map(([name]) => name)
    .sort();
}

/** Returns the units that a machine has, or reports, and whose records cannot be read: they are neither moved nor stopped. */
export function unreadableOn({ targets, states, units }: Cluster, id: MachineId): readonly UnitName[] {
  return [...units.values()].filter(({ name, unreadable }) =>
    unreadable !== undefined && (targets.get(name)?.machine === id || states.get(name)?.has(id))
  ).map(({ name }) => name).sort();
}

/** Returns the cluster as it would be with more drains. */
export function withDrains(cluster: Cluster, added: readonly Drain[]): Cluster {
  const drains = new Map([...cluster.drains ?? [], ...added.map((drain) => [drain.machine, drain] as const)]);
  const machines = new Map<MachineId, Machine>(cluster.machines);
  for (const { machine: id, revision } of added) {
    const machine = machines.get(id);
    if (machine) machines.set(id, { ...machine, cordon: machine.cordon ?? { why: "it is drained", revision } });
  }
  return { ...cluster, drains, machines };
}
