/**
 * Checks the moves that operators request in a simulated cluster: drains, and moves for balance.
 *
 * @module
 */

import { soleCopyReason } from "../../daemon/engine/drain/copies.ts";
import type { MachineId, Target, Unit, UnitName } from "../../registry/model.ts";
import { decodeState } from "../../registry/schema/codec.ts";
import { drainKey, stateKey } from "../../registry/schema/keys.ts";
import type { SimulatedEtcd } from "./etcd.ts";
import type { SimulatedMachine } from "./machine.ts";
import { allUnits } from "./units.ts";
import type { Invariant } from "./violation.ts";

/** The knowledge of the judge of the cluster. */
export interface Evidence {
  readonly etcd: SimulatedEtcd;
  readonly machines: readonly SimulatedMachine[];
  /** Returns a unit of the store. */
  unit(name: UnitName): Unit | undefined;
  /** True if a fault, an exit or a change of the unit explains that the unit does not run on the machine. */
  mayBeDown(machine: SimulatedMachine, unit: UnitName): boolean;
  fail(invariant: Invariant, message: string): void;
}

export class MoveJudge {
  /** Requests, each with a unit that was moved because of it. */
  readonly #moved = new Set<string>();
  /** Units that have moved, and whose old copy is not stopped yet, as `machine/unit`. */
  readonly #leaving = new Set<string>();

  constructor(private readonly evidence: Evidence) {}

  /** Checks that a unit moves once for each request, and only to a machine where it runs if two copies of it may. */
  placed(name: UnitName, from: MachineId | undefined, { machine: to, why }: Target): void {
    const [, request] = /^(?:machine \S+ is drained|it moves to even out the load) by ([^;]+)/.exec(why) ?? [];
    const { machines, fail } = this.evidence;
    const [source, destination] = [from, to].map((id) => machines.find((machine) => machine.id === id));
    if (request === undefined || !source || !destination || source === destination) return;
    const isExplained = [source, destination].some((machine) => this.evidence.mayBeDown(machine, name));
    const move = `${request} ${name}`;
    if (this.#moved.has(move) && !isExplained) fail("moves", `unit ${name} moves twice because of ${request}`);
    this.#moved.add(move);
    if (isExplained || !this.#mayBeTwo(name, source)) return;
    this.#leaving.add(`${source.id}/${name}`);
    if (destination.systemd.isActive(name)) return;
    fail("moves", `unit ${name} moves from machine ${source.index} to ${destination.index}, where it does not run`);
  }

  /** True if a unit runs on a machine, and has to run on its next one before it stops there. */
  #mayBeTwo(name: UnitName, machine: SimulatedMachine): boolean {
    const { etcd } = this.evidence;
    // At its deadline, a drain waits for no unit.
    if (/deadline/i.test(etcd.get(drainKey(machine.id))?.value ?? "")) return false;
    const unit = this.evidence.unit(name);
    if (!unit || soleCopyReason(unit) !== undefined || unit.requirements.machineOf.length > 0) return false;
    if (allUnits.some((other) => this.evidence.unit(other)?.requirements.machineOf.includes(name))) return false;
    const kv = etcd.get(stateKey(machine.id, name));
    return machine.systemd.isActive(name) && kv !== undefined && decodeState(machine.id, name, kv).active === "active";
  }

  /** Checks that another copy runs when a machine stops one of a unit that has moved. */
  stopping(machine: SimulatedMachine, name: UnitName): void {
    if (!this.#leaving.delete(`${machine.id}/${name}`)) return;
    const { machines, fail } = this.evidence;
    if (this.evidence.unit(name)?.desiredState !== "launched") return;
    const others = machines.filter((other) => other !== machine);
    if (others.some((other) => other.systemd.isActive(name) || this.evidence.mayBeDown(other, name))) return;
    fail("moves", `machine ${machine.index} stops unit ${name}, and no other copy of it runs`);
  }
}
