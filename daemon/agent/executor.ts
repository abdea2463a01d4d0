/**
 * Carries out an agent's steps. Each command is remembered before it is given (see intent.ts).
 *
 * @module
 */

import type { Clock } from "../../runtime/clock.ts";
import type { Log } from "../../runtime/log.ts";
import type { Revision, UnitName } from "../../registry/model.ts";
import { isPermanent, type Job, type JobResult, type Systemd, type UnitStatus } from "../../systemd/port.ts";
import { type Bindings, bindingsOf, boundTo, startedAgainAfter, waitingForOthers } from "./bindings.ts";
import type { Wanted } from "./desired.ts";
import { adopted, type Commanded, commanded, type Intent, type IntentMemory, isUp } from "./command.ts";
import { jobError, startsAgain, withdrawn } from "./job_results.ts";
import { type Ordering, orderingOf, startOrder } from "./start_order.ts";
import type { Current, Step } from "./plan.ts";
import type { FailureTracker } from "./failures.ts";

/** What the agent knew when it decided on its steps. */
export interface Situation {
  readonly wanted: ReadonlyMap<UnitName, Wanted>;
  readonly current: ReadonlyMap<UnitName, Current>;
  /** Unit files by hash. */
  readonly texts: ReadonlyMap<string, string>;
}

/** What {@link Executor} works with. */
export interface ExecutorOptions {
  readonly systemd: Systemd;
  readonly memory: IntentMemory;
  readonly tracker: FailureTracker;
  readonly clock: Clock;
  readonly log: Log;
  /** Called when something that was under way has ended. */
  readonly ended: () => void;
}

/** One command to systemd. */
interface Command {
  readonly unit: UnitName;
  readonly intent: Intent;
  readonly give: () => Promise<Job>;
  /** Called when systemd has accepted it and that is remembered. */
  readonly given: (job: Job) => void;
}

type Of<Kind extends Step["kind"]> = Extract<Step, { kind: Kind }>;

/** The part of an agent that has effects on the machine. */
export class Executor {
  /** Hash by unit, of the files in fleet's directory. */
  readonly files: Map<UnitName, string>;
  readonly intents: Map<UnitName, Intent>;
  /** Units with a stop under way, which nothing else may be done to. */
  readonly busy = new Set<UnitName>();
  /** Units that systemd is restarting, with the restart that was carried out before. */
  readonly restarting = new Map<UnitName, Revision>();
  /** What systemd made of the latest start of each unit, but for starts that somebody has taken back. */
  readonly ended = new Map<UnitName, JobResult>();
  readonly #options: ExecutorOptions;
  readonly #orderings: Map<UnitName, Ordering>;
  readonly #bindings: Map<UnitName, Bindings>;
  #stopped = new Map<UnitName, JobResult>();

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
    this.#orderings = new Map([...texts].map(([unit, text]) => [unit, orderingOf(unit, text)]));
    this.#bindings = new Map([...texts].map(([unit, text]) => [unit, bindingsOf(unit, text)]));
  }

  /** Units that systemd has stopped together with another one, and that are not to be started yet, with the reason. */
  waitingForOthers(situation: Pick<Situation, "wanted" | "current">): ReadonlyMap<UnitName, string> {
    return waitingForOthers({ ...situation, intents: this.intents }, (unit) => this.ended.get(unit) === "done");
  }

  /**
   * All files change first, with at most one reload; then all stops go out, then all starts, in an order in which systemd
   * can heed what units say of each other. What one unit's failure needs is only that unit's to wait for.
   */
  async carryOut(steps: readonly Step[], situation: Situation): Promise<void> {
    const { log } = this.#options;
    for (const step of steps) log("info", `${step.kind}: ${step.why}`, { unit: step.unit });
    const removed = only(steps, "remove");
    if (removed.length > 0) await this.#remove(removed, situation);
    const installs = only(steps, "install");
    if (installs.length > 0) await this.#install(installs, situation);
    // Of whom the right file is in place by now.
    const starts = [...only(steps, "start"), ...only(steps, "restart")]
      .filter(({ unit }) => this.files.get(unit) === situation.wanted.get(unit)?.hash);
    // Also for starts alone: a reload may have failed when their files changed.
    const due = removed.length + installs.length + starts.length > 0;
    const [reload] = await Promise.allSettled([due ? this.#options.systemd.reloadIfNeeded() : false]);
    await this.#command(
      this.#inOrder(only(steps, "stop")).reverse().map((step) => this.#stop(step, situation)),
      situation,
    );
    // A unit must not be started from a file that systemd has not read.
    if (reload.status === "rejected") throw reload.reason;
    await this.#command(this.#inOrder(starts).map((step) => this.#start(step, situation)), situation);
  }

  #inOrder<Kind extends Step>(steps: readonly Kind[]): Kind[] {
    const byName = new Map(steps.map((step) => [step.unit, step]));
    return startOrder(byName.keys(), this.#orderings).map((name) => byName.get(name)!);
  }

  #stop({ unit, restart }: Of<"stop">, situation: Situation): Command {
    const { systemd, ended } = this.#options;
    const current = situation.current.get(unit);
    return {
      unit,
      intent: this.#intent("stop", current?.status, restart ?? current?.restart ?? 0),
      give: () => this.#anew(unit, systemd.stop(unit)),
      given: (job) => {
        this.busy.add(unit);
        this.#noteBound(unit, "stop", situation);
        job.done.then((result) => {
          this.#stopped.set(unit, result);
          this.busy.delete(unit);
          ended();
        });
      },
    };
  }

  /**
   * What has been commanded of a unit on disk. One that runs and that nobody remembers is adopted, with the restart that is
   * asked for now; while that cannot be remembered, it is the unit's trouble.
   */
  async commanded(unit: UnitName, status: UnitStatus, wanted: Wanted | undefined): Promise<Commanded> {
    const known = this.intents.get(unit);
    const adoption = known ? undefined : adopted(status, wanted?.restart ?? 0);
    if (!adoption) return commanded(known, status);
    const { tracker, clock, log } = this.#options;
    try {
      await this.#remember(unit, adoption);
      tracker.over(unit);
    } catch (error) {
      tracker.failed(unit, wanted, (error as Error).message, clock.monotonic_ms());
      log("error", (error as Error).message, { unit });
    }
    return commanded(adoption, status);
  }

  /** Units whose stop job has ended since the last call, with its result: to be taken before systemd is looked at. */
  takeStopped(): ReadonlyMap<UnitName, JobResult> {
    const stopped = this.#stopped;
    this.#stopped = new Map();
    return stopped;
  }

  /**
   * Notes stops that did not stop: each would be given again at once, and again. A unit that somebody else has started
   * since, as a socket does, is none of them.
   */
  async recordFailedStops(
    stopped: ReadonlyMap<UnitName, JobResult>,
    wanted: ReadonlyMap<UnitName, Wanted>,
    statuses: ReadonlyMap<UnitName, UnitStatus>,
  ): Promise<void> {
    const { tracker, clock } = this.#options;
    for (const [unit, result] of stopped) {
      const status = statuses.get(unit);
      const desired = wanted.get(unit);
      const isLeft = status && isUp(status) && status.active !== "deactivating";
      if (!isLeft || result === "done" && desired?.hash === this.files.get(unit)) {
        tracker.over(unit);
        continue;
      }
      const why = `it is ${status.active} (${status.sub}) after a stop job that ended with "${result}"`;
      tracker.failed(unit, desired, why, clock.monotonic_ms());
      // As if it had not been stopped yet, or nobody would stop it who is to be loaded only.
      if (result !== "done") await this.#takeAs("start", unit, status, desired);
    }
  }

  /** Remembers the units to which systemd carries a command over, so that they are started again. */
  #noteBound(unit: UnitName, kind: "stop" | "restart", situation: Situation): void {
    const known = { ...situation, bindings: this.#bindings, intents: this.intents };
    const { along, down } = startedAgainAfter(unit, kind === "restart", known);
    for (const name of [...along, ...down]) {
      const did = down.includes(name) ? "load" : this.intents.get(name)!.did === "restart" ? "restart" : "start";
      this.#takeAlong(name, unit, did, situation);
    }
  }

  /** A restart has failed: the units that cannot be without this one are down as well. */
  #noteUnrestarted(unit: UnitName, situation: Situation): void {
    for (const name of boundTo(unit, this.#bindings, "requires")) {
      if (this.intents.get(name)?.along === unit) this.#takeAlong(name, unit, "load", situation);
    }
  }

  #takeAlong(name: UnitName, along: UnitName, did: "load" | "start" | "restart", situation: Situation): void {
    const restart = this.intents.get(name)?.restart ?? 0;
    void this.#takeAs(did, name, situation.current.get(name)?.status, situation.wanted.get(name), restart, along);
  }

  /** Remembers that a command is in force that is not the one given last. Known at once, before it is written. */
  async #takeAs(
    did: "load" | "start" | "restart",
    unit: UnitName,
    status: UnitStatus | undefined,
    wanted: Wanted | undefined,
    restart = this.intents.get(unit)?.restart ?? 0,
    along?: UnitName,
  ): Promise<void> {
    const intent = { ...this.#intent(did, status, restart), done: true, ...(along !== undefined && { along }) };
    this.intents.set(unit, intent);
    try {
      await this.#remember(unit, intent);
    } catch (error) {
      const { message } = error as Error;
      this.#options.tracker.failed(unit, wanted, message, this.#options.clock.monotonic_ms());
      this.#options.log("error", message, { unit });
    }
  }

  async #remove(steps: readonly Of<"remove">[], situation: Situation): Promise<void> {
    const { systemd, memory, tracker } = this.#options;
    const names = new Set(steps.map((step) => step.unit));
    const failures = await systemd.uninstall(names);
    for (const unit of names) {
      const failure = failures.get(unit);
      if (failure) {
        this.#failed(unit, situation, failure);
        continue;
      }
      this.files.delete(unit);
      this.#orderings.delete(unit);
      this.#bindings.delete(unit);
      this.ended.delete(unit);
      try {
        await memory.forget(unit);
        this.intents.delete(unit);
        tracker.over(unit);
      } catch (error) {
        this.#failed(unit, situation, error as Error);
      }
    }
  }

  async #install(steps: readonly Of<"install">[], situation: Situation): Promise<void> {
    const { systemd, tracker } = this.#options;
    const texts = new Map<UnitName, string>();
    for (const { unit, hash } of steps) {
      const text = situation.texts.get(hash);
      // One whose old file could not be removed is not written over.
      if (text !== undefined && !this.files.has(unit)) texts.set(unit, text);
      if (text === undefined) this.#failed(unit, situation, new Error(`the store has no unit file ${hash}`));
    }
    // Remembered first: a file without a memory would be taken for one that somebody else has started.
    await Promise.all([...texts.keys()].map(async (unit) => {
      const desired = situation.wanted.get(unit);
      try {
        // What is only loaded has nothing to stop.
        const restart = desired?.desiredState === "loaded" ? desired.restart : 0;
        await this.#remember(unit, { ...this.#intent("load", undefined, restart), done: true });
      } catch (error) {
        texts.delete(unit);
        this.#failed(unit, situation, error as Error);
      }
    }));
    const failures = await systemd.install(texts);
    for (const { unit, hash } of steps) {
      if (!texts.has(unit)) continue;
      const failure = failures.get(unit);
      if (failure) this.#failed(unit, situation, failure);
      else {
        this.files.set(unit, hash);
        this.#orderings.set(unit, orderingOf(unit, texts.get(unit)!));
        this.#bindings.set(unit, bindingsOf(unit, texts.get(unit)!));
        tracker.over(unit);
      }
    }
  }

  #start(step: Of<"start" | "restart">, situation: Situation): Command {
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
      give: () => this.#anew(unit, systemd[kind](unit)),
      given: (job) => {
        if (startsAgain(unit)) tracker.over(unit);
        if (isAsked) this.restarting.set(unit, situation.current.get(unit)?.restart ?? 0);
        if (kind === "restart") this.#noteBound(unit, "restart", situation);
        job.done.then((result) => {
          this.restarting.delete(unit);
          if (!withdrawn.includes(result)) this.ended.set(unit, result);
          if (kind === "restart" && result !== "done") this.#noteUnrestarted(unit, situation);
          return this.#started(unit, jobError(kind, result), restart, situation);
        }).finally(ended);
      },
    };
  }

  /** With a new job, what the one before has come to counts no more. */
  #anew(unit: UnitName, job: Promise<Job>): Promise<Job> {
    this.ended.delete(unit);
    return job;
  }

  /** A start has come to its end. */
  async #started(unit: UnitName, error: string | undefined, restart: Revision, situation: Situation): Promise<void> {
    const { tracker, clock } = this.#options;
    if (error === undefined) return startsAgain(unit) ? undefined : tracker.over(unit);
    const wanted = situation.wanted.get(unit);
    if (startsAgain(unit)) return tracker.noted(unit, wanted, error);
    tracker.failed(unit, wanted, error, clock.monotonic_ms());
    if (!this.files.has(unit)) return;
    // As if it had not been started yet, since nobody else would start it again.
    await this.#takeAs("load", unit, undefined, wanted, restart);
  }

  /**
   * Remembers each command, gives it and confirms it: each on its own, but given in this order. One that cannot be
   * remembered is not given; one that systemd refuses is noted, and tried again later.
   */
  async #command(commands: readonly Command[], situation: Situation): Promise<void> {
    let latest: Promise<unknown> = Promise.resolve();
    await Promise.all(commands.map((command) => {
      const before = this.intents.get(command.unit);
      const remembered = this.#remember(command.unit, command.intent).then(() => undefined, (error: Error) => error);
      const turn = latest.then(() => remembered);
      latest = turn;
      return turn.then((error) => {
        return error ? this.#failed(command.unit, situation, error) : this.#give(command, before, situation);
      });
    }));
  }

  async #give({ unit, intent, give, given }: Command, before: Intent | undefined, situation: Situation): Promise<void> {
    let refused = true;
    try {
      const job = await give();
      refused = false;
      await this.#remember(unit, { ...intent, done: true });
      given(job);
    } catch (error) {
      this.#failed(unit, situation, error as Error);
      if (refused && before) await this.#remember(unit, before);
    }
  }

  #intent(did: Intent["did"], status: UnitStatus | undefined, restart: Revision): Intent {
    return { did, done: false, invocation: status?.invocation ?? "", restart };
  }

  async #remember(unit: UnitName, intent: Intent): Promise<void> {
    await this.#options.memory.save(unit, intent);
    this.intents.set(unit, intent);
  }

  #failed(unit: UnitName, situation: Situation, error: Error): void {
    const { tracker, clock, log } = this.#options;
    tracker.failed(unit, situation.wanted.get(unit), error.message, clock.monotonic_ms(), isPermanent(error));
    log("error", error.message, { unit });
  }
}

function only<Kind extends Step["kind"]>(steps: readonly Step[], kind: Kind): Of<Kind>[] {
  return steps.filter((step): step is Of<Kind> => step.kind === kind);
}
