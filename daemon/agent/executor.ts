/**
 * Carries out the agent's steps. Each command is recorded before it is sent to systemd (see intent.ts).
 *
 * @module
 */

import type { Clock } from "../../runtime/clock.ts";
import { type Log, messageOf } from "../../runtime/log.ts";
import type { Revision, UnitName } from "../../registry/model.ts";
import { isPermanent, type Job, type JobResult, type Systemd, type UnitStatus } from "../../systemd/port.ts";
import { FinishedStarts } from "./finished_starts.ts";
import { startedAgainAfter, waitingForOthers } from "./bindings.ts";
import { type DesiredUnit, disconnectionLimits } from "./desired.ts";
import { adopted, type Bond, type Commanded, commanded, type Intent, type IntentMemory, isUp } from "./intent.ts";
import { isLeftToSystemd, jobError, startsAgain, withdrawn } from "./job_results.ts";
import { boundTo, readRelations, type Relations } from "../policy/relations.ts";
import { startOrder } from "./start_order.ts";
import { type Current, type StartStep, type Step, type StepOf, stepsOf } from "./plan.ts";
import type { FailureTracker } from "./failures.ts";

/** The desired and the current state from which the agent has planned its steps. */
export interface Situation {
  readonly wanted: ReadonlyMap<UnitName, DesiredUnit>;
  readonly current: ReadonlyMap<UnitName, Current>;
  /** Unit files by hash. */
  readonly texts: ReadonlyMap<string, string>;
}

/** Dependencies of {@link Executor}. */
export interface ExecutorOptions {
  readonly systemd: Systemd;
  readonly memory: IntentMemory;
  readonly tracker: FailureTracker;
  readonly clock: Clock;
  readonly log: Log;
  /** Called when a job has ended. */
  readonly ended: () => void;
}

/** One command to systemd. */
interface Command {
  readonly unit: UnitName;
  readonly intent: Intent;
  readonly give: () => Promise<Job>;
  /** Called when systemd has accepted the command, and the acceptance is recorded. */
  readonly given: (job: Job) => void;
}

/** Applies steps to the machine. */
export class Executor {
  /** Hash by unit, of the files in fleet's directory. */
  readonly files: Map<UnitName, string>;
  readonly intents: Map<UnitName, Intent>;
  /** Units with a stop job, which must end before any other step. */
  readonly busy = new Set<UnitName>();
  /** Units that systemd is restarting, with the revision of the restart request that was carried out last. */
  readonly restarting = new Map<UnitName, Revision>();
  /** Result of the latest start job of each unit, except jobs that were canceled. */
  readonly ended = new Map<UnitName, JobResult>();
  /** StopWhenDisconnected= by unit, of the files in fleet's directory, milliseconds. */
  readonly limits_ms: Map<UnitName, number>;
  /** The relations of the files in fleet's directory. */
  relations: ReadonlyMap<UnitName, Relations>;
  readonly #options: ExecutorOptions;
  /** The files in fleet's directory, by unit. */
  readonly #texts: Map<UnitName, string>;
  #stopped = new Map<UnitName, JobResult>();
  readonly #finished = new FinishedStarts();

  /** `texts`: every file of fleet's directory, by unit name. */
  constructor(
    options: ExecutorOptions,
    texts: ReadonlyMap<UnitName, string>,
    files: Map<UnitName, string>,
    intents: Map<UnitName, Intent>,
  ) {
    this.#options = options;
    this.files = files;
    this.intents = intents;
    this.#texts = new Map(texts);
    this.relations = readRelations(texts);
    this.limits_ms = disconnectionLimits(texts);
    for (const [unit, { finished }] of intents) if (finished) this.ended.set(unit, "done");
  }

  /** Records the start jobs that have ended. Called between rounds, while no command is on its way. */
  recordFinished(): Promise<void> {
    return this.#finished.record(this.intents, (unit, intent) => this.#save(unit, intent))
      .catch((error) => this.#options.log("warn", messageOf(error)));
  }

  /** Returns the units that must not be started yet because systemd has stopped them with another one, with the reason. */
  waitingForOthers(situation: Pick<Situation, "wanted" | "current">): ReadonlyMap<UnitName, string> {
    return waitingForOthers({ ...situation, intents: this.intents }, (unit) => this.ended.get(unit) === "done");
  }

  /**
   * Carries out steps in three parts: changes all files and reloads systemd at most once, queues all stops, and queues all
   * starts, in an order that lets systemd honor the dependencies between units. A failure of one unit does not delay other
   * units.
   */
  async carryOut(steps: readonly Step[], situation: Situation): Promise<void> {
    const { log } = this.#options;
    for (const step of steps) log("info", `${step.kind}: ${step.why}`, { unit: step.unit });
    const removed = stepsOf(steps, "remove");
    if (removed.length > 0) await this.#remove(removed, situation);
    const installs = stepsOf(steps, "install");
    if (installs.length > 0) await this.#install(installs, situation);
    // Only units whose new file is in place.
    const starts = [...stepsOf(steps, "start"), ...stepsOf(steps, "restart")]
      .filter(({ unit }) => this.files.get(unit) === situation.wanted.get(unit)?.hash);
    // Reload before starts as well: an earlier reload, after a change of files, may have failed.
    const due = removed.length + installs.length + starts.length > 0;
    const [reload] = await Promise.allSettled([due ? this.#options.systemd.reloadIfNeeded() : false]);
    await this.#command(
      this.#inOrder(stepsOf(steps, "stop")).reverse().map((step) => this.#stop(step, situation)),
      situation,
    );
    // A unit must not be started from a file that systemd has not read.
    if (reload.status === "rejected") throw reload.reason;
    await this.#command(this.#inOrder(starts).map((step) => this.#start(step, situation)), situation);
  }

  #inOrder<Kind extends Step>(steps: readonly Kind[]): Kind[] {
    const byName = new Map(steps.map((step) => [step.unit, step]));
    return startOrder(byName.keys(), this.relations).map((name) => byName.get(name)!);
  }

  #stop({ unit, restart }: StepOf<"stop">, situation: Situation): Command {
    const { systemd, ended } = this.#options;
    const current = situation.current.get(unit);
    return {
      unit,
      intent: this.#intent("stop", current?.status, restart ?? current?.restart ?? 0),
      give: () => systemd.stop(unit),
      given: (job) => {
        this.busy.add(unit);
        this.#recordBound(unit, "stop", situation);
        job.done.then((result) => {
          this.#stopped.set(unit, result);
          this.busy.delete(unit);
          ended();
        });
      },
    };
  }

  /**
   * Returns the commanded state of a unit on disk. A unit that runs without a record is adopted: it counts as started and,
   * if a restart was requested, as restarted. If the adoption cannot be recorded, the unit has a failure.
   */
  async commanded(unit: UnitName, status: UnitStatus, wanted: DesiredUnit | undefined): Promise<Commanded> {
    const known = this.intents.get(unit);
    const adoption = known ? undefined : adopted(status, wanted?.restart ?? 0);
    if (!adoption) return commanded(known, status);
    try {
      await this.#save(unit, adoption);
      this.#options.tracker.succeeded(unit);
    } catch (error) {
      this.#failed(unit, wanted, error as Error);
    }
    return commanded(adoption, status);
  }

  /** Returns units whose stop job has ended since the last call, with its result. Call it before asking systemd for states. */
  takeStopped(): ReadonlyMap<UnitName, JobResult> {
    const stopped = this.#stopped;
    this.#stopped = new Map();
    return stopped;
  }

  /**
   * Records a failure for each unit that still runs after its stop job, so that the stop is repeated with backoff. A unit
   * that something else, such as a socket, has started since has no failure.
   */
  async recordFailedStops(
    stopped: ReadonlyMap<UnitName, JobResult>,
    wanted: ReadonlyMap<UnitName, DesiredUnit>,
    statuses: ReadonlyMap<UnitName, UnitStatus>,
  ): Promise<void> {
    const { tracker, clock } = this.#options;
    for (const [unit, result] of stopped) {
      const status = statuses.get(unit);
      const desired = wanted.get(unit);
      const isLeft = status && isUp(status) && status.active !== "deactivating";
      if (!isLeft || result === "done" && desired?.hash === this.files.get(unit)) {
        tracker.succeeded(unit);
        continue;
      }
      const why = `it is ${status.active} (${status.sub}) after a stop job that ended with "${result}"`;
      tracker.failed(unit, desired, why, clock);
      // Recorded as started although the command was a stop, so that the next plan stops it again.
      if (result !== "done") await this.#record("start", unit, status, desired);
    }
  }

  /**
   * Records that a unit is stopped for as long as the store cannot be reached: as if it had only been loaded, so that it is
   * started again. The same goes for the units that systemd stops along with it.
   */
  async recordDisconnected(unit: UnitName, status: UnitStatus, situation: Situation | undefined): Promise<void> {
    if (!this.files.has(unit)) return;
    if (situation) this.#recordBound(unit, "stop", situation);
    await this.#record("load", unit, status, situation?.wanted.get(unit));
  }

  /** Records the bound units that systemd stops or restarts along with a unit, so that they are started again. */
  #recordBound(unit: UnitName, kind: "stop" | "restart", situation: Situation): void {
    const known = { ...situation, relations: this.relations, intents: this.intents };
    const { along, down, resumes } = startedAgainAfter(unit, kind === "restart", known);
    for (const name of [...along, ...down]) {
      const did = down.includes(name) ? "load" : this.intents.get(name)!.did === "restart" ? "restart" : "start";
      this.#recordAlong(name, { along: unit, ...resumes && { resumes } }, did, situation);
    }
  }

  /** Records, after a failed restart, that the units which require this one are down as well. */
  #recordFailedRestart(unit: UnitName, situation: Situation): void {
    for (const name of boundTo(unit, this.relations, "requires")) {
      if (this.intents.get(name)?.along === unit) this.#recordAlong(name, { along: unit }, "load", situation);
    }
  }

  #recordAlong(name: UnitName, bond: Bond, did: "load" | "start" | "restart", situation: Situation): void {
    const restart = this.intents.get(name)?.restart ?? 0;
    void this.#record(did, name, situation.current.get(name)?.status, situation.wanted.get(name), restart, bond);
  }

  /** Replaces a unit's intent by that of a command that was not sent to systemd. It applies before it is stored. */
  async #record(
    did: "load" | "start" | "restart",
    unit: UnitName,
    status: UnitStatus | undefined,
    wanted: DesiredUnit | undefined,
    restart = this.intents.get(unit)?.restart ?? 0,
    bond: Bond = {},
  ): Promise<void> {
    const intent = { ...this.#intent(did, status, restart), done: true, ...bond };
    this.intents.set(unit, intent);
    try {
      await this.#save(unit, intent);
    } catch (error) {
      this.#failed(unit, wanted, error as Error);
    }
  }

  async #remove(steps: readonly StepOf<"remove">[], situation: Situation): Promise<void> {
    const { systemd, memory, tracker } = this.#options;
    const names = new Set(steps.map((step) => step.unit));
    const failures = await systemd.uninstall(names);
    for (const unit of names) {
      const failure = failures.get(unit);
      if (failure) {
        this.#failed(unit, situation.wanted.get(unit), failure);
        continue;
      }
      this.files.delete(unit);
      this.#texts.delete(unit);
      this.limits_ms.delete(unit);
      this.ended.delete(unit);
      try {
        await memory.forget(unit);
        this.intents.delete(unit);
        tracker.succeeded(unit);
      } catch (error) {
        this.#failed(unit, situation.wanted.get(unit), error as Error);
      }
    }
    this.relations = readRelations(this.#texts);
  }

  async #install(steps: readonly StepOf<"install">[], situation: Situation): Promise<void> {
    const { systemd, tracker } = this.#options;
    const texts = new Map<UnitName, string>();
    for (const { unit, hash } of steps) {
      const text = situation.texts.get(hash);
      // A unit whose old file could not be removed is not overwritten.
      if (text !== undefined && !this.files.has(unit)) texts.set(unit, text);
      if (text === undefined) {
        this.#failed(unit, situation.wanted.get(unit), new Error(`the store has no unit file ${hash}`));
      }
    }
    // Recorded first: without a record, a unit that runs would be adopted as started.
    await Promise.all([...texts.keys()].map(async (unit) => {
      const desired = situation.wanted.get(unit);
      try {
        // A loaded unit has no process that the request could restart, so the request counts as carried out.
        const restart = desired?.desiredState === "loaded" ? desired.restart : 0;
        await this.#save(unit, { ...this.#intent("load", undefined, restart), done: true });
      } catch (error) {
        texts.delete(unit);
        this.#failed(unit, situation.wanted.get(unit), error as Error);
      }
    }));
    const failures = await systemd.install(texts);
    for (const [unit, limit_ms] of disconnectionLimits(texts)) this.limits_ms.set(unit, limit_ms);
    for (const { unit, hash } of steps) {
      if (!texts.has(unit)) continue;
      const failure = failures.get(unit);
      if (failure) this.#failed(unit, situation.wanted.get(unit), failure);
      else {
        this.files.set(unit, hash);
        this.#texts.set(unit, texts.get(unit)!);
        tracker.succeeded(unit);
      }
    }
    this.relations = readRelations(this.#texts);
  }

  #start(step: StartStep, situation: Situation): Command {
    const { systemd, tracker, ended } = this.#options;
    const { kind, unit, restart } = step;
    const isAsked = step.kind === "restart" || step.isAsked;
    const along = this.intents.get(unit)?.along;
    return {
      unit,
      intent: {
        ...this.#intent(kind, situation.current.get(unit)?.status, restart),
        ...(kind === "start" && along !== undefined && { along }),
      },
      give: () => systemd[kind](unit),
      given: (job) => {
        if (startsAgain(unit)) tracker.succeeded(unit);
        if (isAsked) this.restarting.set(unit, situation.current.get(unit)?.restart ?? 0);
        if (kind === "restart") this.#recordBound(unit, "restart", situation);
        const accepted = this.intents.get(unit);
        job.done.then((result) => {
          this.restarting.delete(unit);
          if (!withdrawn.includes(result)) this.ended.set(unit, result);
          if (result === "done") this.#finished.note(unit, accepted);
          if (kind === "restart" && result !== "done") this.#recordFailedRestart(unit, situation);
          return this.#startEnded(step, result, situation);
        }).finally(ended);
      },
    };
  }

  /** Handles the end of a start job. */
  async #startEnded({ kind, unit, restart }: StartStep, result: JobResult, situation: Situation): Promise<void> {
    const { tracker, clock } = this.#options;
    const error = jobError(kind, result);
    if (error === undefined) return startsAgain(unit) ? undefined : tracker.succeeded(unit);
    const wanted = situation.wanted.get(unit);
    if (isLeftToSystemd(unit, result)) return tracker.startFailed(unit, wanted, error);
    tracker.failed(unit, wanted, error, clock);
    // Recorded as not started: systemd does not restart a unit whose start failed.
    if (this.files.has(unit)) await this.#record("load", unit, undefined, wanted, restart);
  }

  /**
   * Records each command, sends it to systemd, and records that systemd has accepted it, in the given order. No command
   * depends on another: one that cannot be recorded is not sent, and one that systemd refuses becomes a failure and is
   * repeated later.
   */
  async #command(commands: readonly Command[], situation: Situation): Promise<void> {
    let latest: Promise<unknown> = Promise.resolve();
    await Promise.all(commands.map((command) => {
      const before = this.intents.get(command.unit);
      const remembered = this.#save(command.unit, command.intent).then(() => undefined, (error: Error) => error);
      const turn = latest.then(() => remembered);
      latest = turn;
      return turn.then((error) => {
        return error
          ? this.#failed(command.unit, situation.wanted.get(command.unit), error)
          : this.#give(command, before, situation);
      });
    }));
  }

  async #give({ unit, intent, give, given }: Command, before: Intent | undefined, situation: Situation): Promise<void> {
    let refused = true;
    this.ended.delete(unit);
    try {
      const job = await give();
      refused = false;
      await this.#save(unit, { ...intent, done: true });
      given(job);
    } catch (error) {
      this.#failed(unit, situation.wanted.get(unit), error as Error);
      if (refused && before) await this.#save(unit, before);
    }
  }

  #intent(did: Intent["did"], status: UnitStatus | undefined, restart: Revision): Intent {
    return { did, done: false, invocation: status?.invocation ?? "", restart };
  }

  async #save(unit: UnitName, intent: Intent): Promise<void> {
    await this.#options.memory.save(unit, intent);
    this.intents.set(unit, intent);
  }

  #failed(unit: UnitName, wanted: DesiredUnit | undefined, error: Error): void {
    const { tracker, clock, log } = this.#options;
    tracker.failed(unit, wanted, error.message, clock, isPermanent(error));
    log("error", error.message, { unit });
  }
}
