/**
 * Carries out an agent's steps. Each command is remembered before it is given (see intent.ts).
 *
 * @module
 */

import type { Clock } from "../../registry/clock.ts";
import type { Log } from "../../registry/log.ts";
import type { Revision, UnitName } from "../../registry/model.ts";
import type { Job, JobResult, Systemd, UnitStatus } from "../../systemd/mod.ts";
import type { Wanted } from "./desired.ts";
import { type Intent, type IntentMemory, isUp } from "./intent.ts";
import type { Current, Step } from "./plan.ts";
import type { Troubles } from "./troubles.ts";

/** What the agent knew when it decided on its steps. */
export interface Situation {
  readonly wanted: ReadonlyMap<UnitName, Wanted>;
  readonly current: ReadonlyMap<UnitName, Current>;
  /** Unit files by hash. */
  readonly texts: ReadonlyMap<string, string>;
}

/** What {@link Hands} works with. */
export interface HandsOptions {
  readonly systemd: Systemd;
  readonly memory: IntentMemory;
  readonly troubles: Troubles;
  readonly clock: Clock;
  readonly log: Log;
  /** Called when something that was under way has ended. */
  readonly ended: () => void;
}

type Of<Kind extends Step["kind"]> = Extract<Step, { kind: Kind }>;

/** The part of an agent that has effects on the machine. */
export class Hands {
  /** Hash by unit, of the files in fleet's directory. */
  readonly files: Map<UnitName, string>;
  readonly intents: Map<UnitName, Intent>;
  /** Units with a stop under way, which nothing else may be done to. */
  readonly busy = new Set<UnitName>();
  readonly #options: HandsOptions;
  #stopped = new Map<UnitName, JobResult>();

  constructor(options: HandsOptions, files: Map<UnitName, string>, intents: Map<UnitName, Intent>) {
    this.#options = options;
    this.files = files;
    this.intents = intents;
  }

  /** Stops go out first; then all files change, with at most one reload; then all starts go out together. */
  async carryOut(steps: readonly Step[], situation: Situation): Promise<void> {
    const { log } = this.#options;
    for (const step of steps) log("info", `${step.kind}: ${step.why}`, { unit: step.unit });
    await Promise.all(only(steps, "stop").map((step) => this.#stop(step, situation)));
    const removed = only(steps, "remove");
    if (removed.length > 0) await this.#remove(removed, situation);
    const installs = only(steps, "install");
    if (installs.length > 0) await this.#install(installs, situation);
    if (removed.length + installs.length > 0) await this.#options.systemd.reloadIfNeeded();
    const starts = [...only(steps, "start"), ...only(steps, "restart")];
    await Promise.all(
      starts.filter((step) => this.files.has(step.unit)).map((step) => this.#start(step, situation)),
    );
  }

  async #stop({ unit }: Of<"stop">, situation: Situation): Promise<void> {
    const { systemd, ended } = this.#options;
    const current = situation.current.get(unit);
    const intent = this.#intent("stop", current?.status, current?.restart ?? 0);
    const job = await this.#command(unit, intent, situation, () => systemd.stop(unit));
    if (!job) return;
    this.busy.add(unit);
    job.done.then((result) => {
      this.#stopped.set(unit, result);
      this.busy.delete(unit);
      ended();
    });
  }

  /** Units whose stop job has ended since the last call, with its result: to be taken before systemd is looked at. */
  takeStopped(): ReadonlyMap<UnitName, JobResult> {
    const stopped = this.#stopped;
    this.#stopped = new Map();
    return stopped;
  }

  /** Notes stops that did not stop: each would be given again at once, and again. */
  judgeStops(
    stopped: ReadonlyMap<UnitName, JobResult>,
    wanted: ReadonlyMap<UnitName, Wanted>,
    current: ReadonlyMap<UnitName, Current>,
  ): void {
    const { troubles, clock } = this.#options;
    for (const [unit, result] of stopped) {
      const status = current.get(unit)?.status;
      if (status && isUp(status) && status.active !== "deactivating") {
        const why = `it is ${status.active} (${status.sub}) after a stop job that ended with "${result}"`;
        troubles.failed(unit, wanted.get(unit), why, clock.monotonic_ms());
      } else troubles.over(unit);
    }
  }

  async #remove(steps: readonly Of<"remove">[], situation: Situation): Promise<void> {
    const { systemd, memory, troubles } = this.#options;
    const names = new Set(steps.map((step) => step.unit));
    const failures = await systemd.uninstall(names);
    for (const unit of names) {
      const failure = failures.get(unit);
      if (failure) {
        this.#failed(unit, situation, failure);
        continue;
      }
      await memory.forget(unit);
      this.files.delete(unit);
      this.intents.delete(unit);
      troubles.over(unit);
    }
  }

  async #install(steps: readonly Of<"install">[], situation: Situation): Promise<void> {
    const { systemd, troubles } = this.#options;
    const texts = new Map<UnitName, string>();
    for (const { unit, hash } of steps) {
      const text = situation.texts.get(hash);
      // One whose old file could not be removed is not written over.
      if (text !== undefined && !this.files.has(unit)) texts.set(unit, text);
      if (text === undefined) this.#failed(unit, situation, new Error(`the store has no unit file ${hash}`));
    }
    // Remembered first: a file without a memory would be taken for one that somebody else has started.
    await Promise.all([...texts.keys()].map((unit) => {
      return this.#remember(unit, { ...this.#intent("load", undefined, 0), done: true });
    }));
    const failures = await systemd.install(texts);
    for (const { unit, hash } of steps) {
      if (!texts.has(unit)) continue;
      const failure = failures.get(unit);
      if (failure) this.#failed(unit, situation, failure);
      else {
        this.files.set(unit, hash);
        troubles.over(unit);
      }
    }
  }

  async #start({ kind, unit, restart }: Of<"start" | "restart">, situation: Situation): Promise<void> {
    const { systemd, troubles, ended } = this.#options;
    const intent = this.#intent(kind, situation.current.get(unit)?.status, restart);
    const job = await this.#command(unit, intent, situation, () => systemd[kind](unit));
    if (!job) return;
    troubles.over(unit);
    const finish = async () => {
      const error = jobError(kind, await job.done);
      if (error !== undefined) troubles.noted(unit, situation.wanted.get(unit), error);
    };
    finish().finally(ended);
  }

  /** Remembers, commands, confirms. Undefined if systemd refused: that is noted, and tried again later. */
  async #command(
    unit: UnitName,
    intent: Intent,
    situation: Situation,
    call: () => Promise<Job>,
  ): Promise<Job | undefined> {
    const before = this.intents.get(unit);
    try {
      await this.#remember(unit, intent);
      const job = await call();
      await this.#remember(unit, { ...intent, done: true });
      return job;
    } catch (error) {
      if (before) await this.#remember(unit, before);
      this.#failed(unit, situation, error as Error);
      return undefined;
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
    const { troubles, clock, log } = this.#options;
    troubles.failed(unit, situation.wanted.get(unit), error.message, clock.monotonic_ms());
    log("error", error.message, { unit });
  }
}

/** What a start's job result means to a person; undefined if all is well, or nothing can be said. */
function jobError(kind: "start" | "restart", result: JobResult): string | undefined {
  switch (result) {
    case "done":
    case "canceled":
    case "unknown":
    case "collected":
      return undefined;
    case "dependency":
      return `systemd's ${kind} job failed: a unit it depends on failed`;
    case "skipped":
      return `systemd skipped the ${kind} job: a condition was not met`;
    default:
      return `systemd's ${kind} job ended with "${result}"`;
  }
}

function only<Kind extends Step["kind"]>(steps: readonly Step[], kind: Kind): Of<Kind>[] {
  return steps.filter((step): step is Of<Kind> => step.kind === kind);
}
