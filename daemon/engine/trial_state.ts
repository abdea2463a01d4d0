/**
 * The working copy on which `schedule` tries placements: the units of each machine, and the machines by load.
 *
 * @module
 */

import { counted } from "../../runtime/counted.ts";
import type { MachineId, Unit, UnitName } from "../../registry/model.ts";
import { type Amounts, nothingNeeded } from "../../registry/reservation.ts";
import { globalsAmong } from "../policy/globals.ts";
import { fits, remainingText } from "../policy/capacity.ts";
import { findRefusals, hasMetadata, isFeasible, type Occupied, type Refusal } from "../policy/feasibility.ts";
import { LoadOrder, MachineLoads, type Measure } from "./load_order.ts";
import { MachineUnits } from "./machine_units.ts";
import { Preference } from "./preference.ts";

/** Up to this many machines are sorted; of more, the order of all machines soon reaches one. */
const maxSorted = 20;

/** The machines, the jobs on them, and the globals that result from both. */
export class TrialState {
  readonly #machines: Map<MachineId, MachineUnits>;
  readonly #preference: Preference;
  readonly #globalNames: ReadonlySet<UnitName>;
  /** Machines of the jobs that {@link place} has placed. */
  readonly #placed = new Map<UnitName, MachineId>();
  readonly #orders = new Map<Measure, LoadOrder>();
  /** Made when the first order is: most plans place no unit. */
  #loads: MachineLoads | undefined;
  readonly #byMetadata = new Map<string, ReadonlySet<MachineId>>();
  /** See {@link MachineLoads.flagsOf}. */
  readonly #flags = new WeakMap<ReadonlySet<MachineId>, Uint8Array>();
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
    this.#preference = new Preference(machines);
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

  /**
   * Returns machine IDs in the order in which they are tried for a group; only those in `among`, if given, which must not change
   * later. Spread= and Prefer= come first; then, for units that are expected to use CPU time or memory, what remains of a machine; then the
   * number of its units.
   */
  ranked(among: ReadonlySet<MachineId> | undefined, group: readonly Unit[]): Iterable<MachineId> {
    if (among?.size === 0) return [];
    const measure = group.some(({ requirements: { expected } }) => expected) ? "room" : "units";
    const isIndifferent = group.every(({ requirements: { spread, prefer } }) => !spread && !prefer);
    const loads = this.#loads ??= new MachineLoads(this.#machines);
    if (among && among.size <= maxSorted) {
      const sorted = this.#orderBy(measure).sort(among.values().filter((id) => this.#machines.has(id)));
      return isIndifferent ? sorted : this.#preference.sort(loads, measure, sorted, group);
    }
    const flags = among && this.#flags.getOrInsertComputed(among, () => loads.flagsOf(among));
    if (isIndifferent) return this.#orderBy(measure).ids(undefined, flags);
    return this.#preference.sort(loads, measure, flags, group);
  }

  #orderBy(measure: Measure): LoadOrder {
    return this.#orders.getOrInsertComputed(measure, () => new LoadOrder(this.#loads!, measure));
  }

  /**
   * Returns how a machine ranks for a unit that is about to be placed there, for people. The text is made when called for.
   */
  rankText(unit: Unit, id: MachineId): () => string {
    const units = this.units(id);
    const preference = this.#preference.text(unit, id);
    return () => {
      const { machine, demand, residents: { length } } = units;
      const beside = `with ${counted(length, "unit")}${preference()}`;
      if (!unit.requirements.expected) return `least loaded machine that will take it, ${beside}`;
      return `machine with most room that will take it, ${remainingText(machine, demand)}, ${beside}`;
    };
  }

  /** True if a machine has room for a reservation, or is refused for another reason. */
  hasRoom(reservation: Amounts, id: MachineId): boolean {
    if (reservation === nothingNeeded) return true;
    const { machine, demand } = this.units(id);
    return machine.unreadable !== undefined || fits(reservation, machine, demand.reserved);
  }

  /**
   * True if a unit may be placed on a machine, together with the units named `peers`. On the machine where it was placed
   * before it counts as a resident, unless `isNewcomer` says otherwise.
   */
  allows(unit: Unit, id: MachineId, peers?: ReadonlySet<UnitName>, isNewcomer = false): boolean {
    const units = this.units(id);
    const residency = !isNewcomer && this.targetOf(unit.name) === id ? "resident" : "newcomer";
    return isFeasible(unit, units.machine, units.residents, residency, peers, this.#occupied(unit, units));
  }

  /** Returns every reason why a unit may not be placed on a machine. */
  refusals(unit: Unit, id: MachineId): readonly Refusal[] {
    const units = this.units(id);
    return findRefusals(unit, units.machine, units.residents, "newcomer", undefined, this.#occupied(unit, units));
  }

  /**
   * Returns what has to be known of the units on a machine; nothing for a unit with neither a reservation nor a hard
   * spread.
   */
  #occupied(unit: Unit, units: MachineUnits): Occupied | undefined {
    const { reservation, spread } = unit.requirements;
    if (spread?.hard) return { reserved: units.demand.reserved, instances: this.#preference.evenCounts(unit) };
    return reservation && units.demand;
  }

  /** Places a unit on a machine that allows it: the globals there stay. */
  place(unit: Unit, id: MachineId): void {
    this.#placed.set(unit.name, id);
    this.#set(this.units(id).withJob(unit));
    this.#preference.placed(unit, this.units(id));
  }

  /** Removes units from a machine: other globals may run there afterwards. */
  remove(units: readonly Unit[], id: MachineId): void {
    const { machine, jobs } = this.units(id);
    const left = jobs.filter((unit) => !units.includes(unit));
    this.restore(new MachineUnits(machine, left, globalsAmong(machine, left, this.globals)));
  }

  /** Sets the units of a machine. */
  restore(units: MachineUnits): void {
    this.#set(units);
    this.#preference.reset();
  }

  #set(units: MachineUnits): void {
    const { machine: { id } } = units;
    this.#machines.set(id, units);
    this.#loads?.changed(units);
  }
}
