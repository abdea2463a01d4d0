/**
 * Decides on the next step of a roll-out: which units are changed now, which have become healthy, and when it stops or goes
 * back. It reads nothing but the roll-out, the cluster and what this leader has observed, so that any leader goes on with
 * the work of another one.
 *
 * @module
 */

import { isInForce, isUnchanged } from "../../../registry/apps.ts";
import { maxUnitChanges, type RolloutUpdate, type UnitChange, type UnitRecord } from "../../../registry/mod.ts";
import type {
  Cluster,
  MachineId,
  NextVersion,
  Rollout,
  RolloutStatus,
  RolloutStep,
  StepState,
  Unit,
  UnitName,
} from "../../../registry/model.ts";
import { rolloutOptionsOf } from "../../../registry/deployment.ts";
import { fleetOptionsOf, parseRequirements } from "../../../registry/requirements.ts";
import { hasDrifted } from "../../../registry/rollouts.ts";
import { optionsOf } from "../../../systemd/unit_file.ts";
import { isTemplate } from "../../../systemd/unit_name.ts";
import { isActive, isActiveGlobal } from "../../policy/globals.ts";
import { healthOf } from "../../policy/health.ts";
import { type Batch, groupOf } from "./batches.ts";
import type { Look, Observation, Verdict } from "./observation.ts";
import { nextStage, type WantedFile } from "./stages.ts";

/** The decision about one roll-out. */
export interface RolloutDecision {
  /** The change of the roll-out and its units; omitted if there is nothing to do now. */
  readonly update?: RolloutUpdate;
  /** The time until the next look that may decide otherwise although nothing else has changed. */
  readonly wait_ms: number;
}

/** The time that the daemon which began a roll-out has to store its files. */
const preparation_ms = 60_000;

const idle: RolloutDecision = { wait_ms: Infinity };

/** Decides on the next step of a roll-out. */
export function decideRollout(rollout: Rollout, look: Look, observation: Observation): RolloutDecision {
  const app = look.cluster.apps?.get(rollout.app);
  const fail = (reason: string): RolloutDecision => ({
    update: { was: rollout, status: "failed", reason, ...app && { app } },
    wait_ms: 0,
  });
  if (rollout.status === "preparing") {
    const left_ms = observation.left_ms(rollout.revision, preparation_ms, look);
    return left_ms > 0
      ? { wait_ms: left_ms }
      : fail("the daemon that began the roll-out did not store all of its files: apply again");
  }
  if (rollout.status !== "running" && rollout.status !== "rolling-back") return idle;
  const drifted = rollout.steps.find((step) => hasDrifted(step, look.cluster.units.get(step.unit)));
  if (drifted) return fail(driftReason(drifted, look.cluster));
  const work = new Work(rollout, look, observation);
  const result = work.run();
  const { status = rollout.status, reason = rollout.reason } = result;
  const { states, units } = work;
  const isChanged = states.size > 0 || status !== rollout.status;
  if (!isChanged) return { wait_ms: work.wait_ms };
  return {
    update: {
      ...{ was: rollout, status, states, units },
      ...reason !== undefined && { reason },
      ...app && { app },
    },
    wait_ms: 0,
  };
}

function driftReason({ unit }: RolloutStep, { units }: Cluster): string {
  const found = units.get(unit);
  const by = found?.changed ? ` by ${found.changed.by}` : "";
  return `unit ${unit} was ${found ? "changed" : "destroyed"}${by} during the roll-out: apply again, or undo it`;
}

/** The next status of a roll-out; the present one if omitted. */
interface Result {
  readonly status?: RolloutStatus;
  readonly reason?: string;
}

/** Collects the changes of one look at a roll-out. */
class Work {
  readonly states = new Map<number, StepState>();
  readonly units: UnitChange[] = [];
  wait_ms = Infinity;
  readonly #back: boolean;
  /** The steps whose units are among {@link units}. */
  readonly #written = new Set<number>();

  constructor(
    private readonly rollout: Rollout,
    private readonly look: Look,
    private readonly observation: Observation,
  ) {
    this.#back = rollout.status === "rolling-back";
  }

  /** Goes through the batches up to the first one that is not complete. */
  run(): Result {
    const batches = this.observation.batches(this.rollout, this.look);
    for (const batch of this.#back ? batches.toReversed() : batches) {
      const problem = this.#advance(batch);
      if (problem !== undefined) return this.#fail(problem);
      if (!this.#isComplete(batch)) return {};
    }
    if (this.#back) return { status: "rolled-back" };
    const verdict = this.#stillHealthy(() => true);
    if (verdict.kind === "failed") return this.#fail(verdict.why);
    return verdict.kind === "healthy" ? { status: "done" } : {};
  }

  #fail(why: string): Result {
    const { rollback, reason } = this.rollout;
    // No unit is changed together with a failure: the next look decides again.
    this.units.length = 0;
    for (const at of this.#written) this.states.delete(at);
    if (!this.#back) return { status: rollback ? "rolling-back" : "failed", reason: why };
    return { status: "failed", reason: `${reason ?? "undo requested"}; on the way back, ${why}` };
  }

  #stateOf(at: number): StepState {
    return this.states.get(at) ?? this.rollout.steps[at]!.state;
  }

  /** True if nothing is left to do for a batch in the present direction. */
  #isComplete({ steps }: Batch): boolean {
    return steps.every((at) => {
      const state = this.#stateOf(at);
      return this.#back ? !this.#isToUndo(at) && state !== "undoing" : state === "healthy";
    });
  }

  #isToUndo(at: number): boolean {
    return isInForce({ ...this.rollout.steps[at]!, state: this.#stateOf(at) });
  }

  /** Does what can be done for a batch now. Returns why the roll-out must stop; undefined if it need not. */
  #advance(batch: Batch): string | undefined {
    for (const at of batch.steps) {
      if (this.#stateOf(at) !== (this.#back ? "undoing" : "changing")) continue;
      const verdict = this.#verdict(this.rollout.steps[at]!.unit);
      if (verdict.kind === "healthy") this.states.set(at, this.#back ? "undone" : "healthy");
      if (verdict.kind === "failed") {
        if (!this.#back) this.states.set(at, "failed");
        return verdict.why;
      }
    }
    const left = batch.steps.filter((at) =>
      this.#back ? this.#isToUndo(at) : ["pending", "staging"].includes(this.#stateOf(at))
    );
    if (left.length === 0) return undefined;
    const guard = this.#guard(batch);
    if (guard.kind === "failed") return guard.why;
    if (guard.kind === "waiting") return undefined;
    for (const at of left.slice(0, maxUnitChanges - this.units.length)) {
      const problem = this.#isStaged(at) ? this.#stage(at) : this.#change(at);
      if (problem !== undefined) return problem;
    }
    return undefined;
  }

  /** True if the unit of a step is changed, or changed back, from machine to machine. */
  #isStaged(at: number): boolean {
    const { unit: name, before, after } = this.rollout.steps[at]!;
    const unit = this.look.cluster.units.get(name);
    const spec = this.#back ? before : after;
    if (!unit || !spec || !isActiveGlobal(unit) || unit.desiredState !== spec.desiredState) return false;
    if (spec.hash === unit.hash) return unit.next !== undefined;
    return this.#fileOf(name, spec.hash, unit)?.requirements.global === true;
  }

  #fileOf(name: UnitName, hash: string, own: Unit): WantedFile | undefined {
    if (own.hash === hash) return own;
    const file = this.look.cluster.files.get(hash);
    if (!file) return undefined;
    const fleetOptions = fleetOptionsOf(name, optionsOf(file.text));
    return { hash, fleetOptions, requirements: parseRequirements(name, fleetOptions) };
  }

  /** Brings a global unit one stage further, or back. Returns why the roll-out must stop. */
  #stage(at: number): string | undefined {
    const step = this.rollout.steps[at]!;
    const { cluster, isRejoining } = this.look;
    const unit = cluster.units.get(step.unit)!;
    const { hash } = (this.#back ? step.before : step.after)!;
    const { requirements, fleetOptions } = this.#fileOf(step.unit, hash, unit)!;
    const maxParallel = this.rollout.maxParallel ?? rolloutOptionsOf(fleetOptions).maxParallel;
    const awaited = new Set<MachineId>();
    const judge = (version: Unit, machine: MachineId, isReported: boolean) => {
      awaited.add(machine);
      return this.observation.judge(version, this.look, machine, isReported);
    };
    const stage = nextStage({ cluster, isRejoining, isFirst: step.state === "pending", unit, maxParallel, judge }, {
      hash,
      fleetOptions,
      requirements,
    });
    this.observation.keepOnly(step.unit, awaited);
    switch (stage.kind) {
      case "failed":
        if (!this.#back) this.states.set(at, "failed");
        return stage.why;
      case "waiting":
        this.wait_ms = Math.min(this.wait_ms, stage.left_ms);
        return undefined;
      case "complete":
        return this.#change(at, null);
      case "machines": {
        const problem = this.#change(at, stage.next);
        this.states.set(at, this.#back ? "unstaging" : "staging");
        return problem;
      }
    }
  }

  /** Judges a unit that was changed. */
  #verdict(name: UnitName): Verdict {
    const unit = this.look.cluster.units.get(name);
    if (!unit) return { kind: "healthy" };
    const verdict = this.observation.judge(unit, this.look);
    if (verdict.kind === "waiting") this.wait_ms = Math.min(this.wait_ms, verdict.left_ms);
    return verdict;
  }

  /** Judges whether a batch may stop units now: those that stay up must be healthy. */
  #guard({ kind, group, steps }: Batch): Verdict {
    if (kind === "replace") {
      // MaxParallel= is one limit of drains and roll-outs. A drain ends by itself, so that no deadline is needed.
      const others = [...this.look.arriving].filter((unit) =>
        groupOf(unit) === group && !steps.some((at) => this.rollout.steps[at]!.unit === unit) &&
        !this.#isHealthyNow(unit)
      );
      if (others.length > 0) return { kind: "waiting", left_ms: Infinity };
      // On the way back, other units are not kept from what ran before.
      return this.#stillHealthy(({ unit }) => !this.#back || groupOf(unit) === group);
    }
    if (kind === "start" || this.#back) return { kind: "healthy" };
    const verdict = this.#stillHealthy(() => true);
    if (verdict.kind !== "healthy") return verdict;
    const stopped = new Set(steps.map((at) => this.rollout.steps[at]!.unit));
    const staying = [...this.look.cluster.units.values()].filter((unit) =>
      groupOf(unit.name) === group && !stopped.has(unit.name) && isActive(unit) && unit.desiredState === "launched"
    );
    if (staying.length === 0 || staying.some(({ name }) => this.#isHealthyNow(name))) return { kind: "healthy" };
    const verdicts = staying.map(({ name }) => this.#verdict(name));
    const [first, ...more] = verdicts.flatMap((each) => each.kind === "failed" ? each.why : []);
    if (first === undefined || more.length + 1 < staying.length) return { kind: "waiting", left_ms: 0 };
    return { kind: "failed", why: `no instance of ${group} that stays is healthy: ${first}` };
  }

  /** Judges the units that were healthy when they were changed: they may have failed since. */
  #stillHealthy(concerns: (step: RolloutStep) => boolean): Verdict {
    const done = this.#back ? "undone" : "healthy";
    const changed = this.rollout.steps.filter((step) => step.state === done && !isUnchanged(step) && concerns(step));
    for (const { unit } of changed) if (this.#isHealthyNow(unit)) this.observation.isUp(unit);
    const verdicts = changed.map(({ unit }) => this.#isHealthyNow(unit) ? undefined : this.#verdict(unit))
      .filter((verdict) => verdict !== undefined);
    return verdicts.find(({ kind }) => kind === "failed") ?? verdicts.find(({ kind }) => kind === "waiting") ??
      { kind: "healthy" };
  }

  #isHealthyNow(name: UnitName): boolean {
    const unit = this.look.cluster.units.get(name);
    return unit === undefined || healthOf(this.look.cluster, unit).kind === "healthy";
  }

  /**
   * Changes the unit of a step, or changes it back. Returns why that is impossible. `next`: the file of some machines, while
   * the unit itself keeps its own; null: none.
   */
  #change(at: number, next?: NextVersion | null): string | undefined {
    const step = this.rollout.steps[at]!;
    const change = this.#changeOf(step, next);
    if (typeof change === "string") return change;
    this.units.push(change);
    this.#written.add(at);
    // A unit that runs nowhere, or only gets an owner, need not become healthy.
    const isAwaited = change.kind === "put" && !isUnchanged(step) && change.desiredState !== "inactive" &&
      !isTemplate(step.unit);
    this.states.set(at, this.#back ? (isAwaited ? "undoing" : "undone") : isAwaited ? "changing" : "healthy");
    return undefined;
  }

  #changeOf({ unit: name, before, after }: RolloutStep, next: NextVersion | null | undefined): UnitChange | string {
    const { cluster } = this.look;
    const spec = this.#back ? before : after;
    const was = recordOf(cluster, name);
    if (!spec) return { kind: "delete", was };
    const { desiredState, hash } = spec;
    const { app, changed } = this.rollout;
    const what = this.#back ? "rollback" : this.rollout.what;
    const author = changed && { changed: { ...changed, what, at_ms: this.look.wall_ms } };
    // A change of all machines leaves none with another file, such as an aborted roll-out has given to some.
    const staged = next ?? (was.unit?.next ? null : undefined);
    const change = {
      kind: "put",
      was,
      desiredState,
      app,
      ...author,
      ...staged !== undefined && { next: staged },
    } as const;
    if (next || was.unit?.hash === hash) return change;
    const file = cluster.files.get(hash);
    if (!file) return `the file of unit ${name} is not in the store: apply again`;
    const fleetOptions = fleetOptionsOf(name, optionsOf(file.text));
    return { ...change, file: { hash, revision: file.revision, fleetOptions } };
  }
}

function recordOf({ units, targets }: Cluster, name: UnitName): UnitRecord {
  const unit = units.get(name);
  const target = targets.get(name);
  return { name, ...unit && { unit }, ...target && { target } };
}
