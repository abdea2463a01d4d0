/**
 * Predicts what the engine and the agents would do after changes that have not been made: runs the engine's scheduler on
 * the present cluster and on the cluster with the changes, and compares the results. Pure.
 *
 * @module
 */

import type { Cluster, DesiredState, MachineId, Unit, UnitName } from "../../registry/model.ts";
import { parseRequirements } from "../../registry/requirements.ts";
import type { UnitOption } from "../../systemd/unit_file.ts";
import { globalsAmong, isActiveGlobal, isActiveJob } from "../policy/globals.ts";
import { ScheduleCache } from "./schedule_cache.ts";
import { schedule } from "./schedule.ts";

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
  | { readonly kind: "leave"; readonly machine: MachineId };

/** An action of one machine that the changes cause. */
export interface MachineEffect {
  readonly machine: MachineId;
  /** `move`: the unit stops on `from` and starts on `machine`. */
  readonly kind: "start" | "restart" | "stop" | "load" | "unload" | "move";
  readonly from?: MachineId;
}

/** The predicted result of changes. */
export interface Preview {
  /** The cluster as the engine would leave it after the changes. */
  readonly after: Cluster;
  /** Effects by unit, also on units that are not changed themselves; units without effects are left out. */
  readonly effects: ReadonlyMap<UnitName, readonly MachineEffect[]>;
}

/** Predicts the effects of changes that are made in this order. */
export function preview(cluster: Cluster, drafts: readonly Draft[]): Preview {
  const before = settle(cluster);
  const after = settle(withDrafts(cluster, drafts));
  const copies = [copiesIn(before), copiesIn(after)] as const;
  const effects = new Map<UnitName, readonly MachineEffect[]>();
  for (const name of new Set([...copies[0].keys(), ...copies[1].keys()])) {
    const found = effectsOf(copies[0].get(name) ?? none, copies[1].get(name) ?? none);
    if (found.length > 0) effects.set(name, found);
  }
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

/** Returns the cluster as the engine would leave it. */
function settle(cluster: Cluster): Cluster {
  const cache = new ScheduleCache();
  let settled = cluster;
  for (let round = 0; round < maxRounds; round++) {
    const placements = schedule(settled, { absentAreGone: true }, cache).placements
      .filter((placement) => placement.kind !== "forget");
    if (placements.length === 0) break;
    const targets = new Map(settled.targets);
    const assignments = new Map(settled.assignments);
    for (const placement of placements) {
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
  return settled;
}

/** A unit on one machine. */
interface Copy {
  readonly hash: string;
  readonly launched: boolean;
}

const none: ReadonlyMap<MachineId, Copy> = new Map();

/** Returns the units that the agents of a settled cluster would have, by unit and machine. */
function copiesIn({ units, targets, machines }: Cluster): ReadonlyMap<UnitName, ReadonlyMap<MachineId, Copy>> {
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

function effectsOf(
  before: ReadonlyMap<MachineId, Copy>,
  after: ReadonlyMap<MachineId, Copy>,
): readonly MachineEffect[] {
  const [[from, old] = [], ...othersBefore] = before;
  const [[machine, copy] = [], ...othersAfter] = after;
  const isMove = old?.launched && copy?.launched && from !== machine && othersBefore.length + othersAfter.length === 0;
  if (isMove) return [{ machine: machine!, kind: "move", from: from! }];
  return [...new Set([...before.keys(), ...after.keys()])].sort().flatMap((machine) => {
    const kind = kindOf(before.get(machine), after.get(machine));
    return kind === undefined ? [] : [{ machine, kind }];
  });
}

function kindOf(old: Copy | undefined, copy: Copy | undefined): MachineEffect["kind"] | undefined {
  if (!copy) return old && (old.launched ? "stop" : "unload");
  if (copy.launched) return !old?.launched ? "start" : old.hash === copy.hash ? undefined : "restart";
  if (old?.launched) return "stop";
  return old?.hash === copy.hash ? undefined : "load";
}
