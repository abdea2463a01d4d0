/**
 * Proposes moves that even out the spread of templates and the load of machines: never more than are of use, and never one
 * that makes either less even. Pure.
 *
 * @module
 */

import type { Cluster, Machine, MachineId, RequestedMove, Unit, UnitName } from "../../../registry/model.ts";
import { allocatable, demandOf, fits, reservationOf } from "../../policy/capacity.ts";
import { isEligible, isFeasible, replaces } from "../../policy/feasibility.ts";
import { globalsAmong, isActiveGlobal, isActiveJob } from "../../policy/globals.ts";
import { precedence } from "../../policy/precedence.ts";
import { evenCountsIn, metadataOf } from "../../policy/spread.ts";
import { closure } from "../groups.ts";
import { SpreadBalance, type SpreadShare } from "./spread_balance.ts";

/** The load of one machine. */
export interface MachineLoad {
  readonly machine: MachineId;
  /** The number of units, globals included. */
  readonly units: number;
}

/** Proposed moves, with the load and the spread before and after them. */
export interface Proposal {
  readonly moves: readonly RequestedMove[];
  readonly before: readonly MachineLoad[];
  readonly after: readonly MachineLoad[];
  readonly spreadBefore: readonly SpreadShare[];
  readonly spreadAfter: readonly SpreadShare[];
}

/** Machines among the most and the least loaded ones that are tried for each move. */
const tried = 8;

/** A machine with its units. */
interface Site {
  readonly machine: Machine;
  readonly jobs: readonly Unit[];
  readonly residents: readonly Unit[];
  readonly cost: Cost;
  /** Jobs that MachineOf= ties together, and that may move; most groups have one member. */
  readonly groups: readonly (readonly Unit[])[];
}

/**
 * The cost of a load: the square of the number of units, and that of the part of the machine that its units are expected
 * to use. The sum over all machines is the lower the more even the load is.
 */
interface Cost {
  readonly units: number;
  readonly used: number;
}

/** A move of a group. Its gains are those of each unit that moves. */
interface Move {
  readonly group: readonly Unit[];
  readonly from: Site;
  readonly to: Site;
  readonly spread: number;
  readonly load: number;
}

/**
 * Proposes moves of at most `maxMoves` units. No unit moves to a machine that another one leaves, so that their order does
 * not matter.
 */
export function proposeMoves(cluster: Cluster, maxMoves: number): Proposal {
  const balance = new Balance(cluster);
  const [before, spreadBefore] = [balance.loads(), balance.spread.shares()];
  const moves: RequestedMove[] = [];
  while (moves.length < maxMoves) {
    const next = balance.next(maxMoves - moves.length);
    if (next.length === 0) break;
    moves.push(...next);
  }
  return { moves, before, after: balance.loads(), spreadBefore, spreadAfter: balance.spread.shares() };
}

class Balance {
  readonly spread: SpreadBalance;
  readonly #sites = new Map<MachineId, Site>();
  readonly #globals: readonly Unit[];
  readonly #jobs = new Map<MachineId, readonly Unit[]>();
  readonly #sources = new Set<MachineId>();
  readonly #destinations = new Set<MachineId>();

  constructor(private readonly cluster: Cluster) {
    const { units, targets, machines } = cluster;
    const jobs = new Map<MachineId, Unit[]>();
    for (const { unit: name, machine, unreadable } of targets.values()) {
      const unit = units.get(name);
      if (!unit || unreadable !== undefined || unit.unreadable === undefined && !isActiveJob(unit)) continue;
      jobs.getOrInsertComputed(machine, () => []).push(unit);
    }
    this.#globals = [...units.values()].filter(isActiveGlobal);
    for (const { id } of machines.values()) this.#jobs.set(id, (jobs.get(id) ?? []).sort(precedence));
    this.spread = new SpreadBalance(machines.values(), ({ id }) => this.#jobs.get(id)!);
    // A machine that is cordoned or drained takes no unit, and an operator has other plans with its own.
    for (const machine of machines.values()) {
      if (!machine.cordon && machine.unreadable === undefined) this.#sites.set(machine.id, this.#siteOf(machine));
    }
  }

  loads(): MachineLoad[] {
    return Array.from(this.#sites.values(), ({ machine, residents }) => {
      return { machine: machine.id, units: residents.length };
    });
  }

  /** Makes the move that is of most use for each unit that moves; none if there is none. Spread= comes before the load. */
  next(maxUnits: number): readonly RequestedMove[] {
    const sorted = [...this.#sites.values()].sort((a, b) => {
      return b.cost.units + b.cost.used - a.cost.units - a.cost.used || (a.machine.id < b.machine.id ? -1 : 1);
    });
    const best = this.#bestForSpread(sorted, maxUnits) ?? this.#bestForLoad(sorted, maxUnits);
    if (!best) return [];
    const { group, from, to } = best;
    const [source, destination] = [from.machine.id, to.machine.id];
    this.#jobs.set(source, from.jobs.filter((other) => !group.includes(other)));
    this.#jobs.set(destination, [...to.jobs, ...group]);
    for (const { machine } of [from, to]) this.#sites.set(machine.id, this.#siteOf(machine));
    this.spread.move(group, from.machine, to.machine);
    this.#sources.add(source);
    this.#destinations.add(destination);
    return group.map(({ name }) => ({ unit: name, from: source, to: destination }));
  }

  #bestForSpread(sorted: readonly Site[], maxUnits: number): Move | undefined {
    let best: Move | undefined;
    const leastLoaded = new Map<string, readonly Site[]>();
    const destinations = (key: string) =>
      leastLoaded.getOrInsertComputed(key, () => {
        const byValue = Map.groupBy([...sorted].reverse(), ({ machine }) => metadataOf(machine, key));
        byValue.delete(undefined);
        return [...byValue.values()].flatMap((sites) => sites.slice(0, tried));
      });
    for (const from of sorted) {
      for (const group of from.groups) {
        if (group.length > maxUnits) continue;
        const keys = new Set(group.flatMap(({ requirements: { spread } }) => spread?.key ?? []));
        for (const to of new Set([...keys].flatMap(destinations))) {
          const spread = this.spread.gain(group, from.machine, to.machine) / group.length;
          if (spread > 0 && spread >= (best?.spread ?? 0)) best = this.#better(best, group, from, to, spread);
        }
      }
    }
    return best;
  }

  #bestForLoad(sorted: readonly Site[], maxUnits: number): Move | undefined {
    let best: Move | undefined;
    for (const from of sorted.slice(0, tried)) {
      for (const to of sorted.slice(-tried).reverse()) {
        for (const group of from.groups) {
          if (group.length > maxUnits || this.spread.gain(group, from.machine, to.machine) < 0) continue;
          best = this.#better(best, group, from, to, 0);
        }
      }
    }
    return best;
  }

  /** Returns a move if it is possible and better than another one, otherwise that one. */
  #better(best: Move | undefined, group: readonly Unit[], from: Site, to: Site, spread: number): Move | undefined {
    if (from === to || this.#destinations.has(from.machine.id) || this.#sources.has(to.machine.id)) return best;
    const load = this.#loadGain(group, from, to) / group.length;
    if (spread === 0 && load <= 0) return best;
    const isBetter = !best || spread > best.spread || spread === best.spread && load > best.load;
    return isBetter && this.#takes(to, group) ? { group, from, to, spread, load } : best;
  }

  #takes({ machine, jobs, residents }: Site, group: readonly Unit[]): boolean {
    if (!isKnown(residents) || !fits(reservationOf(group), machine, reservationOf(residents))) return false;
    const names = new Set(group.map(({ name }) => name));
    return group.every((unit) => {
      if (jobs.some((other) => replaces(unit, other))) return false;
      const instances = evenCountsIn(
        unit,
        this.cluster.machines,
        (id) => this.#jobs.get(id)!.filter(({ name }) => !names.has(name)),
        (each) => isEligible(unit, each),
      );
      return isFeasible(unit, machine, residents, "newcomer", names, instances && { instances });
    });
  }

  #siteOf(machine: Machine): Site {
    const jobs = this.#jobs.get(machine.id)!;
    const residents = [...jobs, ...globalsAmong(machine, jobs, this.#globals)];
    return {
      machine,
      jobs,
      residents,
      cost: costOf(machine, residents),
      groups: isKnown(residents) ? this.#groupsOf(jobs) : [],
    };
  }

  #groupsOf(jobs: readonly Unit[]): readonly (readonly Unit[])[] {
    const byName = new Map(jobs.map((unit) => [unit.name, unit]));
    const followers = new Map<UnitName, Unit[]>();
    for (const unit of jobs) {
      for (const peer of unit.requirements.machineOf) followers.getOrInsertComputed(peer, () => []).push(unit);
    }
    const grouped = new Set<Unit>();
    return jobs.flatMap((unit) => {
      if (grouped.has(unit)) return [];
      const group = closure([unit], ({ name, requirements: { machineOf } }) => [
        ...machineOf.flatMap((peer) => byName.get(peer) ?? []),
        ...followers.get(name) ?? [],
      ]);
      for (const member of group) grouped.add(member);
      return group.every((member) => this.#isMovable(member)) ? [group] : [];
    });
  }

  /** A unit that is pinned, that must be where it is, or that moves already, stays. */
  #isMovable({ name, requirements: { machineId, pin }, unreadable }: Unit): boolean {
    return unreadable === undefined && pin !== true && machineId === undefined &&
      this.cluster.targets.get(name)?.successor === undefined;
  }

  /** Returns by how much a move lowers the cost; 0 if that is not worth a move. */
  #loadGain(group: readonly Unit[], from: Site, to: Site): number {
    const left = from.jobs.filter((other) => !group.includes(other));
    const extended = [...to.jobs, ...group];
    const costs = [[from.machine, left], [to.machine, extended]] as const;
    const [without, within] = costs.map(([machine, jobs]) =>
      costOf(machine, [...jobs, ...globalsAmong(machine, jobs, this.#globals)])
    );
    const gain = (of: (cost: Cost) => number) => of(from.cost) + of(to.cost) - of(without!) - of(within!);
    const units = gain((cost) => cost.units);
    const used = gain((cost) => cost.used);
    const isWorthIt = units >= smallest.units * group.length || used >= smallest.used * group.length;
    return isWorthIt || units + used < 0 ? units + used : 0;
  }
}

/** False if a unit cannot be read: it may conflict with one that arrives, or follow one that leaves. */
function isKnown(residents: readonly Unit[]): boolean {
  return residents.every(({ unreadable }) => unreadable === undefined);
}

function costOf(machine: Machine, residents: readonly Unit[]): Cost {
  const units = residents.length ** 2;
  const { capacity } = machine;
  if (!capacity) return { units, used: 0 };
  const { expected } = demandOf(residents);
  const all = allocatable(capacity);
  const used = Math.max(
    expected.cpu_m / Math.max(1, all.cpu_m),
    expected.memory_bytes / Math.max(1, all.memory_bytes),
  );
  return { units, used: (weight * used) ** 2 };
}

/** A machine that is used up counts as much as this number of units. */
const weight = 20;

/** Smaller gains are not worth the move of a unit. Two units more on one machine than on another gain 2; half a machine 100. */
const smallest = { units: 1.5, used: 50 };
