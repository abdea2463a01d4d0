/**
 * Checks the invariants of a simulated cluster, from the truth: the store's revisions and the machines' systemd, not what
 * daemons say.
 *
 * @module
 */

import { decodeAssignment, decodeState, decodeTarget, decodeUnit } from "../../registry/schema/codec.ts";
import { assignKey, globalKey, parseKey, stateKey, targetKey, unitKey } from "../../registry/schema/keys.ts";
import { type Assignment, effectiveMetadata, type MachineId, type Unit, type UnitName } from "../../registry/model.ts";
import type { KeyValue, WatchBatch } from "../../registry/store/port.ts";
import { nothingNeeded } from "../../registry/reservation.ts";
import { fits, reservationOf } from "../../daemon/policy/capacity.ts";
import { versionOn } from "../../daemon/policy/globals.ts";
import { conflict } from "../../daemon/policy/feasibility.ts";
import type { SimulatedEtcd } from "./etcd.ts";
import type { SimulatedMachine, SystemdCommand } from "./machine.ts";
import type { RequestKind } from "./store_client.ts";
import type { Timeline } from "./timeline.ts";
import { type Invariant, Violation } from "./violation.ts";
import { MoveJudge } from "./move_judge.ts";
import { isBad, RolloutJudge } from "./rollout_judge.ts";
import { allUnits, appUnits, capacity, endsByItself, isSolo } from "./units.ts";
import { hashOf, isOfMachines, type Request } from "./user.ts";

/** Time during which a change or a fault can still explain what a daemon does, milliseconds: longer than any fault lasts. */
const memory_ms = 60_000;

/** Faults of a machine with a shorter pause between them count as one, milliseconds. */
const pause_ms = 15_000;

/** The most commands to systemd for each change or fault, and for each unit. */
const commandsPerCause = 12;

/** The most revisions of the store for each change or fault. */
const revisionsPerCause = 20;

/** One state of a unit in the store. */
interface UnitVersion {
  readonly revision: number;
  readonly unit: Unit | undefined;
}

/** The cluster that is judged. */
export interface JudgedCluster {
  readonly timeline: Timeline;
  readonly etcd: SimulatedEtcd;
  readonly machines: readonly SimulatedMachine[];
  /** True if the machine has a daemon that is a member of the cluster. */
  isMember(machine: SimulatedMachine): boolean;
}

export class Judge {
  readonly requests: Record<RequestKind, number> = { read: 0, transact: 0, grant: 0, renew: 0, revoke: 0 };
  /** The violations of a checkpoint, which the driver throws. */
  violation: Violation | undefined;
  commands = 0;
  #causes = 0;
  readonly #requests = new Map<string, Request>();
  readonly #history = new Map<UnitName, UnitVersion[]>();
  /** Times at which something changed that may explain a stop: by `machine/unit`, by unit, and by machine. */
  readonly #changed_ms = new Map<string, number>();
  /** Beginning and end of the latest faults of each machine. */
  readonly #disturbedSince_ms = new Map<SimulatedMachine, number>();
  readonly #disturbed_ms = new Map<SimulatedMachine, number>();
  readonly #stopping_ms = new Map<SimulatedMachine, number>();
  /** Units whose process has ended by itself since it was last started. */
  readonly #exited = new Set<string>();
  /** Time of the latest command, by `machine/unit`. */
  readonly #commanded_ms = new Map<string, number>();
  /** Commands by unit since the beginning. */
  readonly #commandsOf = new Map<string, number>();

  /** Times of the latest move, the latest exit and the latest change by a user, by unit. */
  readonly #interrupted_ms = new Map<UnitName, number>();
  /** The machine of each unit. */
  readonly #targets = new Map<UnitName, MachineId>();
  /** Times of the latest exits, by unit. */
  readonly #exited_ms = new Map<UnitName, number>();
  readonly #rollouts: RolloutJudge;
  readonly #moves: MoveJudge;

  constructor(private readonly cluster: JudgedCluster) {
    const { etcd, machines } = cluster;
    const shared = {
      etcd,
      machines,
      unit: (name: UnitName) => this.unit(name),
      fail: (invariant: Invariant, message: string) => this.#fail(invariant, message),
    };
    this.#moves = new MoveJudge({
      ...shared,
      mayBeDown: (machine, unit) => {
        const latest_ms = Math.max(
          this.#exited_ms.get(unit) ?? -Infinity,
          this.#changed_ms.get(`unit ${unit}`) ?? -Infinity,
        );
        return this.#isDisturbed(machine) || this.#now_ms() - latest_ms < memory_ms;
      },
      isDisturbed: (machine) => this.#isDisturbed(machine),
      now_ms: () => this.#now_ms(),
    });
    this.#rollouts = new RolloutJudge({
      ...shared,
      wasJustChanged: (unit) => this.#now_ms() - (this.#changed_ms.get(`unit ${unit}`) ?? -Infinity) < pause_ms,
      mayHaveStopped: (machine, unit) =>
        this.#isDisturbed(machine) || this.#now_ms() - (this.#interrupted_ms.get(unit) ?? -Infinity) < pause_ms,
    });
  }

  #now_ms(): number {
    return this.cluster.timeline.now_ms();
  }

  #fail(invariant: Invariant, message: string): void {
    this.violation ??= new Violation(invariant, message);
  }

  requested(request: Request): void {
    const { action } = request;
    // A roll-out changes each unit of the app, and may change it back.
    const isOfApp = action.kind === "roll out" || action.kind === "rollout";
    // A drain moves every unit of a machine, each in two steps, and a copy may fail a few times.
    const isOfMachine = isOfMachines(action);
    this.#causes += isOfApp ? 2 * appUnits.length : isOfMachine ? 2 * allUnits.length : 1;
    this.#requests.set(request.id, request);
  }

  /** Checks that an acknowledged change has been made: applied, or unnecessary at some time while it was requested. */
  answered(request: Request): void {
    const { action, outcome } = request;
    if (outcome !== "acknowledged" || request.applied !== undefined) return;
    if (action.kind === "metadata" || action.kind === "roll out" || action.kind === "rollout") return;
    if (isOfMachines(action)) return;
    const { unit } = action;
    const versions = this.#history.get(unit) ?? [];
    const seen = versions.filter((_, at) => (versions[at + 1]?.revision ?? Infinity) > request.after);
    const states = versions.length === 0 || versions[0]!.revision > request.after
      ? [undefined, ...seen.map((version) => version.unit)]
      : seen.map((version) => version.unit);
    const fits = states.some((found) => {
      if (action.kind === "destroy") return found === undefined;
      if (action.kind === "put") {
        return found?.desiredState === action.desired && found.hash === hashOf(unit, action.version);
      }
      return action.kind === "set" && found?.desiredState === action.desired;
    });
    if (!fits) this.#fail("acknowledged survives", `${request.id} (${action.kind} ${unit}) is not in the store`);
  }

  /** Checks a revision of the store. */
  committed(batch: WatchBatch): void {
    if (batch.revision > revisionsPerCause * (20 + this.#causes)) {
      this.#fail("no storm", `${batch.revision} revisions of the store after ${this.#causes} changes and faults`);
    }
    const units = new Map<UnitName, KeyValue | undefined>();
    for (const event of batch.events) {
      const key = event.kind === "put" ? event.kv.key : event.key;
      const parsed = parseKey(key);
      if (!parsed) continue;
      const now_ms = this.#now_ms();
      switch (parsed.kind) {
        case "unit":
        case "global":
          if (event.kind === "put" || !units.has(parsed.name)) {
            units.set(parsed.name, event.kind === "put" ? event.kv : undefined);
          }
          this.#changed_ms.set(`unit ${parsed.name}`, now_ms);
          this.#changedOn(parsed.name, event.kind === "put" ? event.kv : undefined);
          break;
        case "drain":
          // Its global units stop, or start again.
          this.#changed_ms.set(`machine ${parsed.machine}`, now_ms);
          this.#moves.drained(parsed.machine, event.kind === "put" ? event.kv : undefined);
          break;
        case "successor":
        case "assign":
          if (parsed.kind === "successor" && event.kind === "put") this.#moves.copied(parsed.name);
          this.#changed_ms.set(`${parsed.machine}/${parsed.name}`, now_ms);
          this.#changed_ms.set(`machine ${parsed.machine}`, now_ms);
          break;
        case "leader":
          this.#moves.led();
          break;
        case "metadata":
          this.#changed_ms.set(`machine ${parsed.machine}`, now_ms);
          this.#changed_ms.set(`metadata ${parsed.machine}`, now_ms);
          break;
        case "machine":
          // Without its record, a machine may lose its units.
          if (event.kind === "delete") this.#changed_ms.set(`machine ${parsed.machine}`, now_ms);
          break;
        case "target":
          if (event.kind === "put") {
            const target = decodeTarget(parsed.name, event.kv);
            this.#moves.placed(parsed.name, this.#targets.get(parsed.name), target);
            this.#placed(target.machine, parsed.name);
          } else this.#targets.delete(parsed.name);
          break;
      }
    }
    const rolledOut = this.#rollouts.committed(batch);
    for (const [name, kv] of units) {
      if (rolledOut.units.has(name)) this.#rolledOut(name, kv, batch.revision, rolledOut.by);
      else this.#unitChanged(name, kv, batch.revision);
    }
    for (const event of batch.events) {
      const key = parseKey(event.kind === "put" ? event.kv.key : event.key);
      if (key?.kind === "assign" || key?.kind === "target") this.#checkOneMachine(key.name);
    }
  }

  /** Records the machines on which a change of a global unit may stop it: not those that keep the file that they have. */
  #changedOn(name: UnitName, kv: KeyValue | undefined): void {
    const [was, unit] = [this.#history.get(name)?.at(-1)?.unit, kv && decodeUnit(name, kv)];
    for (const { id } of this.cluster.machines) {
      const [before, after] = [was && versionOn(was, id), unit && versionOn(unit, id)];
      const isSame = before?.hash === after?.hash && before?.desiredState === after?.desiredState &&
        before?.restart === after?.restart && was?.requirements.global === unit?.requirements.global;
      if (!isSame) this.#changed_ms.set(`${id}/${name}`, this.#now_ms());
    }
  }

  #checkOneMachine(name: UnitName): void {
    const { etcd, machines } = this.cluster;
    const assigned = machines.filter(({ id }) => etcd.get(assignKey(id, name)));
    if (assigned.length > 1) {
      const where = assigned.map(({ index }) => index).join(" and ");
      this.#fail("one machine", `unit ${name} is assigned to machines ${where} at revision ${etcd.revision}`);
    }
  }

  /** Checks that the roll-out which has changed a unit was requested, and not refused. */
  #rolledOut(name: UnitName, kv: KeyValue | undefined, revision: number, by: string): void {
    this.#record(name, kv, revision);
    const request = this.#requests.get(by);
    if (request && request.outcome !== "refused") return;
    this.#fail(
      "refused never happens",
      `unit ${name} was changed by a roll-out that was ${request?.outcome ?? "not requested"}`,
    );
  }

  #record(name: UnitName, kv: KeyValue | undefined, revision: number): Unit | undefined {
    const unit = kv && decodeUnit(name, kv);
    this.#history.getOrInsertComputed(name, () => []).push({ revision, unit });
    return unit;
  }

  /** Checks that a change of a unit was requested, once, and not refused. */
  #unitChanged(name: UnitName, kv: KeyValue | undefined, revision: number): void {
    const unit = this.#record(name, kv, revision);
    this.#interrupted_ms.set(name, this.#now_ms());
    if (!unit) {
      const removals = [...this.#requests.values()].filter(({ action, applied }) =>
        action.kind === "destroy" && action.unit === name && applied === undefined
      );
      const removal = removals.find(({ outcome }) => outcome === "unknown");
      if (removal) removal.applied = revision;
      else if (removals.length > 0) {
        this.#fail("refused never happens", `unit ${name} was destroyed although that was refused`);
      } else this.#fail("acknowledged survives", `unit ${name} was destroyed without a request`);
      return;
    }
    const request = this.#requests.get(unit.changed?.by ?? "");
    if (!request) return this.#fail("acknowledged survives", `unit ${name} was changed without a request`);
    if (request.applied !== undefined) {
      return this.#fail("refused never happens", `${request.id} was carried out twice`);
    }
    if (request.outcome !== "unknown") {
      this.#fail("refused never happens", `${request.id} was carried out although it is ${request.outcome}`);
    }
    request.applied = revision;
  }

  /** Checks that a placement holds the constraints, unless what they depend on has just changed. */
  #placed(id: MachineId, name: UnitName): void {
    if (this.#targets.get(name) !== id) this.#interrupted_ms.set(name, this.#now_ms());
    this.#targets.set(name, id);
    const unit = this.unit(name);
    const machine = this.cluster.machines.find((each) => each.id === id);
    if (!unit || !machine) return;
    // The leader may run on any machine.
    const isStable = (...keys: string[]) =>
      !keys.some((key) => this.cluster.machines.some((each) => this.#isRecent(each, key)));
    const { machineMetadata } = unit.requirements;
    const metadata = this.#metadata(machine);
    for (const [key, accepted] of machineMetadata) {
      if (accepted.includes(metadata[key] ?? "") || !isStable(`metadata ${id}`, `unit ${name}`)) continue;
      if (this.#isDisturbed(machine)) continue;
      this.#fail("constraints", `unit ${name} was placed on machine ${machine.index} without ${key}=${accepted}`);
    }
    const assigned = this.#assignedUnits(machine);
    const reserving = assigned.filter(({ requirements }) => requirements.reservation);
    const isUnchanged = reserving.every((other) => isStable(`unit ${other.name}`));
    if (unit.requirements.reservation && isUnchanged && !fits(reservationOf(reserving), { capacity }, nothingNeeded)) {
      const names = reserving.map((other) => other.name).join(", ");
      this.#fail("no overcommit", `machine ${machine.index} has no room for ${names}`);
    }
    for (const other of assigned) {
      if (other.name === name || !conflict(unit, other)) continue;
      if (!isStable(`unit ${name}`, `unit ${other.name}`, `${id}/${other.name}`)) continue;
      this.#fail("constraints", `unit ${name} was placed on machine ${machine.index} beside ${other.name}`);
    }
  }

  /** Checks a command that a daemon is about to give to systemd. */
  commanded(machine: SimulatedMachine, { member, unit, wasActive }: SystemdCommand): void {
    this.commands++;
    const key = `${machine.id}/${unit}`;
    this.#commandsOf.set(unit, (this.#commandsOf.get(unit) ?? 0) + 1);
    if ((this.#commandsOf.get(unit) ?? 0) > commandsPerCause * (10 + this.#causes)) {
      this.#fail("no storm", `${this.#commandsOf.get(unit)} commands for unit ${unit}`);
    }
    if (member === "StopUnit") this.#moves.stopping(machine, unit);
    if (member === "StartUnit" || member === "RestartUnit") {
      this.#exited.delete(key);
      if (isSolo(unit)) this.#checkOneCopy(machine, unit);
    }
    const isExplained = member === "StartUnit" || !wasActive || this.#isExplained(machine, unit);
    this.#commanded_ms.set(key, this.#now_ms());
    if (isExplained) return;
    this.#fail("do no harm", `machine ${machine.index}: ${member} of ${unit}, which is to run there`);
  }

  /** True if a change of the unit's desired state or place explains that the machine stops it. */
  #isExplained(machine: SimulatedMachine, name: UnitName): boolean {
    const { etcd } = this.cluster;
    if (this.#explains(machine, this.#stopping_ms.get(machine))) return true;
    const isDisturbed = this.#isDisturbed(machine);
    if (isSolo(name) && isDisturbed) return true;
    // A daemon that was down or cut off carries out a change when it is back, however long ago that was made.
    const changed_ms = Math.max(
      ...[`${machine.id}/${name}`, `unit ${name}`].map((key) => this.#changed_ms.get(key) ?? 0),
    );
    if (isDisturbed && changed_ms > (this.#commanded_ms.get(`${machine.id}/${name}`) ?? -Infinity)) return true;
    const kv = etcd.get(assignKey(machine.id, name));
    if (this.#isRecent(machine, `${machine.id}/${name}`)) return true;
    if (kv) return decodeAssignment(machine.id, name, kv).desiredState !== "launched";
    const global = this.unit(name);
    if (!global?.requirements.global) return true;
    if (global.desiredState !== "launched") return true;
    return this.#isRecent(machine, `machine ${machine.id}`);
  }

  #checkOneCopy(machine: SimulatedMachine, unit: UnitName): void {
    for (const other of this.cluster.machines) {
      if (other === machine || !other.systemd.isActive(unit)) continue;
      // A daemon that is paused or down cannot stop a unit; an etcd that deletes a lease breaks the promise as well.
      const isDisturbed = this.#now_ms() - (this.#harmed_ms.get(other) ?? -Infinity) < memory_ms;
      if (isDisturbed) continue;
      this.#fail("one copy", `unit ${unit} is started on machine ${machine.index} and still runs on ${other.index}`);
    }
  }

  /** Times until when a machine's daemon could not do its work at all. */
  readonly #harmed_ms = new Map<SimulatedMachine, number>();

  /** Records a fault of a machine, which lasts for a time. `harmed`: it keeps the daemon from doing its work. */
  disturbed(machine: SimulatedMachine, for_ms = 0, harmed = false): void {
    this.#causes++;
    const until_ms = this.#now_ms() + for_ms;
    const isNew = this.#now_ms() - (this.#disturbed_ms.get(machine) ?? -Infinity) > pause_ms;
    if (isNew) this.#disturbedSince_ms.set(machine, this.#now_ms());
    this.#disturbed_ms.set(machine, Math.max(until_ms, this.#disturbed_ms.get(machine) ?? 0));
    if (harmed) this.#harmed_ms.set(machine, Math.max(until_ms, this.#harmed_ms.get(machine) ?? 0));
  }

  stopping(machine: SimulatedMachine): void {
    this.#stopping_ms.set(machine, this.#now_ms());
  }

  reconfigured(machine: SimulatedMachine): void {
    this.#changed_ms.set(`machine ${machine.id}`, this.#now_ms());
    this.#changed_ms.set(`metadata ${machine.id}`, this.#now_ms());
  }

  rebooted(machine: SimulatedMachine): void {
    for (const key of this.#exited) if (key.startsWith(machine.id)) this.#exited.delete(key);
  }

  exited(machine: SimulatedMachine, unit: UnitName): void {
    this.#exited.add(`${machine.id}/${unit}`);
    this.#exited_ms.set(unit, this.#now_ms());
    this.#interrupted_ms.set(unit, this.#now_ms());
  }

  /** Returns a unit of the store. */
  unit(name: UnitName): Unit | undefined {
    const kv = this.cluster.etcd.get(unitKey(name)) ?? this.cluster.etcd.get(globalKey(name));
    return kv && decodeUnit(name, kv);
  }

  /** True if a change is so recent that the machine may learn of it only now: faults may have kept it away. */
  #isRecent(machine: SimulatedMachine, key: string): boolean {
    return this.#explains(machine, this.#changed_ms.get(key));
  }

  #explains(machine: SimulatedMachine, changed_ms = -Infinity): boolean {
    const since_ms = this.#isDisturbed(machine) ? this.#disturbedSince_ms.get(machine)! : this.#now_ms();
    return changed_ms > since_ms - memory_ms;
  }

  #isDisturbed(machine: SimulatedMachine): boolean {
    return this.#now_ms() - (this.#disturbed_ms.get(machine) ?? -Infinity) < memory_ms;
  }

  #metadata(machine: SimulatedMachine): Record<string, string> {
    const dynamic = this.cluster.etcd.get(`metadata/${machine.id}/disk`);
    return effectiveMetadata(machine.metadata, dynamic ? { disk: dynamic.value } : {});
  }

  #assignedUnits(machine: SimulatedMachine): Unit[] {
    return allUnits.filter((name) => this.cluster.etcd.get(assignKey(machine.id, name))).flatMap((name) =>
      this.unit(name) ?? []
    );
  }

  #assignment(machine: SimulatedMachine, name: UnitName): Assignment | undefined {
    const kv = this.cluster.etcd.get(assignKey(machine.id, name));
    return kv && decodeAssignment(machine.id, name, kv);
  }

  /** Returns the differences between the actual and the desired state, once faults are over. */
  unsettled(): string[] {
    const { machines } = this.cluster;
    const away = machines.filter((machine) => !this.cluster.isMember(machine));
    return [
      ...away.map(({ index }) => `machine ${index} is not a member`),
      ...allUnits.flatMap((name) => this.#unsettledUnit(name)),
    ];
  }

  /** Returns what a roll-out still has to do, once faults are over. */
  unfinished(): string[] {
    return this.#rollouts.unsettled();
  }

  #unsettledUnit(name: UnitName): string[] {
    const { machines, etcd } = this.cluster;
    const unit = this.unit(name);
    const isWanted = unit !== undefined && unit.desiredState !== "inactive";
    const isGlobal = unit?.requirements.global ?? false;
    const target = etcd.get(targetKey(name));
    const assigned = machines.filter((machine) => this.#assignment(machine, name));
    const found: string[] = [];
    if (isWanted && !isGlobal && assigned.length === 0) {
      const possible = machines.find((machine) => this.#isAllowed(unit, machine));
      if (possible) found.push(`${name} has no machine, although machine ${possible.index} could take it`);
    }
    if ((!isWanted || isGlobal) && (assigned.length > 0 || target)) found.push(`${name} still has a machine`);
    for (const machine of machines) {
      const assignment = this.#assignment(machine, name);
      const isHere = isWanted && (isGlobal ? this.#isAllowed(unit, machine) : assignment !== undefined);
      if (isHere && !isGlobal && !this.#isAllowed(unit, machine)) {
        found.push(`${name} is on machine ${machine.index} against its constraints`);
      }
      found.push(...this.#unsettledOn(machine, name, isHere ? versionOn(unit, machine.id) : undefined));
    }
    return found;
  }

  #unsettledOn(machine: SimulatedMachine, name: UnitName, unit: Unit | undefined): string[] {
    const { systemd, index, id } = machine;
    const isActive = systemd.isActive(name);
    const hasFile = systemd.files.has(name);
    if (!unit) {
      return [
        ...hasFile ? [`machine ${index} still has the file of ${name}`] : [],
        ...isActive ? [`${name} still runs on machine ${index}`] : [],
      ];
    }
    const kv = this.cluster.etcd.get(stateKey(id, name));
    const state = kv && decodeState(id, name, kv);
    const found: string[] = [];
    if (!hasFile) found.push(`machine ${index} lacks the file of ${name}`);
    if (state?.commanded !== unit.desiredState) {
      found.push(`${name} is ${state?.commanded} on machine ${index}, not ${unit.desiredState}`);
    }
    if (state && state.hash !== unit.hash) found.push(`${name} has an old file on machine ${index}`);
    if (state && (state.active === "active") !== isActive) {
      found.push(`the state of ${name} on machine ${index} is not the published one`);
    }
    const mayBeDown = endsByItself(name) || isBad(unit) || this.#exited.has(`${id}/${name}`);
    if (unit.desiredState === "launched" && !isActive && !mayBeDown) {
      found.push(`${name} does not run on machine ${index}`);
    }
    if (unit.desiredState === "loaded" && isActive) {
      found.push(`${name} runs on machine ${index} although it is only loaded`);
    }
    return found;
  }

  /** True if the constraints of a unit hold on its machine. */
  #isAllowed(unit: Unit, machine: SimulatedMachine): boolean {
    const metadata = this.#metadata(machine);
    const { machineMetadata, machineOf } = unit.requirements;
    if (![...machineMetadata].every(([key, accepted]) => accepted.includes(metadata[key] ?? ""))) return false;
    if (!machineOf.every((peer) => this.#assignment(machine, peer))) return false;
    const others = this.#assignedUnits(machine).filter((other) => other.name !== unit.name);
    if (!fits(reservationOf([unit]), { capacity }, reservationOf(others))) return false;
    return !others.some((other) => conflict(unit, other));
  }
}
