/**
 * The moves that operators have requested: every job of a machine that is drained, and jobs that are to move for balance.
 * Pure.
 *
 * @module
 */

import type { Cluster, Drain, MachineId, Target, Unit, UnitName } from "../../../registry/model.ts";
import type { FailedMove } from "../../../registry/failed_on.ts";
import { isActiveJob } from "../../policy/globals.ts";
import { short } from "../classify.ts";

/** A request that a unit leaves its machine. */
export interface MoveRequest {
  readonly unit: Unit;
  readonly target: Target;
  /** The machine that it is to move to; absent: any other one. */
  readonly to?: MachineId;
  /** The drain that requests it; absent if it moves for balance. */
  readonly drain?: Drain;
  /** The reason, a part of a sentence. */
  readonly why: string;
  /** The reason why an earlier move because of this request was given up, a part of a sentence about the second copy. */
  readonly failedMove?: FailedMove | undefined;
}

/** True while there is anything about moves for the engine to do or to finish. */
export function hasRequests({ drains, successors, rebalance }: Cluster): boolean {
  if (successors !== undefined || rebalance !== undefined) return true;
  return [...drains?.values() ?? []].some(({ status }) => status !== "done");
}

/** Returns the requests by unit. Machines that are absent are left to the scheduler. */
export function moveRequests(cluster: Cluster): ReadonlyMap<UnitName, MoveRequest> {
  const { units, targets, machines, drains, rebalance } = cluster;
  const requests = new Map<UnitName, MoveRequest>();
  const add = (name: UnitName, more: Omit<MoveRequest, "unit" | "target">) => {
    const [unit, target] = [units.get(name), targets.get(name)];
    if (!unit || !target || target.unreadable !== undefined || !isActiveJob(unit)) return;
    requests.set(name, { unit, target, ...more });
  };
  for (const { unit, from, to } of rebalance?.moves ?? []) {
    if (targets.get(unit)?.machine !== from || !machines.has(from)) continue;
    const { failedMove } = targets.get(unit)!;
    add(unit, { to, why: `it moves to even out the load${byText(rebalance?.changed)}`, failedMove });
  }
  if (![...drains?.values() ?? []].some(isMoving)) return requests;
  for (const target of targets.values()) {
    const { unit, machine } = target;
    const drain = drains?.get(machine);
    if (!drain || !isMoving(drain) || !machines.has(machine)) continue;
    const why = `machine ${short(machine)} is drained${byText(drain.changed)}`;
    add(unit, { drain, why, failedMove: failedMoveFor(drain, target) });
  }
  return requests;
}

/** Returns why the latest move of a unit that a drain has requested was given up. */
export function failedMoveFor(drain: Drain, { failedMove, revision }: Target): FailedMove | undefined {
  return revision > drain.revision ? failedMove : undefined;
}

function byText(changed: Drain["changed"]): string {
  return changed ? ` by ${changed.by}` : "";
}

function isMoving({ status, unreadable }: Drain): boolean {
  // A unit that has arrived late is moved as well.
  return status !== "done" && unreadable === undefined;
}

/** Returns the requested units in groups that MachineOf ties together; most have one member. By name. */
export function requestedGroups(
  cluster: Cluster,
  requests: ReadonlyMap<UnitName, MoveRequest>,
): readonly (readonly MoveRequest[])[] {
  const ties = new Map<UnitName, Set<UnitName>>();
  const tie = (a: UnitName, b: UnitName) => ties.getOrInsertComputed(a, () => new Set()).add(b);
  for (const { unit, target } of requests.values()) {
    for (const peer of unit.requirements.machineOf) {
      const isHere = cluster.targets.get(peer)?.machine === target.machine;
      if (peer === unit.name || !isHere || !requests.has(peer)) continue;
      tie(unit.name, peer);
      tie(peer, unit.name);
    }
  }
  const grouped = new Set<UnitName>();
  return [...requests.keys()].sort().flatMap((name) => {
    if (grouped.has(name)) return [];
    const members = new Set([name]);
    for (const member of members) for (const other of ties.get(member) ?? []) members.add(other);
    for (const member of members) grouped.add(member);
    return [[...members].sort().map((member) => requests.get(member)!)];
  });
}
