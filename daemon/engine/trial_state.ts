/**
 * The working copy on which `schedule` tries placements: the units of each machine, and the machines by load.
 *
 * @module
 */

import type { MachineId, Unit, UnitName } from "../../registry/model.ts";
import { globalsAmong } from "../policy/globals.ts";
import { findRefusals, hasMetadata, isFeasible, type Refusal } from "../policy/feasibility.ts";
import { LoadOrder } from "./load_order.ts";
import { type MachineUnits, machineUnits } from "./machine_units.ts";

/** The machines, the jobs on them, and the globals that result from both. */
export class TrialState {
  readonly #machines: Map<MachineId, MachineUnits>;
  readonly #globalNames: ReadonlySet<UnitName>;
  /** Machines of the jobs that {@link place} has placed. */
  readonly #placed = new Map<UnitName, MachineId>();
  #load: LoadOrder | undefined;
  readonly #byMetadata = new Map<string, ReadonlySet<MachineId>>();
  #byShortId: ReadonlyMap<string, readonly MachineId[]> | undefined;

  /**
   * Takes ownership of `machines`. `globals`: all active ones, in order of precedence. `targetOf`: the machine on which a
   * job was placed before; it may be there no longer.
   */
  constructor(
    machines: Map<MachineId, MachineUnits>,
    private readonly globals: readonly Unit[],
    private readonly targetOf: (job: UnitName) => MachineId | undefined,
  ) {
    this.#machines = machines;
    this.#globalNames = new Set(globals.map((unit) => unit.name));
  }

  /** The units of each machine. */
  get machines(): ReadonlyMap<MachineId, MachineUnits> {
    return this.#machines;
  }

  units(id: MachineId): MachineUnits {
    return this.#machines.get(id)!;
  }

  /** The machine that a job is on. */
  currentMachine(job: UnitName): MachineId | undefined {
    const id = this.#placed.get(job) ?? this.targetOf(job);
    if (id === undefined) return undefined;
    return this.#machines.get(id)?.jobs.some((unit) => unit.name === job) ? id : undefined;
  }

  isGlobal(name: UnitName): boolean {
    return this.#globalNames.has(name);
  }

  /** The machines that a MachineID option names. */
  named(machineId: string): readonly MachineId[] {
    if (this.#machines.has(machineId)) return [machineId];
    this.#byShortId ??= Map.groupBy(this.#machines.keys(), (id) => id.slice(0, 8));
    return this.#byShortId.get(machineId) ?? [];
  }

  /** The machines with the required metadata. Cached: many units require the same. */
  withMetadata(wanted: ReadonlyMap<string, readonly string[]>): ReadonlySet<MachineId> {
    return this.#byMetadata.getOrInsertComputed(JSON.stringify([...wanted]), () => {
      return new Set([...this.#machines].filter(([_, { machine }]) => hasMetadata(machine, wanted)).map(([id]) => id));
    });
  }

  /** Number of units on a machine, globals included. */
  load(id: MachineId): number {
    return this.units(id).residents.length;
  }

  /** Returns machine IDs, least loaded first; only those in `among`, if given. */
  byLoad(among?: ReadonlySet<MachineId>): readonly MachineId[] {
    const order = this.#load ??= new LoadOrder(
      [...this.#machines].map(([id, { residents }]) => [id, residents.length] as const),
    );
    if (!among) return order.ids();
    if (among.size > 100) return order.ids().filter((id) => among.has(id));
    return [...among].filter((id) => this.#machines.has(id)).sort((a, b) => order.compare(a, b));
  }

  /**
   * True if a unit may be placed on a machine, together with the units named `peers`. On the machine where it was placed
   * before it counts as a resident, unless `isNewcomer` says otherwise.
   */
  allows(unit: Unit, id: MachineId, peers?: ReadonlySet<UnitName>, isNewcomer = false): boolean {
    const { machine, residents } = this.units(id);
    const residency = !isNewcomer && this.targetOf(unit.name) === id ? "resident" : "newcomer";
    return isFeasible(unit, machine, residents, residency, peers);
  }

  /** Returns every reason why a unit may not be placed on a machine. */
  refusals(unit: Unit, id: MachineId): readonly Refusal[] {
    const { machine, residents } = this.units(id);
    return findRefusals(unit, machine, residents);
  }

  /** Places a unit on a machine that allows it: the globals there stay. */
  place(unit: Unit, id: MachineId): void {
    const { machine, jobs, globals } = this.units(id);
    this.#placed.set(unit.name, id);
    this.restore(machineUnits(machine, [...jobs, unit], globals));
  }

  /** Removes units from a machine: other globals may run there afterwards. */
  remove(units: readonly Unit[], id: MachineId): void {
    const { machine, jobs } = this.units(id);
    const left = jobs.filter((unit) => !units.includes(unit));
    this.restore(machineUnits(machine, left, globalsAmong(machine, left, this.globals)));
  }

  /** Sets the units of a machine. */
  restore(units: MachineUnits): void {
    this.#machines.set(units.machine.id, units);
    this.#load?.set(units.machine.id, units.residents.length);
  }
}
