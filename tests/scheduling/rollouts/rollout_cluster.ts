/**
 * A cluster without daemons, for tests of roll-outs: the rules of the store, the engine's decisions, machines that carry out
 * everything at once, and a clock that moves when nothing else happens.
 *
 * @module
 */

import { ScheduleCache } from "../../../daemon/engine/schedule_cache.ts";
import { schedule } from "../../../daemon/engine/schedule.ts";
import { hasMetadata } from "../../../daemon/policy/feasibility.ts";
import { versionOn } from "../../../daemon/policy/globals.ts";
import { RolloutController } from "../../../daemon/engine/rollout/controller.ts";
import type { Change, RolloutStart, RolloutUpdate } from "../../../registry/mod.ts";
import type {
  Cluster,
  Departure,
  DesiredState,
  Rollout,
  UnitName,
  UnitSpec,
  UnitState,
} from "../../../registry/model.ts";
import { rolloutOptionsOf } from "../../../registry/deployment.ts";
import { fleetOptionsOf } from "../../../registry/requirements.ts";
import { answerRequest, hasEnded, type RolloutRequest, undoSteps } from "../../../registry/rollouts.ts";
import { encodeState } from "../../../registry/schema/codec.ts";
import { encodeMachine } from "../../../registry/schema/machine.ts";
import { departedKey, machineKey, stateKey } from "../../../registry/schema/keys.ts";
import type { Compare, KeyValue, Op } from "../../../registry/store/port.ts";
import { ClusterView } from "../../../registry/views/cluster_view.ts";
import { fileTransactions, newRollout, updateTransaction } from "../../../registry/writes/rollouts.ts";
import { changeTransaction, placementTransaction, type Transaction } from "../../../registry/writes/transactions.ts";
import { optionsOf } from "../../../systemd/unit_file.ts";
import { hashUnitFile } from "../../../systemd/unit_hash.ts";

/**
 * What becomes of a unit that is started. `up`: it runs. `fails` at once. `hangs` while it starts. `crashes`: systemd starts
 * it again every two seconds. `dies`: it fails after five seconds. `ends`: it is a oneshot that has succeeded. `refused`:
 * systemd never runs such a file.
 */
export type Behavior = "up" | "fails" | "hangs" | "crashes" | "dies" | "ends" | "refused";

const crash_ms = 2_000;
const death_ms = 5_000;

/** The longest time for which a roll-out of these tests waits. */
const longest_ms = 3_600_000;

/** A unit on a machine. */
interface Process {
  readonly hash: string;
  readonly restart: number;
  readonly desiredState: DesiredState;
  readonly since_ms: number;
}

export class RolloutCluster {
  now_ms = 0;
  readonly #values = new Map<string, KeyValue>();
  readonly #view = new ClusterView(() => {});
  #revision = 0;
  #cache = new ScheduleCache();
  #controller = new RolloutController();
  readonly #processes = new Map<string, Process>();
  readonly #files = new Map<
    string,
    { readonly text: string; readonly behavior: Behavior; readonly failsOn?: string }
  >();
  readonly #versions = new Map<string, string>();
  /** The time until which machines that are absent may rejoin. */
  rejoinUntil_ms = -Infinity;
  /** Machines without power, whose records have not expired. */
  readonly cut = new Set<string>();
  /** The times at which machines will report that units are settled. */
  readonly #settling: number[] = [];
  /** The units that a drain has stopped. */
  readonly arriving = new Set<UnitName>();
  /** The units that systemd is about to start again. */
  readonly restarting = new Set<UnitName>();
  /** Called after each change of the store. */
  changed: (cluster: Cluster) => void = () => {};

  get cluster(): Cluster {
    return this.#view.cluster();
  }

  rollout(app: string): Rollout | undefined {
    return this.cluster.rollouts?.get(app);
  }

  transact({ compares, ops }: Pick<Transaction, "compares" | "ops">): number | undefined {
    if (!compares.every((compare) => this.#holds(compare))) return undefined;
    const revision = ++this.#revision;
    const events = ops.map((op) => this.#write(op, revision));
    this.#view.apply({ revision, events });
    this.changed(this.cluster);
    return revision;
  }

  #holds(compare: Compare): boolean {
    const found = this.#values.get(compare.key);
    if ("mod" in compare) return (found?.modRevision ?? 0) === compare.mod;
    if ("create" in compare) return (found?.createRevision ?? 0) === compare.create;
    return found?.value === compare.value;
  }

  #write(op: Op, revision: number) {
    if ("delete" in op) {
      this.#values.delete(op.delete);
      return { kind: "delete", key: op.delete, modRevision: revision } as const;
    }
    const createRevision = this.#values.get(op.put)?.createRevision ?? revision;
    const kv = { key: op.put, value: op.value, createRevision, modRevision: revision, lease: "" };
    this.#values.set(op.put, kv);
    return { kind: "put", kv } as const;
  }

  /** `isOlder`: its daemon does not know that global units are changed from machine to machine. */
  machine(id: string, isOlder = false): void {
    const capabilities = { disableEngine: false, ...!isOlder && { stagedGlobals: true as const } };
    const record = { id, ip: "", incarnation: "1", staticMetadata: {}, capabilities };
    const value = encodeMachine({ ...record, leaseTtl_ms: 30_000, version: "2.0.0" });
    this.transact({ compares: [], ops: [{ put: machineKey(id), value }, { delete: departedKey(id) }] });
  }

  /** `departure`: the machine is not expected back. */
  gone(id: string, departure?: Departure): void {
    this.cut.delete(id);
    const keys = [...this.#values.keys()].filter((key) => key.startsWith(`state/${id}/`));
    for (const key of keys) this.#processes.delete(key);
    const mark = departure === undefined ? [] : [{ put: departedKey(id), value: departure }];
    this.transact({ compares: [], ops: [...[machineKey(id), ...keys].map((key) => ({ delete: key })), ...mark] });
  }

  /** Defines a version of unit files: a name for a text, and how units with it behave; on one machine they may fail. */
  version(name: string, behavior: Behavior, options: readonly string[], failsOn?: string): void {
    const type = behavior === "ends" ? ["Type=oneshot"] : [];
    const unit = options.filter((option) => /^(After|Before|Requires)=/.test(option));
    const fleet = options.filter((option) => !unit.includes(option));
    const lines = ["[Unit]", ...unit, "[Service]", ...type, `ExecStart=/bin/${name}`, "[X-Fleet]", ...fleet];
    const text = `${lines.join("\n")}\n`;
    this.#files.set(hashUnitFile(text), { text, behavior, ...failsOn !== undefined && { failsOn } });
    this.#versions.set(name, hashUnitFile(text));
  }

  /** Returns the version of a hash, for people to read. */
  versionOf(hash: string): string {
    return [...this.#versions].find(([_, each]) => each === hash)?.[0] ?? "?";
  }

  hashOf(version: string): string {
    const hash = this.#versions.get(version);
    if (hash === undefined) throw new Error(`there is no version ${version}`);
    return hash;
  }

  /** Changes a unit as an operator does. */
  put(name: UnitName, version: string, desiredState: DesiredState, by?: string): void {
    const hash = this.hashOf(version);
    const { text } = this.#files.get(hash)!;
    const file = { hash, text, fleetOptions: fleetOptionsOf(name, optionsOf(text)) };
    const was = this.#view.unit(name);
    const changed = by === undefined ? {} : { changed: { by, at_ms: this.now_ms } };
    this.#commit({ kind: "put", was, file, desiredState, ...changed });
  }

  destroy(name: UnitName): void {
    this.#commit({ kind: "delete", was: this.#view.unit(name) });
  }

  #commit(change: Change): void {
    if (this.transact(changeTransaction(change)) === undefined) throw new Error("a change was refused");
  }

  /** Begins a roll-out: the version and desired state of each unit, or undefined to destroy it. */
  start(
    app: string,
    units: ReadonlyMap<UnitName, Pick<UnitSpec, "desiredState"> & { readonly version: string } | undefined>,
    more: Partial<Pick<RolloutStart, "rollback" | "maxParallel" | "changed">> = {},
  ): void {
    const steps = [...units].map(([unit, wanted]) => {
      const found = this.cluster.units.get(unit);
      return {
        unit,
        ...found && { before: { hash: found.hash, desiredState: found.desiredState } },
        ...wanted && { after: { hash: this.hashOf(wanted.version), desiredState: wanted.desiredState } },
        planned: found?.revision ?? 0,
      };
    });
    const files = new Map(
      steps.flatMap(({ after }) => after ? [[after.hash, this.#files.get(after.hash)!.text] as const] : []),
    );
    this.#begin({ app, what: "apply", rollback: true, ...more, steps, files });
  }

  #begin(start: Omit<RolloutStart, "was">): void {
    const was = this.rollout(start.app);
    if (was && !hasEnded(was)) throw new Error(`app ${start.app} has a roll-out that is ${was.status}`);
    const { rollout, ...creation } = newRollout({ ...start, ...was && { was } }, `${this.#revision}`);
    const revision = this.transact(creation);
    if (revision === undefined) throw new Error("the roll-out was refused");
    for (const files of fileTransactions(start, revision)) this.transact(files);
    this.update({ was: { ...rollout, revision }, status: "running" });
  }

  /** Requests something about a roll-out. Returns the refusal, if any. */
  request(app: string, request: RolloutRequest): string | undefined {
    const rollout = this.rollout(app)!;
    const answer = answerRequest(rollout, request, "alice");
    if (!("refusal" in answer)) {
      const record = this.cluster.apps?.get(app);
      this.update({ was: rollout, ...answer, ...record && { app: record } });
      return undefined;
    }
    const steps = request === "undo" ? undoSteps(rollout, this.cluster.units) : [];
    if (steps.length === 0) return `${answer.refusal}, and nothing is left to undo`;
    this.#begin({ app, what: "rollback", rollback: true, isUndo: true, steps, files: new Map() });
    return undefined;
  }

  update(update: RolloutUpdate): number | undefined {
    return this.transact(updateTransaction(update));
  }

  /** Lets another engine lead, which has observed nothing yet. */
  elect(): void {
    this.#cache = new ScheduleCache();
    this.#controller = new RolloutController();
  }

  /**
   * Lets the engine and the machines work once. Returns the engine's updates of roll-outs, and how long nothing happens
   * unless something else changes; 0 if something has happened.
   */
  work(): { readonly updates: readonly RolloutUpdate[]; readonly wait_ms: number } {
    const before = this.#revision;
    this.runAgents();
    const plan = schedule(this.cluster, { absentAreGone: true }, this.#cache);
    const { unplaced } = plan;
    const look = {
      cluster: this.cluster,
      unplaced,
      now_ms: this.now_ms,
      wall_ms: this.now_ms,
      quietSince_ms: -Infinity,
      isRejoining: this.now_ms < this.rejoinUntil_ms,
      arriving: this.arriving,
    };
    const { updates, wait_ms } = this.#controller.decide(look);
    for (const placement of plan.placements) this.transact(placementTransaction(placement, this.now_ms));
    const done = updates.filter((update) => this.update(update) !== undefined);
    // No roll-out waits that long: an app without units is to be forgotten then.
    const left_ms = wait_ms > longest_ms ? Infinity : wait_ms;
    const idle_ms = Math.min(left_ms, this.#nextEvent_ms() - this.now_ms);
    return { updates: done, wait_ms: this.#revision > before || done.length < updates.length ? 0 : idle_ms };
  }

  /** Each machine brings its units into the desired state, and publishes their states. */
  runAgents(): void {
    const { assignments, machines, units } = this.cluster;
    const wanted = new Map<string, UnitState>();
    this.#settling.length = 0;
    const add = (name: UnitName, machine: string, { hash, restart, desiredState }: Omit<Process, "since_ms">) => {
      const key = stateKey(machine, name);
      const known = this.#processes.get(key);
      const isSame = known?.hash === hash && known.restart === restart && known.desiredState === desiredState;
      const process = isSame ? known : { hash, restart, desiredState, since_ms: this.now_ms };
      this.#processes.set(key, process);
      const isStaged = machines.get(machine)?.capabilities.stagedGlobals === true;
      const isAwaited = isStaged && units.get(name)?.next?.unproven.includes(machine) === true;
      const settledAt_ms = isAwaited ? this.#settledAt_ms(process) : Infinity;
      if (settledAt_ms > this.now_ms) this.#settling.push(settledAt_ms);
      const isSettled = settledAt_ms <= this.now_ms;
      wanted.set(key, { ...this.#stateOf(name, machine, process), ...isSettled && { settled: 1 } });
    };
    for (const { unit, machine, ...rest } of assignments.values()) if (machines.has(machine)) add(unit, machine, rest);
    for (const unit of units.values()) {
      if (!unit.requirements.global || unit.desiredState === "inactive") continue;
      for (const { id, metadata, capabilities } of machines.values()) {
        const version = capabilities.stagedGlobals ? versionOn(unit, id) : unit;
        if (hasMetadata({ id, metadata, capabilities }, version.requirements.machineMetadata)) {
          add(unit.name, id, version);
        }
      }
    }
    const isCut = (key: string) => [...this.cut].some((id) => key.startsWith(`state/${id}/`));
    for (const [key, state] of wanted) {
      if (isCut(key)) continue;
      const value = encodeState(state);
      if (this.#values.get(key)?.value !== value) this.transact({ compares: [], ops: [{ put: key, value }] });
    }
    for (const key of [...this.#values.keys()]) {
      if (!key.startsWith("state/") || wanted.has(key) || isCut(key)) continue;
      this.#processes.delete(key);
      this.transact({ compares: [], ops: [{ delete: key }] });
    }
  }

  #stateOf(unit: UnitName, machine: string, { hash, restart, desiredState, since_ms }: Process): UnitState {
    const { failsOn, ...file } = this.#files.get(hash)!;
    const behavior = failsOn === machine ? "fails" : file.behavior;
    const age_ms = this.now_ms - since_ms;
    const base = { unit, machine, hash, restart, load: "loaded", since_ms, commanded: desiredState };
    if (desiredState !== "launched") return { ...base, active: "inactive", sub: "dead" };
    if (this.restarting.has(unit)) return { ...base, active: "activating", sub: "auto-restart" };
    const failed = { ...base, active: "failed", sub: "failed", result: "exit-code" };
    switch (behavior) {
      case "fails":
        return failed;
      case "dies":
        return age_ms < death_ms ? { ...base, active: "active", sub: "running" } : failed;
      case "hangs":
        return { ...base, active: "activating", sub: "start" };
      case "ends":
        return { ...base, active: "inactive", sub: "dead", job: "done" };
      case "crashes": {
        const restarts = Math.floor(age_ms / crash_ms);
        return { ...base, active: "active", sub: "running", restarts, since_ms: since_ms + restarts * crash_ms };
      }
      case "refused":
        return { ...base, active: "inactive", sub: "dead", load: "bad-setting", error: "bad-setting", permanent: true };
      case "up":
        return { ...base, active: "active", sub: "running" };
    }
  }

  /** The time at which a machine reports that a unit is settled, if it is up until then. */
  #settledAt_ms({ hash, since_ms }: Process): number {
    return since_ms + rolloutOptionsOf(optionsOf(this.#files.get(hash)!.text)).minHealthyTime_ms;
  }

  /** The time at which the next unit changes its state by itself. */
  #nextEvent_ms(): number {
    const times = [...this.#processes.values()].map(({ hash, since_ms }) => {
      const { behavior } = this.#files.get(hash)!;
      const age_ms = this.now_ms - since_ms;
      if (behavior === "crashes") return since_ms + (Math.floor(age_ms / crash_ms) + 1) * crash_ms;
      return behavior === "dies" && age_ms < death_ms ? since_ms + death_ms : Infinity;
    });
    const rejoined = this.rejoinUntil_ms > this.now_ms ? [this.rejoinUntil_ms] : [];
    return Math.min(Infinity, ...times, ...rejoined, ...this.#settling);
  }
}
