/**
 * Predicts what the engine and the agents would do after changes that have not been made: runs the engine's scheduler on
 * the present cluster and on the cluster with the changes, and compares the results. Pure.
 *
 * @module
 */

import type { Cluster, DesiredState, Machine, MachineId, Unit, UnitName } from "../../registry/model.ts";
import { parseRequirements } from "../../registry/requirements.ts";
import type { UnitOption } from "../../systemd/unit_file.ts";
import { globalsAmong, isActiveGlobal, isActiveJob } from "../policy/globals.ts";
import { ScheduleCache } from "./schedule_cache.ts";
import { boundEffects, type Copies, type Copy, effectsOf, type MachineEffect } from "./effects.ts";
import { schedule } from "./schedule.ts";

export type { MachineEffect };

/** A change whose effects are predicted. */
export type Draft =
  | {
    readonly kind: "put";
    readonly name: UnitName;
    readonly desiredState: DesiredState;
    /** The new file; omitted if the unit keeps its own. */
    readonly file?: { readonly hash: string; readonly text: string; readonly fleetOptions: readonly UnitOption[] };
  }
  | { readonly kind: "destroy"; readonly name: UnitName }
  /** The machine leaves the cluster and does not come back. */
  | { readonly kind: "leave"; readonly machine: MachineId }
  | { readonly kind: "cordon"; readonly machine: MachineId; readonly isCordoned: boolean }
  /** A key of the machine's metadata gets a value, or is hidden. */
  | { readonly kind: "label"; readonly machine: MachineId; readonly key: string; readonly value?: string };

/** The predicted result of changes. */
export interface Preview {
  /** The cluster as the engine would leave it after the changes. */
  readonly after: Cluster;
  /** Effects by unit, also on units that are not changed themselves; units without effects are left out. */
  readonly effects: ReadonlyMap<UnitName, readonly MachineEffect[]>;
}

/** Predicts the effects of changes that are made in this order. */
export function preview(cluster: Cluster, drafts: readonly Draft[]): Preview {
  // The second plan needs to look only at what the changes concern.
  const cache = new ScheduleCache();
  const before = settle(cluster, cache);
  const after = settle(withDrafts(cluster, drafts), cache);
  const copies = [copiesIn(before), copiesIn(after)] as const;
  const effects = new Map<UnitName, readonly MachineEffect[]>();
  for (const name of new Set([...copies[0].keys(), ...copies[1].keys()])) {
    const found = effectsOf(copies[0].get(name) ?? none, copies[1].get(name) ?? none);
    if (found.length > 0) effects.set(name, found);
  }
  const bound = boundEffects(before, { before: copies[0], after: copies[1] }, effects);
  for (const [name, found] of bound) effects.set(name, [...effects.get(name) ?? [], ...found]);
  return { after, effects };
}

/** Returns the cluster with the changes, before the engine has reacted to them. */
function withDrafts(cluster: Cluster, drafts: readonly Draft[]): Cluster {
  const units = new Map(cluster.units);
  const files = new Map(cluster.files);
  const targets = new Map(cluster.targets);
  const assignments = new Map(cluster.assignments);
  const machines = new Map(cluster.machines);
  const departed = new Map(cluster.departed);
  for (const [index, draft] of drafts.entries()) {
    if (draft.kind === "leave") {
      machines.delete(draft.machine);
      departed.set(draft.machine, "stopped");
      continue;
    }
    if (draft.kind === "cordon" || draft.kind === "label") {
      const machine = machines.get(draft.machine);
      if (machine) machines.set(draft.machine, changedMachine(machine, draft));
      continue;
    }
    const unit = draft.kind === "put"
      ? changedUnit(units.get(draft.name), draft, cluster.revision + 1 + index)
      : undefined;
    if (unit) units.set(draft.name, unit);
    else units.delete(draft.name);
    if (draft.kind === "put" && draft.file) {
      files.set(draft.file.hash, { hash: draft.file.hash, text: draft.file.text, revision: cluster.revision });
    }
    if (unit && isActiveJob(unit)) continue;
    targets.delete(draft.name);
    assignments.delete(draft.name);
  }
  return { ...cluster, units, files, targets, assignments, machines, departed };
}

function changedMachine(
  { cordon, ...machine }: Machine,
  draft: Extract<Draft, { kind: "cordon" | "label" }>,
): Machine {
  if (draft.kind === "cordon") return draft.isCordoned ? { ...machine, cordon: cordon ?? { revision: 0 } } : machine;
  const { [draft.key]: _was, ...metadata } = machine.metadata;
  return {
    ...machine,
    ...cordon && { cordon },
    metadata: draft.value === undefined ? metadata : { ...metadata, [draft.key]: draft.value },
  };
}

function changedUnit(was: Unit | undefined, draft: Extract<Draft, { kind: "put" }>, revision: number): Unit {
  const { name, desiredState, file } = draft;
  if (!file && !was) throw new TypeError(`cannot create unit ${name} without its file`);
  const fleetOptions = file?.fleetOptions ?? was!.fleetOptions;
  const launchedAt = desiredState === "launched" ? was?.launchedAt || revision : 0;
  return {
    name,
    hash: file?.hash ?? was!.hash,
    fleetOptions,
    requirements: file ? parseRequirements(name, fleetOptions) : was!.requirements,
    desiredState,
    restart: was?.restart ?? 0,
    launchedAt,
    revision,
  };
}

/** Largest number of rounds of the engine. One is enough unless a placement makes another one possible. */
const maxRounds = 10;

/** Without files, the engine finds none to delete: a search that passes over all versions of all units. */
const noFiles: Cluster["files"] = new Map();

/** Returns the cluster as the engine would leave it, with all of its files. */
function settle(cluster: Cluster, cache: ScheduleCache): Cluster {
  let settled: Cluster = { ...cluster, files: noFiles };
  for (let round = 0; round < maxRounds; round++) {
    const { placements } = schedule(settled, { absentAreGone: true }, cache);
    if (placements.length === 0) break;
    const targets = new Map(settled.targets);
    const assignments = new Map(settled.assignments);
    for (const placement of placements) {
      if (placement.kind === "forget") continue;
      if (placement.kind === "unplace") {
        targets.delete(placement.unit);
        assignments.delete(placement.unit);
        continue;
      }
      const { unit, machine, why, from } = placement;
      const { name, hash, desiredState, restart } = unit;
      const { revision } = cluster;
      const since_ms = from?.machine === machine ? from.since_ms : 0;
      targets.set(name, { unit: name, machine, why, since_ms, revision });
      assignments.set(name, { unit: name, machine, hash, desiredState, restart, revision });
    }
    settled = { ...settled, targets, assignments };
  }
  return { ...settled, files: cluster.files };
}

const none: ReadonlyMap<MachineId, Copy> = new Map();

/** Returns the units that the agents of a settled cluster would have, by unit and machine. */
function copiesIn({ units, targets, machines }: Cluster): Copies {
  const copies = new Map<UnitName, Map<MachineId, Copy>>();
  const jobs = new Map<MachineId, Unit[]>();
  const add = ({ name, hash, desiredState }: Unit, machine: MachineId) => {
    const own = copies.get(name) ?? new Map<MachineId, Copy>();
    copies.set(name, own.set(machine, { hash, launched: desiredState === "launched" }));
  };
  for (const { unit: name, machine } of targets.values()) {
    const unit = units.get(name);
    if (!unit || !isActiveJob(unit) || !machines.has(machine)) continue;
    add(unit, machine);
    jobs.set(machine, [...jobs.get(machine) ?? [], unit]);
  }
  const globals = [...units.values()].filter(isActiveGlobal);
  for (const machine of machines.values()) {
    for (const unit of globalsAmong(machine, jobs.get(machine.id) ?? [], globals)) add(unit, machine.id);
  }
  return copies;
}
