/**
 * Converts applications and roll-outs to entities of API v1.
 *
 * @module
 */

import type {
  AppName,
  Cluster,
  Rollout,
  RolloutStep,
  StepState,
  Unit,
  UnitName,
  UnitSpec,
} from "../../../registry/model.ts";
import { optionsOf } from "../../../systemd/unit_file.ts";
import { healthOf } from "../../policy/health.ts";
import { type StageProgress, stageProgress } from "../../policy/stage_progress.ts";
import { changedEntity, compact, nonEmpty, optionEntities, unitEntity } from "./entities.ts";
import type { AppEntity, RolloutEntity, RolloutStepEntity, UnitEntity } from "./types.ts";

/** A roll-out with all its steps, or with those that a filter selects. */
export function rolloutEntity(
  cluster: Cluster,
  rollout: Rollout,
  isShown: (step: RolloutStep) => boolean = () => true,
): RolloutEntity {
  const { app, id, what, status, reason, unreadable, changed, maxParallel, rollback, isUndo, steps } = rollout;
  return compact<RolloutEntity>({
    app,
    id,
    what,
    status,
    reason: unreadable ?? reason,
    changed: changed && changedEntity(changed),
    maxParallel,
    rollback: rollback ? true : undefined,
    steps: nonEmpty(steps.filter(isShown).map((step) => stepEntity(cluster, step, isUndo))),
  });
}

function stepEntity(cluster: Cluster, step: RolloutStep, isUndo = false): RolloutStepEntity {
  const { unit, before, after, state } = step;
  // Some machines have another file, which an aborted roll-out has given to them.
  const isPartial = isUndo || cluster.units.get(unit)?.next !== undefined;
  const progress = progressOf(cluster, step);
  return compact<RolloutStepEntity>({
    name: unit,
    change: changeOf(before, after, isPartial),
    from: before && { hash: before.hash, desiredState: before.desiredState },
    to: after && { hash: after.hash, desiredState: after.desiredState },
    state: shownState(state),
    machines: progress && { healthy: progress.healthy, total: progress.total },
    machineID: progress ? progress.changing[0] : nonEmpty(cluster.targets.get(unit)?.machine),
  });
}

/** For clients, a unit is being changed in the same way on one machine and from machine to machine. */
function shownState(state: StepState): RolloutStepEntity["state"] {
  return state === "staging" ? "changing" : state === "unstaging" ? "undoing" : state;
}

/** Returns how far a global unit is that is changed from machine to machine. */
function progressOf(cluster: Cluster, { unit: name, before, after, state }: RolloutStep): StageProgress | undefined {
  const unit = cluster.units.get(name);
  const isForth = state === "staging" ||
    state === "failed" && unit?.next !== undefined && unit.next.hash === after?.hash;
  const wanted = isForth ? after : state === "unstaging" ? before : undefined;
  return unit && wanted && stageProgress(cluster, unit, wanted.hash);
}

function changeOf(
  before: UnitSpec | undefined,
  after: UnitSpec | undefined,
  isPartial: boolean,
): RolloutStepEntity["change"] {
  if (!after) return "destroy";
  if (!before) return "create";
  if (before.hash !== after.hash) return "replace";
  return before.desiredState === after.desiredState && !isPartial ? "adopt" : "update";
}

/** A roll-out with all its steps, and with what those wait for that are being changed. */
export function rolloutNow(cluster: Cluster, rollout: Rollout): RolloutEntity {
  const entity = rolloutEntity(cluster, rollout);
  if (entity.steps === undefined) return entity;
  return { ...entity, steps: entity.steps.map((step) => ({ ...step, ...waitingOf(cluster, step) })) };
}

function waitingOf(cluster: Cluster, { name, state }: RolloutStepEntity): Pick<RolloutStepEntity, "waiting"> {
  const unit = cluster.units.get(name);
  if (!unit || state !== "changing" && state !== "undoing") return {};
  // One that was lost before it was healthy is waited for, although it does not count as a machine of the unit any more.
  const lost = unit.next?.unproven.find((id) => !cluster.machines.has(id) && cluster.departed?.get(id) !== "stopped");
  if (lost !== undefined) return { waiting: `is on machine ${lost.slice(0, 8)}, which is away` };
  const health = healthOf(cluster, unit);
  return health.kind === "healthy" ? {} : { waiting: health.why };
}

/** Returns the names of all applications, sorted, each with its units by name. */
export function appsOf({ units, apps, rollouts }: Cluster): ReadonlyMap<AppName, readonly Unit[]> {
  const owned = Map.groupBy([...units.values()].filter(({ app }) => app !== undefined), ({ app }) => app!);
  const names = new Set([...owned.keys(), ...apps?.keys() ?? [], ...rollouts?.keys() ?? []]);
  return new Map([...names].sort().map((name) => [name, sortedByName(owned.get(name) ?? [])]));
}

function sortedByName(units: readonly Unit[]): readonly Unit[] {
  return units.toSorted((a, b) => a.name < b.name ? -1 : 1);
}

/** An application as lists have it. */
export function appEntity(cluster: Cluster, name: AppName, units: readonly Unit[]): AppEntity {
  const newest = cluster.apps?.get(name)?.versions.at(-1);
  const rollout = cluster.rollouts?.get(name);
  return compact<AppEntity>({
    name,
    version: newest?.number ?? 0,
    changed: newest?.changed && changedEntity(newest.changed),
    size: units.length,
    rollout: rollout && rolloutEntity(cluster, rollout, () => false),
  });
}

/** An application with its units, its versions and its roll-out. */
export function wholeApp(cluster: Cluster, name: AppName, units: readonly Unit[]): AppEntity {
  const rollout = cluster.rollouts?.get(name);
  return compact<AppEntity>({
    ...appEntity(cluster, name, units),
    rollout: rollout && rolloutNow(cluster, rollout),
    units: nonEmpty(units.map((unit) => unitEntity(cluster, unit))),
    versions: nonEmpty(
      (cluster.apps?.get(name)?.versions ?? []).toReversed().map(({ number, what, changed, units }) => ({
        version: number,
        what,
        ...changed && { changed: changedEntity(changed) },
        units: units.map(({ unit }) => unit).sort(),
      })),
    ),
  });
}

/**
 * Returns the units of an application as one of its versions left them: the later versions are undone, and what is known of
 * the earlier ones is in force. A unit that no known version has changed is as it is now.
 */
export function appAtVersion(cluster: Cluster, name: AppName, units: readonly Unit[], version: number): AppEntity {
  const then = new Map<UnitName, UnitSpec>(units.map(({ name, hash, desiredState }) => [name, { hash, desiredState }]));
  const set = (unit: UnitName, spec: UnitSpec | undefined) => spec ? then.set(unit, spec) : then.delete(unit);
  const { versions = [] } = cluster.apps?.get(name) ?? {};
  for (const { units } of versions.filter(({ number }) => number > version).toReversed()) {
    for (const { unit, before } of units) set(unit, before);
  }
  for (const { units } of versions.filter(({ number }) => number <= version)) {
    for (const { unit, after } of units) set(unit, after);
  }
  const entities: UnitEntity[] = [];
  const missing: UnitName[] = [];
  for (const [unit, { hash, desiredState }] of [...then].sort(([a], [b]) => a < b ? -1 : 1)) {
    const text = cluster.files.get(hash)?.text;
    if (text === undefined) missing.push(unit);
    else entities.push({ name: unit, desiredState, options: optionEntities(optionsOf(text)) });
  }
  return compact<AppEntity>({
    ...appEntity(cluster, name, units),
    units: nonEmpty(entities),
    missing: nonEmpty(missing),
  });
}
