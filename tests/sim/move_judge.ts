/**
 * Checks the moves that operators request in a simulated cluster: drains, and moves for balance.
 *
 * @module
 */

import { soleCopyReason } from "../../daemon/engine/drain/copies.ts";
import type { MachineId, Target, Unit, UnitName } from "../../registry/model.ts";
import { decodeLeader, decodeState, decodeTarget } from "../../registry/schema/codec.ts";
import { leaderKey, lossKey, stateKey, targetKey } from "../../registry/schema/keys.ts";
import { decodeDrain } from "../../registry/schema/maintenance.ts";
import type { KeyValue } from "../../registry/store/port.ts";
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
  /** True if a fault may have delayed or misled the daemon of a machine. */
  isDisturbed(machine: SimulatedMachine): boolean;
  now_ms(): number;
  fail(invariant: Invariant, message: string): void;
}

/** A record of a drain in the store, or that there was none. */
interface KnownDrain {
  /** Infinity without a deadline, and without a drain. */
  readonly deadlineAt_ms: number;
  /** The simulated time at which another one replaced it. */
  until_ms: number;
}

/** Time in which a leader decides by an earlier record of a drain, and in which its decision reaches the store, milliseconds. */
const latency_ms = 5_000;

/** Time after its deadline in which a drain empties its machine, milliseconds. */
const emptied_ms = 10_000;

export class MoveJudge {
  readonly #drains = new Map<MachineId, KnownDrain[]>();
  /** Requests, each with a unit that was moved because of it. */
  readonly #moved = new Set<string>();
  /** Units that have moved, and whose old copy is not stopped yet, as `machine/unit`. */
  readonly #leaving = new Set<string>();

  #ledSince_ms = 0;

  constructor(private readonly evidence: Evidence) {}

  /** Called when another daemon takes the lead. */
  led(): void {
    this.#ledSince_ms = this.evidence.now_ms();
  }

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

  /** Checks, at the end of a drain, that no unit is left long after the deadline. */
  drained(id: MachineId, kv: KeyValue | undefined): void {
    const { etcd, machines, isDisturbed, now_ms, fail } = this.evidence;
    const machine = machines.find((each) => each.id === id);
    const isHeldUp = !machine || isDisturbed(machine) || etcd.get(lossKey) !== undefined;
    const { latest: late_ms = 0 } = this.#late_ms(id) ?? {};
    if (!kv && !isHeldUp && late_ms > emptied_ms) {
      const left = allUnits.filter((name) => this.#machineOf(name) === id);
      const when = `${late_ms / 1_000} s after the deadline of its drain`;
      if (left.length > 0) fail("moves", `machine ${machine.index} still has ${left.join(", ")} ${when}`);
    }
    const known = this.#drainsOf(id);
    known.at(-1)!.until_ms = now_ms();
    known.push({ deadlineAt_ms: kv && decodeDrain(id, kv).deadlineAt_ms || Infinity, until_ms: Infinity });
  }

  /** Checks that no unit waits for a second copy after the deadline of a drain. */
  copied(name: UnitName): void {
    const from = this.#machineOf(name);
    const { latest: late_ms = 0 } = from !== undefined && this.#late_ms(from) || {};
    if (late_ms <= latency_ms) return;
    const when = `${late_ms / 1_000} s after the deadline of the drain`;
    this.evidence.fail("moves", `unit ${name} gets a second copy ${when} of machine ${from}`);
  }

  #machineOf(name: UnitName): MachineId | undefined {
    const kv = this.evidence.etcd.get(targetKey(name));
    return kv && decodeTarget(name, kv).machine;
  }

  /**
   * Returns the time since the deadlines of the drains of a machine by which the leader may decide, by its clock: since the
   * earliest one, and for how long it has led at least since the latest one. Undefined if its clock may have changed meanwhile.
   */
  #late_ms(id: MachineId): { readonly earliest: number; readonly latest: number } | undefined {
    const { etcd, machines, isDisturbed, now_ms } = this.evidence;
    const kv = etcd.get(leaderKey);
    const leader = kv && machines.find((machine) => machine.id === decodeLeader(kv).machine);
    if (!leader || isDisturbed(leader)) return undefined;
    const late_ms = this.#drainsOf(id).filter(({ until_ms }) => now_ms() - until_ms < latency_ms)
      .map(({ deadlineAt_ms }) => leader.wall_ms() - deadlineAt_ms);
    return { earliest: Math.max(...late_ms), latest: Math.min(...late_ms, now_ms() - this.#ledSince_ms) };
  }

  /** Returns all records of the drain of a machine, the latest one last. */
  #drainsOf(id: MachineId): KnownDrain[] {
    return this.#drains.getOrInsertComputed(id, () => [{ deadlineAt_ms: Infinity, until_ms: Infinity }]);
  }

  /** True if a unit runs on a machine, and has to run on its next one before it stops there. */
  #mayBeTwo(name: UnitName, machine: SimulatedMachine): boolean {
    const { etcd } = this.evidence;
    // From its deadline on, a drain waits for no unit.
    const { earliest: late_ms = 0 } = this.#late_ms(machine.id) ?? {};
    if (late_ms >= 0) return false;
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
