/**
 * The rule of OnFailure=move: which units leave a machine because they fail there. Pure.
 *
 * @module
 */

import { counted } from "../../runtime/counted.ts";
import { failedMachines, type FailedOn, maxFailedMachines } from "../../registry/failed_on.ts";
import type { Cluster, MachineId, Target, Unit, UnitName, UnitState } from "../../registry/model.ts";
import type { MoveAfter } from "../../registry/placement_options.ts";
import { isActiveJob } from "./globals.ts";

/** A unit that has failed as often as its MoveAfter= says. */
export interface FailingUnit {
  readonly unit: Unit;
  readonly target: Target;
  /** The time of the last failure, milliseconds since the epoch. */
  readonly at_ms: number;
  /** The number of machines on which it has failed before this one. */
  readonly earlier: number;
  /** The machines that it has failed on, this one included. */
  readonly failedOn: FailedOn;
}

/** Units with OnFailure=move, by the map of all units: states change much more often. */
const movable = new WeakMap<Cluster["units"], readonly Unit[]>();

const known = new WeakMap<Cluster, ReadonlyMap<UnitName, FailingUnit>>();

/** Returns the units that have failed on their machine as often as they may. */
export function failingUnits(cluster: Cluster): ReadonlyMap<UnitName, FailingUnit> {
  return known.getOrInsertComputed(cluster, () => findFailing(cluster));
}

function findFailing({ units, targets, states, machines }: Cluster): ReadonlyMap<UnitName, FailingUnit> {
  const failing = new Map<UnitName, FailingUnit>();
  const candidates = movable.getOrInsertComputed(
    units,
    () => [...units.values()].filter((unit) => unit.requirements.moveAfter !== undefined && isActiveJob(unit)),
  );
  for (const unit of candidates) {
    const target = targets.get(unit.name);
    const state = target && states.get(unit.name)?.get(target.machine);
    if (!state || !machines.has(target.machine) || !hasGivenUp(unit, state)) continue;
    const { hash, restart } = unit;
    const before = failedMachines(target.failedOn, unit, state.since_ms);
    const here = { id: target.machine, at_ms: state.since_ms };
    const failedOn = { hash, restart, machines: [...before.filter(({ id }) => id !== here.id), here] };
    failing.set(unit.name, { unit, target, at_ms: state.since_ms, earlier: before.length, failedOn });
  }
  return failing;
}

function hasGivenUp({ hash, restart, desiredState, requirements }: Unit, state: UnitState): boolean {
  if (desiredState !== "launched" || state.active !== "failed") return false;
  return state.hash === hash && state.restart >= restart && (state.failures ?? 0) >= requirements.moveAfter!.failures;
}

/** True if the same units fail on the same machines. */
export function sameFailing(a: Cluster, b: Cluster): boolean {
  if (a.states === b.states && a.units === b.units) return true;
  const [before, now] = [failingUnits(a), failingUnits(b)];
  if (before.size !== now.size) return false;
  return [...now].every(([name, { at_ms, target }]) => {
    const was = before.get(name);
    return was?.at_ms === at_ms && was.target.machine === target.machine;
  });
}

/** Returns why a failing unit may leave its machine for no other one, whichever accept it; undefined if it may. */
export function whyStuck({ earlier }: FailingUnit): string | undefined {
  if (earlier < maxFailedMachines) return undefined;
  return `it has failed on ${earlier} machines before within a day, and fleet tries no other`;
}

/** Returns the machines that a failing unit does not go to. */
export function avoided({ failedOn }: FailingUnit): ReadonlySet<MachineId> {
  return new Set(failedOn.machines.map(({ id }) => id));
}

/** Returns what is to be said about the failures of a unit. `isMoving`: the engine is about to move it. */
export function failureNotes(
  cluster: Cluster,
  { name, requirements: { moveAfter } }: Unit,
  isMoving: boolean,
): string[] {
  const target = cluster.targets.get(name);
  const failures = target && cluster.states.get(name)?.get(target.machine)?.failures;
  if (!moveAfter || failures === undefined) return [];
  const where = `on machine ${target!.machine.slice(0, 8)}...`;
  const failing = failingUnits(cluster).get(name);
  if (!failing) return [`it has failed ${failures} of ${moveAfterText(moveAfter)} ${where}, where it is started again`];
  if (isMoving) return [];
  const why = whyStuck(failing) ?? "no other machine takes it";
  return [`it has failed ${moveAfterText(moveAfter)} ${where}, and stays there: ${why}`];
}

/** Returns a limit of failures, for people. */
export function moveAfterText({ failures, within_ms }: MoveAfter): string {
  const [amount, unit] = within_ms % 3_600_000 === 0
    ? [within_ms / 3_600_000, "h"]
    : within_ms % 60_000 === 0
    ? [within_ms / 60_000, "m"]
    : [within_ms / 1_000, "s"];
  return `${counted(failures, "time")} within ${amount}${unit}`;
}
