/**
 * Converts units, unit states and machines to entities of API v1: keys in alphabetical order, empty fields absent.
 *
 * @module
 */

import { type Log, messageOf } from "../../../runtime/log.ts";
import {
  type Authorship,
  type Cluster,
  type Cordon,
  currentState,
  type DesiredState,
  type Machine,
  type MachineId,
  type Unit,
  type UnitFileText,
  type UnitName,
  type UnitState,
} from "../../../registry/model.ts";
import type { Amounts } from "../../../registry/reservation.ts";
import { allocatable } from "../../policy/capacity.ts";
import { parseUnitFile, type UnitOption } from "../../../systemd/unit_file.ts";
import type {
  ChangeEntity,
  CordonEntity,
  LossEntity,
  MachineEntity,
  UnitEntity,
  UnitOptionEntity,
  UnitStateEntity,
} from "./types.ts";

/** The JSON text of a unit, with everything that it depends on. */
interface CachedUnit {
  readonly file: UnitFileText | undefined;
  readonly machineId: string | undefined;
  readonly currentState: DesiredState;
  readonly text: string;
}

/** Makes the JSON texts of units, and caches each for as long as the cluster holds the unit. */
export class UnitRenderer {
  readonly #units = new WeakMap<Unit, CachedUnit>();
  readonly #options = new WeakMap<UnitFileText, readonly UnitOptionEntity[]>();

  constructor(private readonly log: Log) {}

  /** The JSON text of a unit with its options. */
  text(cluster: Cluster, unit: Unit): string {
    const file = cluster.files.get(unit.hash);
    const target = cluster.targets.get(unit.name);
    const current = currentState(target, cluster.states.get(unit.name));
    const known = this.#units.get(unit);
    if (known && known.file === file && known.machineId === target?.machine && known.currentState === current) {
      return known.text;
    }
    // The hash of an unreadable unit may be that of an old file.
    const options = file && unit.unreadable === undefined ? this.#optionsOf(unit, file) : [];
    const { unreadable, ...entity } = unitEntity(cluster, unit);
    const text = JSON.stringify({ ...entity, options: nonEmpty(options), unreadable });
    this.#units.set(unit, { file, machineId: target?.machine, currentState: current, text });
    return text;
  }

  #optionsOf(unit: Unit, file: UnitFileText): readonly UnitOptionEntity[] {
    return this.#options.getOrInsertComputed(file, () => {
      try {
        return optionEntities(parseUnitFile(file.text));
      } catch (error) {
        const fields = { unit: unit.name, hash: file.hash, error: messageOf(error) };
        this.log("error", "a stored unit file cannot be parsed: the API omits the unit's options", fields);
        return [];
      }
    });
  }
}

/** The options of a unit file. */
export function optionEntities(options: readonly UnitOption[]): readonly UnitOptionEntity[] {
  return options.map(({ name, section, value }) =>
    compact<UnitOptionEntity>({ name: nonEmpty(name), section: nonEmpty(section), value: nonEmpty(value) })
  );
}

/** A unit without its options. A global unit has neither machine nor current state. */
export function unitEntity(cluster: Cluster, unit: Unit): UnitEntity {
  const { name, desiredState, unreadable, app } = unit;
  const target = cluster.targets.get(name);
  const isGlobal = unit.requirements.global;
  return compact<UnitEntity>({
    app,
    currentState: isGlobal ? undefined : currentState(target, cluster.states.get(name)),
    desiredState,
    machineID: isGlobal ? undefined : nonEmpty(target?.machine),
    name,
    unreadable,
  });
}

/** The state of a unit on one machine. */
export function stateEntity(state: UnitState): UnitStateEntity {
  const { hash, machine, unit, active, load, sub, health, healthReason, healthSince_ms } = state;
  return compact<UnitStateEntity>({
    hash: nonEmpty(hash),
    health,
    healthReason,
    healthSince: healthSince_ms,
    machineID: machine,
    name: unit,
    systemdActiveState: nonEmpty(active),
    systemdLoadState: nonEmpty(load),
    systemdSubState: nonEmpty(sub),
  });
}

/** A machine with its effective metadata. `reserved`: the sum of what its units reserve, if it is known. */
export function machineEntity({ id, ip, metadata, cordon, capacity }: Machine, reserved?: Amounts): MachineEntity {
  const entries = nonEmpty(sortedBy(Object.entries(metadata), ([key]) => key));
  return compact<MachineEntity>({
    capacity: capacity && amountsEntity(allocatable(capacity)),
    cordon: cordon && cordonEntity(id, cordon),
    id,
    metadata: entries && Object.fromEntries(entries),
    primaryIP: nonEmpty(ip),
    reserved: capacity && reserved && amountsEntity(reserved),
  });
}

function amountsEntity({ cpu_m, memory_bytes, resources }: Amounts): NonNullable<MachineEntity["capacity"]> {
  const counted = nonEmpty(sortedBy(Object.entries(resources), ([name]) => name));
  return { cpu: cpu_m, memory: memory_bytes, ...counted && { resources: Object.fromEntries(counted) } };
}

/** The mark of a machine that takes no new units. */
export function cordonEntity(machineID: MachineId, { changed, why }: Cordon): CordonEntity {
  return compact<CordonEntity>({ at: changed?.at_ms, by: changed?.by, machineID, why });
}

/** The wait after a mass loss. It names the machines that are still missing. */
export function lossEntity({ massLoss, machines }: Cluster): LossEntity {
  if (!massLoss || massLoss.isOver) return { present: machines.size };
  const missing = massLoss.machines.filter((id) => !machines.has(id));
  return { missing, present: machines.size, since: massLoss.since_ms, until: massLoss.until_ms };
}

/** The author and the time of a change. */
export function changedEntity({ by, at_ms, what }: Authorship): ChangeEntity {
  return { at: at_ms, by, ...what !== undefined && { what } };
}

/** Leaves out the fields that are undefined. */
export function compact<T>(fields: { readonly [K in keyof T]: T[K] | undefined }): T {
  const compacted: { [K in keyof T]?: T[K] | undefined } = {};
  for (const name in fields) if (fields[name] !== undefined) compacted[name] = fields[name];
  return compacted as T;
}

/** Undefined for an empty string or list, which entities leave out. */
export function nonEmpty<T extends { readonly length: number }>(value: T | undefined): T | undefined {
  return value?.length === 0 ? undefined : value;
}

/** The cluster's lists in the order of the API; each is sorted once for as long as it does not change. */
export class Lists {
  readonly #units = new WeakMap<object, readonly Unit[]>();
  readonly #machines = new WeakMap<object, readonly Machine[]>();
  readonly #states = new WeakMap<object, readonly UnitState[]>();

  /** Units by name. */
  units({ units }: Cluster): readonly Unit[] {
    return this.#units.getOrInsertComputed(units, () => sortedBy([...units.values()], (unit) => unit.name));
  }

  /** Machines by ID. */
  machines({ machines }: Cluster): readonly Machine[] {
    return this.#machines.getOrInsertComputed(
      machines,
      () => sortedBy([...machines.values()], (machine) => machine.id),
    );
  }

  /** Unit states by unit name, then machine ID. */
  states(cluster: Cluster): readonly UnitState[] {
    return this.#states.getOrInsertComputed(
      cluster.states,
      () => sortedBy([...cluster.states.keys()], (name) => name).flatMap((name) => statesOf(cluster, name)),
    );
  }
}

/** The states of one unit, by machine ID. */
export function statesOf(cluster: Cluster, name: UnitName): UnitState[] {
  return sortedBy([...cluster.states.get(name)?.values() ?? []], (state) => state.machine);
}

/** Sorts in place by code units: in the same order everywhere, whatever the locale. */
function sortedBy<T>(items: T[], key: (item: T) => string): T[] {
  return items.sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    return x < y ? -1 : x > y ? 1 : 0;
  });
}
