/**
 * The working copy on which `schedule` tries placements out: who is on which machine, and who is least loaded.
 *
 * @module
 */

import type { Machine, MachineId, Unit, UnitName } from "../../registry/model.ts";
import { globalsAmong, isActiveGlobal } from "../globals.ts";
import { placement, precedence, type Verdict } from "../placement.ts";

/** Machines by load: fewest units first, then by machine ID. Changing one machine's load costs O(log n) comparisons. */
class LoadOrder {
  readonly #order: MachineId[];
  readonly #count = new Map<MachineId, number>();

  constructor(counts: ReadonlyMap<MachineId, number>) {
    for (const [id, count] of counts) this.#count.set(id, count);
    this.#order = [...counts.keys()].sort((a, b) => this.#compare(a, b));
  }

  #compare(a: MachineId, b: MachineId): number {
    return this.count(a) - this.count(b) || (a < b ? -1 : a > b ? 1 : 0);
  }

  #position(id: MachineId): number {
    let low = 0;
    let high = this.#order.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#compare(this.#order[middle]!, id) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  count(id: MachineId): number {
    return this.#count.get(id) ?? 0;
  }

  set(id: MachineId, count: number): void {
    if (this.count(id) === count) return;
    this.#order.splice(this.#position(id), 1);
    this.#count.set(id, count);
    this.#order.splice(this.#position(id), 0, id);
  }

  ids(): readonly MachineId[] {
    return this.#order;
  }
}

/** Jobs that were on a machine but may not stay, with every reason. */
export type Evicted = ReadonlyMap<UnitName, Verdict>;

/** What the engine may move around: machines, the jobs on them, and the globals that follow from both. */
export class Board {
  readonly #jobs = new Map<MachineId, Map<UnitName, Unit>>();
  readonly #globalsOn = new Map<MachineId, readonly Unit[]>();
  readonly #globals: readonly Unit[];
  readonly #load: LoadOrder;

  constructor(readonly machines: ReadonlyMap<MachineId, Machine>, units: Iterable<Unit>) {
    this.#globals = [...units].filter(isActiveGlobal).sort(precedence);
    for (const id of machines.keys()) this.#jobs.set(id, new Map());
    this.#load = new LoadOrder(new Map([...machines.keys()].map((id) => [id, 0])));
  }

  /** Seats the jobs that are on a machine already, and returns those that may not stay. */
  seat(id: MachineId, jobs: readonly Unit[]): Evicted {
    const host = this.machines.get(id)!;
    const { kept, evicted } = settle(host, jobs, this.#globals);
    this.#jobs.set(id, kept);
    this.#refresh(id);
    return evicted;
  }

  /** Everything on a machine: jobs and globals. */
  *residents(id: MachineId): Generator<Unit> {
    yield* this.#jobs.get(id)?.values() ?? [];
    yield* this.#globalsOn.get(id) ?? [];
  }

  jobs(id: MachineId): readonly Unit[] {
    return [...this.#jobs.get(id)?.values() ?? []];
  }

  /** Number of units on a machine, globals included. */
  load(id: MachineId): number {
    return this.#load.count(id);
  }

  /** Machine IDs, least loaded first. */
  byLoad(): readonly MachineId[] {
    return this.#load.ids();
  }

  /** Whether a unit may come to a machine, together with `group` (which may hold the unit itself). */
  verdict(unit: Unit, id: MachineId, group: readonly Unit[] = []): Verdict {
    const host = this.machines.get(id)!;
    const residents = group.length > 1 ? [...this.residents(id), ...group] : this.residents(id);
    return placement(unit, host, residents, "newcomer");
  }

  place(unit: Unit, id: MachineId): void {
    this.#jobs.get(id)!.set(unit.name, unit);
    this.#load.set(id, this.#load.count(id) + 1);
  }

  remove(unit: Unit, id: MachineId): void {
    this.#jobs.get(id)!.delete(unit.name);
    this.#refresh(id);
  }

  /** Works out again which globals are on a machine, and so its load. */
  #refresh(id: MachineId): void {
    const jobs = this.#jobs.get(id)!;
    const globals = globalsAmong(this.machines.get(id)!, [...jobs.values()], this.#globals);
    this.#globalsOn.set(id, globals);
    this.#load.set(id, jobs.size + globals.length);
  }
}

/** Who stays when jobs and globals that want to be on one machine meet: the one launched first. */
function settle(
  host: Machine,
  jobs: readonly Unit[],
  globals: readonly Unit[],
): { kept: Map<UnitName, Unit>; evicted: Map<UnitName, Verdict> } {
  const present: Unit[] = [];
  const evicted = new Map<UnitName, Verdict>();
  for (const unit of [...jobs, ...globals].sort(precedence)) {
    const peers = new Set(unit.requirements.machineOf);
    const verdict = placement(unit, host, present, "resident", peers);
    if (verdict.refusals.length === 0) present.push(unit);
    else if (!unit.requirements.global) evicted.set(unit.name, verdict);
  }
  // A follower goes where its peer goes; that may take further followers along.
  for (let before = -1; before !== evicted.size;) {
    before = evicted.size;
    for (const unit of [...present]) {
      if (unit.requirements.global) continue;
      const verdict = placement(unit, host, present, "resident");
      if (verdict.refusals.length === 0) continue;
      evicted.set(unit.name, verdict);
      present.splice(present.indexOf(unit), 1);
    }
  }
  const kept = new Map<UnitName, Unit>();
  for (const unit of present) if (!unit.requirements.global) kept.set(unit.name, unit);
  return { kept, evicted };
}
