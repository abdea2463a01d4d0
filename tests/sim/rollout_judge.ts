/**
 * Checks the invariants of roll-outs in a simulated cluster, at each revision of the store and from the truth of systemd.
 *
 * @module
 */

import { decodeProgress, decodeRolloutPlan, joinRollout, type RolloutPlan } from "../../registry/schema/app_codec.ts";
import { assignKey, drainKey, globalKey, machineKey, progressKey, rolloutKey } from "../../registry/schema/keys.ts";
import type { MachineId, Rollout, RolloutStep, Unit, UnitName, UnitSpec } from "../../registry/model.ts";
import { hasEnded } from "../../registry/rollouts.ts";
import { decodeUnit } from "../../registry/schema/codec.ts";
import { versionOn } from "../../daemon/policy/globals.ts";
import type { WatchBatch } from "../../registry/store/port.ts";
import { groupOf } from "../../daemon/engine/rollout/batches.ts";
import type { Invariant } from "./violation.ts";
import type { SimulatedMachine } from "./machine.ts";
import type { SimulatedEtcd } from "./etcd.ts";
import { app, badVersion, globalAppUnit, maxParallel } from "./units.ts";
import { hashOf } from "./user.ts";

/** The knowledge of the judge of the cluster. */
export interface Evidence {
  readonly etcd: SimulatedEtcd;
  readonly machines: readonly SimulatedMachine[];
  /** Returns a unit of the store. */
  unit(name: UnitName): Unit | undefined;
  /** True if a change of a unit was committed so lately that the leader may not have seen it. */
  wasJustChanged(unit: UnitName): boolean;
  /** True if something has just happened that may have stopped a unit although it was healthy. */
  mayHaveStopped(machine: SimulatedMachine, unit: UnitName): boolean;
  fail(invariant: Invariant, message: string): void;
}

export class RolloutJudge {
  #plan: RolloutPlan | undefined;
  #rollout: Rollout | undefined;
  /** The record of the global unit before the present revision, and the machines on which this roll-out has changed it. */
  #global: Unit | undefined;
  readonly #changedOn = new Set<MachineId>();
  /** True on the way back: the machines that go back are judged among themselves. */
  #goesBack = false;

  constructor(private readonly evidence: Evidence) {}

  /** Checks a revision of the store. Returns the units that the roll-out has changed in it, and its author. */
  committed(batch: WatchBatch): { readonly units: ReadonlySet<UnitName>; readonly by: string } {
    const result = this.#check(batch);
    for (const event of batch.events) {
      const isGlobal = (event.kind === "put" ? event.kv.key : event.key) === globalKey(globalAppUnit);
      if (isGlobal) this.#global = event.kind === "put" ? decodeUnit(globalAppUnit, event.kv) : undefined;
    }
    return result;
  }

  #check({ events, revision }: WatchBatch): { readonly units: ReadonlySet<UnitName>; readonly by: string } {
    for (const event of events) {
      if (event.kind !== "put" || event.kv.key !== rolloutKey(app)) continue;
      this.#plan = decodeRolloutPlan(app, event.kv);
      this.#changedOn.clear();
      this.#goesBack = false;
    }
    const progress = events.find((event) => event.kind === "put" && event.kv.key === progressKey(app));
    if (progress?.kind !== "put" || !this.#plan) return { units: new Set(), by: "" };
    const rollout = this.#rollout = joinRollout(this.#plan, decodeProgress(progress.kv));
    const written = rollout.steps.filter((step) => step.written === revision);
    for (const step of written) {
      if (step.state === "staging" || step.state === "unstaging") this.#checkStage(step);
      else this.#checkFile(step);
    }
    this.#checkParallel(rollout);
    const stopping = written.filter(isReplaced).filter(({ state }) => state === "changing" || state === "undoing");
    for (const step of stopping) this.#checkOthers(rollout, step);
    if (rollout.status === "done" || rollout.status === "rolled-back") this.#checkEnd(rollout);
    return { units: new Set(written.map(({ unit }) => unit)), by: rollout.changed?.by ?? "" };
  }

  /** The unit of a step has the old file or the new one. */
  #checkFile(step: RolloutStep): void {
    const wanted = specOf(step);
    const found = this.evidence.unit(step.unit);
    if (found?.hash === wanted?.hash && found?.desiredState === wanted?.desiredState) return;
    this.evidence.fail("old or new", `the roll-out has written another file of ${step.unit} than that of its plan`);
  }

  /**
   * The global unit keeps its file, one machine at a time gets another one, and it runs on those that were changed before.
   */
  #checkStage({ unit: name, before, after, state }: RolloutStep): void {
    const { evidence: { etcd, machines, ...evidence } } = this;
    if (!this.#goesBack && state === "unstaging") {
      this.#goesBack = true;
      this.#changedOn.clear();
    }
    const [was, unit] = [this.#global, evidence.unit(name)];
    if (!was || !unit || ![before?.hash, after?.hash].includes(unit.hash)) {
      return evidence.fail("old or new", `a stage of the roll-out has written another file of ${name}`);
    }
    const changed = machines.filter(({ id }) => versionOn(was, id).hash !== versionOn(unit, id).hash);
    // A machine that is away changes nothing before it is back.
    const present = changed.filter(({ id }) => etcd.get(machineKey(id)));
    if (present.length > 1 || (unit.next?.unproven.length ?? 0) > 1) {
      evidence.fail("one batch", `${name} is changed on machines ${present.map(({ index }) => index)} at once`);
    }
    for (const machine of changed) this.#changedOn.add(machine.id);
    if (present.length === 0) return;
    for (const machine of machines) {
      if (!this.#changedOn.has(machine.id) || changed.includes(machine) || etcd.get(drainKey(machine.id))) continue;
      if (!etcd.get(machineKey(machine.id)) || machine.systemd.isActive(name)) continue;
      if (evidence.mayHaveStopped(machine, name)) continue;
      evidence.fail(
        "healthy first",
        `the roll-out changes ${name} on machine ${
          present[0]!.index
        } while it does not run on machine ${machine.index}`,
      );
    }
  }

  #checkParallel({ steps }: Rollout): void {
    const down = steps.filter(isReplaced).filter(({ state }) => state === "changing" || state === "undoing");
    for (const [group, members] of Map.groupBy(down, ({ unit }) => groupOf(unit))) {
      if (members.length <= maxParallel) continue;
      this.evidence.fail("one batch", `${members.map(({ unit }) => unit)} of ${group} are changed at once`);
    }
  }

  /** While a unit is stopped to be changed, those that were changed before it run. */
  #checkOthers({ steps }: Rollout, step: RolloutStep): void {
    const done = step.state === "changing" ? "healthy" : "undone";
    for (const other of steps.filter(isReplaced)) {
      if (other.state !== done || groupOf(other.unit) !== groupOf(step.unit)) continue;
      if (specOf(other)?.desiredState !== "launched" || this.#runs(other.unit)) continue;
      this.evidence.fail("healthy first", `the roll-out stops ${step.unit} while ${other.unit} is not running`);
    }
  }

  #runs(unit: UnitName): boolean {
    const { etcd, machines } = this.evidence;
    const machine = machines.find(({ id }) => etcd.get(assignKey(id, unit)));
    return !machine || machine.systemd.isActive(unit) || this.evidence.mayHaveStopped(machine, unit);
  }

  #checkEnd({ steps, status }: Rollout): void {
    for (const step of steps) {
      if (status === "rolled-back" && step.before && step.before.hash === step.after?.hash) continue;
      const wanted = status === "done" ? step.after : step.before;
      const found = this.evidence.unit(step.unit);
      // A step that never began leaves what an earlier roll-out has made of some machines.
      const isWhole = !found?.next || step.state === "pending";
      if (found?.hash === wanted?.hash && found?.desiredState === wanted?.desiredState && isWhole) continue;
      // The end compares the roll-out only: a user may have changed a unit since the leader saw that all are healthy.
      if (found?.revision !== (step.written || step.planned) && this.evidence.wasJustChanged(step.unit)) continue;
      this.evidence.fail("old or new", `the roll-out is ${status}, and ${step.unit} is not as it was to be`);
    }
  }

  /** Returns what is not over yet, once faults are over. A pause lasts until a user ends it. */
  unsettled(): string[] {
    const rollout = this.#rollout;
    if (!rollout || hasEnded(rollout) || rollout.status === "paused") return [];
    const states = rollout.steps.map(({ unit, state }) => `${unit} ${state}`).join(", ");
    return [`the roll-out is ${rollout.status}: ${states}`];
  }
}

/** Returns what a step has last made of its unit. */
function specOf({ state, before, after }: RolloutStep): UnitSpec | undefined {
  return state === "undoing" || state === "undone" ? before : after;
}

/** True if a step stops a unit that runs, to start it with another file. */
function isReplaced({ before, after }: RolloutStep): boolean {
  return before?.desiredState === "launched" && after !== undefined && before.hash !== after.hash;
}

/** True if a unit has a file whose process fails. */
export const isBad = ({ name, hash, app: owner }: Unit): boolean => owner === app && hash === hashOf(name, badVersion);
