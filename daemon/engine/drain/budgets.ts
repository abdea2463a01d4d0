/**
 * The limits of moves that are made at once: `MaxParallel=` of a template, over all machines, and the limit of a drain. Pure.
 *
 * @module
 */

import { rolloutOptionsOf } from "../../../registry/deployment.ts";
import type { Cluster, Drain, MachineId, Unit, UnitName } from "../../../registry/model.ts";
import { templateOf } from "../../../systemd/unit_name.ts";
import { isActiveJob } from "../../policy/globals.ts";
import type { Health } from "../../policy/health.ts";

/** The number of moves for balance that are made at once. */
const rebalanceParallel = 4;

export class Budgets {
  /** Instances by template of the units that {@link #downOf} was asked about; those that are not healthy. */
  readonly #down = new Map<string, Set<UnitName>>();
  /** Moves in which both copies run, by template. */
  readonly #moving = new Map<string, number>();
  /** Moves by machine that is drained; "" for balance. */
  readonly #byDrain = new Map<MachineId, number>();
  #instances: ReadonlyMap<string, readonly Unit[]> | undefined;

  /** `arriving`: units that have left a machine and are not healthy on another yet. */
  constructor(
    private readonly cluster: Cluster,
    private readonly healthOn: (unit: Unit, machine: MachineId) => Health,
    arriving: ReadonlyMap<UnitName, { readonly from: MachineId }>,
  ) {
    for (const { from } of arriving.values()) this.#count(cluster.drains?.has(from) ? from : "");
  }

  /** Counts a move in which both copies run. */
  moves(unit: Unit, drain: Drain | undefined): void {
    const key = keyOf(unit.name);
    this.#moving.set(key, (this.#moving.get(key) ?? 0) + 1);
    this.#count(drain?.machine ?? "");
  }

  /** Counts units that begin to move together. */
  begin(units: readonly Unit[], drain: Drain | undefined, startsFirst: boolean): void {
    for (const unit of units) {
      if (startsFirst) this.moves(unit, drain);
      else {
        this.#downOf(keyOf(unit.name)).add(unit.name);
        this.#count(drain?.machine ?? "");
      }
    }
  }

  /** Returns what units that move together wait for; undefined if they may begin. */
  waitReason(units: readonly Unit[], drain: Drain | undefined, startsFirst: boolean): string | undefined {
    const limit = drain?.maxParallel ?? rebalanceParallel;
    // A group that is larger than the limit moves alone.
    const busy = this.#byDrain.get(drain?.machine ?? "") ?? 0;
    if (busy > 0 && busy + units.length > limit) return `it waits until other units have moved (${limit} at once)`;
    for (const unit of units) {
      const key = keyOf(unit.name);
      const { maxParallel } = rolloutOptionsOf(unit.fleetOptions);
      const others = this.#downOf(key).difference(new Set(units.map(({ name }) => name)));
      if (startsFirst) {
        if ((this.#moving.get(key) ?? 0) < maxParallel) continue;
        return `it waits until other instances of ${key} have moved (MaxParallel=${maxParallel})`;
      }
      if (
        unit.desiredState !== "launched" || !this.isUp(unit) ||
        others.size + units.filter(({ name }) => keyOf(name) === key).length <= maxParallel
      ) {
        continue;
      }
      if (others.size === 0) continue;
      const named = [...others].sort().slice(0, 3).join(", ");
      return `it waits until other instances of ${key} are healthy: ${named} (MaxParallel=${maxParallel})`;
    }
    return undefined;
  }

  /** True if a unit runs on its machine at this moment, also if a check has not passed yet: it may serve clients. */
  isUp({ name }: Unit): boolean {
    const { states, targets } = this.cluster;
    const active = states.get(name)?.get(targets.get(name)?.machine ?? "")?.active;
    return active === "active" || active === "reloading";
  }

  /** Returns the instances of a template that are not healthy, or not yet for long enough. */
  #downOf(key: string): Set<UnitName> {
    return this.#down.getOrInsertComputed(key, () => {
      const down = new Set<UnitName>();
      for (const unit of this.#instancesOf(key)) {
        const machine = this.cluster.targets.get(unit.name)?.machine;
        const isUp = machine !== undefined && this.cluster.machines.has(machine) &&
          this.healthOn(unit, machine).kind === "healthy";
        if (!isUp) down.add(unit.name);
      }
      return down;
    });
  }

  #instancesOf(key: string): readonly Unit[] {
    this.#instances ??= Map.groupBy(
      [...this.cluster.units.values()].filter((unit) => isActiveJob(unit) && unit.desiredState === "launched"),
      ({ name }) => keyOf(name),
    );
    return this.#instances.get(key) ?? [];
  }

  #count(drained: MachineId | ""): void {
    this.#byDrain.set(drained, (this.#byDrain.get(drained) ?? 0) + 1);
  }
}

/** Units with the same key share one budget: the instances of a template. */
function keyOf(unit: UnitName): string {
  return templateOf(unit) ?? unit;
}
