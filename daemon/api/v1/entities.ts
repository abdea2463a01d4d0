/**
 * The cluster's nouns as API v1 writes them: JSON with keys in alphabetical order and without empty fields.
 *
 * @module
 */

import { type Log, messageOf } from "../../../runtime/log.ts";
import {
  type Cluster,
  currentState,
  type DesiredState,
  type Machine,
  type Unit,
  type UnitFileText,
  type UnitName,
  type UnitState,
} from "../../../registry/model.ts";
import { parseUnitFile } from "../../../systemd/unit_file.ts";
import type { MachineEntity, UnitEntity, UnitOptionEntity, UnitStateEntity } from "./types.ts";

interface RenderedUnit {
  readonly file: UnitFileText | undefined;
  readonly machineId: string | undefined;
  readonly currentState: DesiredState;
  readonly text: string;
}

/** Renders units, and remembers what it rendered for as long as the cluster holds the unit. */
export class UnitRenderer {
  readonly #units = new WeakMap<Unit, RenderedUnit>();
  readonly #options = new WeakMap<UnitFileText, readonly UnitOptionEntity[]>();

  constructor(private readonly log: Log) {}

  /** The JSON text of a unit, options and all. */
  text(cluster: Cluster, unit: Unit): string {
    const file = cluster.files.get(unit.hash);
    const target = cluster.targets.get(unit.name);
    const current = currentState(target, cluster.states.get(unit.name));
    const known = this.#units.get(unit);
    if (known && known.file === file && known.machineId === target?.machine && known.currentState === current) {
      return known.text;
    }
    // Which file is wanted is not known of a unit that cannot be read.
    const options = file && unit.unreadable === undefined ? this.#optionsOf(unit, file) : [];
    const entity = unitEntity(cluster, unit);
    const text = JSON.stringify({
      ...(entity.currentState === undefined ? {} : { currentState: entity.currentState }),
      desiredState: entity.desiredState,
      ...(entity.machineID === undefined ? {} : { machineID: entity.machineID }),
      name: entity.name,
      ...(options.length > 0 ? { options } : {}),
      ...(entity.unreadable === undefined ? {} : { unreadable: entity.unreadable }),
    });
    this.#units.set(unit, { file, machineId: target?.machine, currentState: current, text });
    return text;
  }

  #optionsOf(unit: Unit, file: UnitFileText): readonly UnitOptionEntity[] {
    const known = this.#options.get(file);
    if (known) return known;
    let options: UnitOptionEntity[] = [];
    try {
      options = parseUnitFile(file.text).map(({ name, section, value }) => ({
        ...(name === "" ? {} : { name }),
        ...(section === "" ? {} : { section }),
        ...(value === "" ? {} : { value }),
      }));
    } catch (error) {
      this.log("error", "the stored unit file cannot be read, its options are left out", {
        unit: unit.name,
        hash: file.hash,
        error: messageOf(error),
      });
    }
    this.#options.set(file, options);
    return options;
  }
}

/** A unit without its options. Globals have neither machine nor current state. */
export function unitEntity(cluster: Cluster, unit: Unit): UnitEntity {
  const { name, desiredState } = unit;
  const unreadable = unit.unreadable === undefined ? {} : { unreadable: unit.unreadable };
  if (unit.requirements.global) return { desiredState, name, ...unreadable };
  const target = cluster.targets.get(name);
  return {
    currentState: currentState(target, cluster.states.get(name)),
    desiredState,
    ...(target && target.machine !== "" ? { machineID: target.machine } : {}),
    name,
    ...unreadable,
  };
}

/** What one machine says of a unit. */
export function stateEntity(state: UnitState): UnitStateEntity {
  return {
    ...(state.hash === "" ? {} : { hash: state.hash }),
    machineID: state.machine,
    name: state.unit,
    ...(state.active === "" ? {} : { systemdActiveState: state.active }),
    ...(state.load === "" ? {} : { systemdLoadState: state.load }),
    ...(state.sub === "" ? {} : { systemdSubState: state.sub }),
  };
}

/** A machine with its effective metadata. */
export function machineEntity(machine: Machine): MachineEntity {
  const metadata = sortedBy(Object.entries(machine.metadata), ([key]) => key);
  return {
    id: machine.id,
    ...(metadata.length > 0 ? { metadata: Object.fromEntries(metadata) } : {}),
    ...(machine.ip === "" ? {} : { primaryIP: machine.ip }),
  };
}

/** The cluster's lists in the order of the API, each sorted once for as long as it does not change. */
export class Lists {
  readonly #units = new WeakMap<object, readonly Unit[]>();
  readonly #machines = new WeakMap<object, readonly Machine[]>();
  readonly #states = new WeakMap<object, readonly UnitState[]>();

  /** By name. */
  units({ units }: Cluster): readonly Unit[] {
    return remembered(this.#units, units, () => sortedBy([...units.values()], (unit) => unit.name));
  }

  /** By machine ID. */
  machines({ machines }: Cluster): readonly Machine[] {
    return remembered(this.#machines, machines, () => sortedBy([...machines.values()], (machine) => machine.id));
  }

  /** By unit name, then machine ID. */
  states(cluster: Cluster): readonly UnitState[] {
    return remembered(
      this.#states,
      cluster.states,
      () => sortedBy([...cluster.states.keys()], (name) => name).flatMap((name) => statesOf(cluster, name)),
    );
  }
}

/** What the machines say of one unit, by machine ID. */
export function statesOf(cluster: Cluster, name: UnitName): UnitState[] {
  return sortedBy([...cluster.states.get(name)?.values() ?? []], (state) => state.machine);
}

function remembered<T>(known: WeakMap<object, T>, key: object, make: () => T): T {
  let value = known.get(key);
  if (value === undefined) known.set(key, value = make());
  return value;
}

/** Sorts in place, by code units: the same everywhere, whatever the locale. */
function sortedBy<T>(items: T[], key: (item: T) => string): T[] {
  return items.sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    return x < y ? -1 : x > y ? 1 : 0;
  });
}
