/**
 * The difference between two views of the cluster, as events of the API. Pure.
 *
 * @module
 */

import type { Cluster, MachineId, Rollout, RolloutStep, Target, UnitName, UnitState } from "../../../registry/model.ts";
import { rolloutEntity } from "../v1/app_entities.ts";
import { changedEntity, lossEntity, machineEntity, stateEntity, statesOf, unitEntity } from "../v1/entities.ts";
import type {
  DecisionEvent,
  DrainEvent,
  LossEvent,
  MachineEvent,
  RolloutEvent,
  StateEvent,
  UnitEvent,
} from "../v1/types.ts";

/** The kinds of events. */
export const eventKinds = ["unit", "decision", "state", "machine", "loss", "rollout", "drain"] as const;

/** See {@link eventKinds}. */
export type EventKind = typeof eventKinds[number];

/** One server-sent event: its name, its data as JSON text, and the unit and machines that it concerns. */
export interface ApiEvent {
  readonly event: EventKind;
  readonly data: string;
  readonly unit?: UnitName;
  /** The machines that the event concerns; left out where it concerns every machine, as a global unit does. */
  readonly machines?: readonly MachineId[];
  /** The time of the change, if its own data say so, milliseconds since the epoch. */
  readonly at_ms?: number;
  /** True for a unit that no longer exists. */
  readonly isGone?: boolean;
}

/** The units whose events are wanted, with their states and decisions; undefined: all units. Machines always are. */
export type Names = ReadonlySet<UnitName> | undefined;

/** Yields everything in the cluster as if it had just come. */
export function present(cluster: Cluster, names: Names): Generator<ApiEvent> {
  return changes(undefined, cluster, names);
}

/**
 * Yields every difference between two views: units first, then their placements with the reasons, states, machines, losses
 * of many machines, and roll-outs.
 */
export function* changes(before: Cluster | undefined, after: Cluster, names: Names): Generator<ApiEvent> {
  yield* unitChanges(before, after, names);
  yield* decisionChanges(before, after, names);
  yield* stateChanges(before, after, names);
  yield* machineChanges(before, after);
  yield* lossChanges(before, after);
  yield* drainChanges(before, after);
  yield* rolloutChanges(before, after);
}

function* unitChanges(before: Cluster | undefined, after: Cluster, filter: Names): Generator<ApiEvent> {
  if (
    before?.units === after.units && before.targets === after.targets && before.states === after.states
  ) return;
  for (const name of names(before?.units, after.units, filter)) {
    const same = before?.units.get(name) === after.units.get(name) &&
      before?.targets.get(name) === after.targets.get(name) && before?.states.get(name) === after.states.get(name);
    if (same) continue;
    const data = unitData(after, name);
    const isDifferent = before === undefined ? after.units.has(name) : unitData(before, name) !== data;
    if (!isDifferent) continue;
    const unit = after.units.get(name);
    const isChange = unit?.changed && before?.units.get(name)?.changed?.at_ms !== unit.changed.at_ms;
    const at = isChange ? { at_ms: unit.changed.at_ms } : {};
    yield {
      event: "unit",
      data,
      unit: name,
      ...concerned(before, after, name),
      ...at,
      ...(unit ? {} : { isGone: true }),
    };
  }
}

/** Returns the machines that a unit is or was placed on. */
function concerned(
  before: Cluster | undefined,
  after: Cluster,
  name: UnitName,
): { readonly machines?: readonly MachineId[] } {
  if ((after.units.get(name) ?? before?.units.get(name))?.requirements.global) return {};
  const targets = [before?.targets.get(name), after.targets.get(name)];
  return { machines: targets.flatMap((target) => target ? [target.machine] : []) };
}

function* decisionChanges(before: Cluster | undefined, after: Cluster, filter: Names): Generator<ApiEvent> {
  if (before?.targets === after.targets) return;
  for (const name of names(before?.targets, after.targets, filter)) {
    const [was, is] = [before?.targets.get(name), after.targets.get(name)];
    const same = was?.machine === is?.machine && was?.why === is?.why && was?.since_ms === is?.since_ms &&
      was?.successor === is?.successor;
    if (same) continue;
    const machines = [was, is].flatMap((target) => target ? [target.machine] : []);
    const at = is ? { at_ms: is.since_ms } : {};
    yield { event: "decision", data: decisionData(after, name, was, is), unit: name, machines, ...at };
  }
}

/** Returns the event of a unit's placement. */
export function placedEvent(target: Target): ApiEvent {
  const { unit, machine, since_ms, why } = target;
  const data: DecisionEvent = { machineID: machine, name: unit, since: since_ms, why };
  return { event: "decision", data: JSON.stringify(data), unit, machines: [machine] };
}

function decisionData(after: Cluster, name: UnitName, was: Target | undefined, is: Target | undefined): string {
  const from = was && was.machine !== is?.machine ? { from: was.machine } : {};
  const event: DecisionEvent = is
    ? {
      ...from,
      machineID: is.machine,
      name,
      since: is.since_ms,
      ...is.successor !== undefined && { to: is.successor },
      why: is.why,
    }
    : { ...from, name, why: whyUnplaced(after, name) };
  return JSON.stringify(event);
}

/** A removed target has no reason of its own: the unit's desired state shows why. */
function whyUnplaced({ units }: Cluster, name: UnitName): string {
  const unit = units.get(name);
  if (!unit) return "the unit was destroyed";
  return unit.desiredState === "inactive" ? "its desired state is inactive" : "its machine can no longer run it";
}

function unitData(cluster: Cluster, name: UnitName): string {
  const unit = cluster.units.get(name);
  const event: UnitEvent = unit
    ? {
      ...(unit.changed ? { changed: changedEntity(unit.changed) } : {}),
      ...(unit.hash === "" ? {} : { hash: unit.hash }),
      name,
      ...(unit.next ? { next: { hash: unit.next.hash, machines: unit.next.machines } } : {}),
      ...{ restart: unit.restart, unit: unitEntity(cluster, unit) },
    }
    : { name };
  return JSON.stringify(event);
}

/** Adds a time to the data of an event. The text is edited, not parsed: there may be thousands of events at once. */
export function withTime(data: string, time_ms: number): string {
  return `${data.slice(0, -1)},"time":${time_ms}}`;
}

function* stateChanges(before: Cluster | undefined, after: Cluster, filter: Names): Generator<ApiEvent> {
  if (before?.states === after.states) return;
  for (const name of names(before?.states, after.states, filter)) {
    const [old, now] = [before?.states.get(name), after.states.get(name)];
    if (old === now) continue;
    for (const state of statesOf(after, name)) {
      const known = old?.get(state.machine);
      const data = stateData(name, state.machine, state);
      const at_ms = Math.max(state.since_ms, state.healthSince_ms ?? 0);
      if (!known || stateData(name, state.machine, known) !== data) {
        yield { event: "state", data, unit: name, machines: [state.machine], at_ms };
      }
    }
    for (const machine of old?.keys() ?? []) {
      if (now?.has(machine)) continue;
      yield { event: "state", data: stateData(name, machine, undefined), unit: name, machines: [machine] };
    }
  }
}

function stateData(name: UnitName, machineID: MachineId, state: UnitState | undefined): string {
  const error = state?.error ?? state?.result;
  const event: StateEvent = {
    ...(error === undefined ? {} : { error }),
    ...(state?.job === undefined ? {} : { job: state.job }),
    machineID,
    name,
    ...(state?.permanent === undefined ? {} : { permanent: state.permanent }),
    ...(state ? { restart: state.restart } : {}),
    ...(state?.restarts === undefined ? {} : { restarts: state.restarts }),
    ...(state?.result === undefined ? {} : { result: state.result }),
    ...(state ? { since: state.since_ms, state: stateEntity(state) } : {}),
  };
  return JSON.stringify(event);
}

function* machineChanges(before: Cluster | undefined, after: Cluster): Generator<ApiEvent> {
  if (before?.machines === after.machines) return;
  for (const id of names(before?.machines, after.machines, undefined)) {
    if (before?.machines.get(id) === after.machines.get(id)) continue;
    const data = machineData(after, id);
    if (before === undefined || machineData(before, id) !== data) yield { event: "machine", data, machines: [id] };
  }
}

function* lossChanges(before: Cluster | undefined, after: Cluster): Generator<ApiEvent> {
  if (before?.massLoss === after.massLoss) return;
  const data: LossEvent = lossEntity(after);
  yield { event: "loss", data: JSON.stringify(data) };
}

function* rolloutChanges(before: Cluster | undefined, after: Cluster): Generator<ApiEvent> {
  if (before?.rollouts === after.rollouts) return;
  for (const app of names(before?.rollouts, after.rollouts ?? new Map(), undefined)) {
    const [was, is] = [before?.rollouts?.get(app), after.rollouts?.get(app)];
    if (was === is) continue;
    const event: RolloutEvent = { app, ...is && { rollout: rolloutEntity(after, is, stepsSince(was, is)) } };
    yield { event: "rollout", data: JSON.stringify(event) };
  }
}

/** Returns a filter of the steps whose state has changed, or whose unit was written. */
function stepsSince(was: Rollout | undefined, { id, steps }: Rollout): (step: RolloutStep) => boolean {
  if (was?.id !== id) return () => true;
  const changed = new Set(steps.filter(({ state, written }, index) => {
    const before = was.steps[index];
    return before?.state !== state || before.written !== written;
  }));
  return (step) => changed.has(step);
}

function* drainChanges(before: Cluster | undefined, after: Cluster): Generator<ApiEvent> {
  if (before?.drains === after.drains) return;
  for (const id of names(before?.drains, after.drains ?? new Map(), undefined)) {
    const [was, is] = [before?.drains?.get(id), after.drains?.get(id)];
    if (was === is) continue;
    const begins = is && was?.changed?.at_ms !== is.changed?.at_ms ? is.changed?.at_ms : undefined;
    const data: DrainEvent = {
      ...is?.changed && { at: is.changed.at_ms, by: is.changed.by },
      machineID: id,
      ...is && { status: is.status },
    };
    yield {
      event: "drain",
      data: JSON.stringify(data),
      machines: [id],
      ...begins !== undefined && { at_ms: begins },
    };
  }
}

function machineData(cluster: Cluster, id: MachineId): string {
  const machine = cluster.machines.get(id);
  const event: MachineEvent = machine ? { id, machine: machineEntity(machine) } : { id };
  return JSON.stringify(event);
}

/** Yields the keys of both maps, those of `after` first; with a filter, its names instead. */
function* names(
  before: ReadonlyMap<string, unknown> | undefined,
  after: ReadonlyMap<string, unknown>,
  filter: Names,
): Generator<string> {
  if (filter) {
    yield* filter;
    return;
  }
  yield* after.keys();
  for (const key of before?.keys() ?? []) if (!after.has(key)) yield key;
}
