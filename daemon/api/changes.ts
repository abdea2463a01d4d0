/**
 * What changed between two views of the cluster, as events of the API. Pure.
 *
 * @module
 */

import type { Cluster, MachineId, UnitName, UnitState } from "../../registry/model.ts";
import { machineEntity, stateEntity, statesOf, unitEntity } from "./entities.ts";
import type { MachineEvent, StateEvent, UnitEvent } from "./v1.ts";

/** One server-sent event: its name, and its data as JSON text. */
export interface ApiEvent {
  readonly event: "unit" | "state" | "machine" | "synced";
  readonly data: string;
}

/** What may be told: units and their states by name (all, if undefined). Machines are always told. */
export type Filter = ReadonlySet<UnitName> | undefined;

/** Everything that is there, as if it had just come. */
export function present(cluster: Cluster, filter: Filter): Generator<ApiEvent> {
  return changes(undefined, cluster, filter);
}

/** Every difference between two views: units first, then their states, then machines. */
export function* changes(before: Cluster | undefined, after: Cluster, filter: Filter): Generator<ApiEvent> {
  yield* unitChanges(before, after, filter);
  yield* stateChanges(before, after, filter);
  yield* machineChanges(before, after);
}

function* unitChanges(before: Cluster | undefined, after: Cluster, filter: Filter): Generator<ApiEvent> {
  if (
    before?.units === after.units && before.targets === after.targets && before.states === after.states
  ) return;
  for (const name of names(before?.units, after.units, filter)) {
    const same = before?.units.get(name) === after.units.get(name) &&
      before?.targets.get(name) === after.targets.get(name) && before?.states.get(name) === after.states.get(name);
    if (same) continue;
    const data = unitData(after, name);
    const isNews = before === undefined ? after.units.has(name) : unitData(before, name) !== data;
    if (isNews) yield { event: "unit", data };
  }
}

function unitData(cluster: Cluster, name: UnitName): string {
  const unit = cluster.units.get(name);
  const event: UnitEvent = unit
    ? { hash: unit.hash, name, restart: unit.restart, unit: unitEntity(cluster, unit) }
    : { name };
  return JSON.stringify(event);
}

function* stateChanges(before: Cluster | undefined, after: Cluster, filter: Filter): Generator<ApiEvent> {
  if (before?.states === after.states) return;
  for (const name of names(before?.states, after.states, filter)) {
    const [old, now] = [before?.states.get(name), after.states.get(name)];
    if (old === now) continue;
    for (const state of statesOf(after, name)) {
      const known = old?.get(state.machine);
      const data = stateData(name, state.machine, state);
      if (!known || stateData(name, state.machine, known) !== data) yield { event: "state", data };
    }
    for (const machine of old?.keys() ?? []) {
      if (!now?.has(machine)) yield { event: "state", data: stateData(name, machine, undefined) };
    }
  }
}

function stateData(name: UnitName, machineID: MachineId, state: UnitState | undefined): string {
  const error = state?.error ?? state?.result;
  const event: StateEvent = {
    ...(error === undefined ? {} : { error }),
    machineID,
    name,
    ...(state ? { restart: state.restart, since: state.since_ms, state: stateEntity(state) } : {}),
  };
  return JSON.stringify(event);
}

function* machineChanges(before: Cluster | undefined, after: Cluster): Generator<ApiEvent> {
  if (before?.machines === after.machines) return;
  for (const id of names(before?.machines, after.machines, undefined)) {
    if (before?.machines.get(id) === after.machines.get(id)) continue;
    const data = machineData(after, id);
    if (before === undefined || machineData(before, id) !== data) yield { event: "machine", data };
  }
}

function machineData(cluster: Cluster, id: MachineId): string {
  const machine = cluster.machines.get(id);
  const event: MachineEvent = machine ? { id, machine: machineEntity(machine) } : { id };
  return JSON.stringify(event);
}

/** Keys of either map, those of `after` first; or those of the filter. */
function* names(
  before: ReadonlyMap<string, unknown> | undefined,
  after: ReadonlyMap<string, unknown>,
  filter: Filter,
): Generator<string> {
  if (filter) {
    yield* filter;
    return;
  }
  yield* after.keys();
  for (const key of before?.keys() ?? []) if (!after.has(key)) yield key;
}
