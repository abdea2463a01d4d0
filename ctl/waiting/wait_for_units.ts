/**
 * Waits until units meet their conditions, all of them at the same time.
 *
 * @module
 */

import type { MachineEntity } from "../../daemon/api/v1/types.ts";
import { Notifier } from "../../runtime/notifier.ts";
import type { Flags } from "../cli/argv.ts";
import type { Context } from "../cli/command.ts";
import { hasWantedFile, type StateView, type UnitView, UnitWatcher } from "./unit_watcher.ts";
import { timeoutFlagName } from "../cli/global_flags.ts";
import type { WaitCondition, WaitStatus } from "./conditions.ts";
import { printLine } from "../terminal/port.ts";
import { machineLegend } from "../machines/format.ts";
import { StandstillNotices } from "./standstill.ts";
import { PendingReasons } from "./pending_reasons.ts";

/** A unit to wait for, and the stages that it must pass in order. */
export interface UnitWait {
  readonly name: string;
  readonly stages: readonly WaitStage[];
}

/** One stage of a wait. */
export interface WaitStage {
  readonly condition: WaitCondition;
  /** The condition in words, for example `report state launched`. */
  readonly goal: string;
  /** The line to print once the condition is met; `where` is ` on <machine>`, or "" for a unit without a machine. */
  readonly line?: (view: UnitView, where: string) => string;
}

/** A unit that did not meet its conditions. */
export interface WaitFailure {
  readonly name: string;
  readonly reason: string;
  /** ID of the machine on which systemd reports the failure; undefined if the failure is of another kind. */
  readonly machine?: string;
  /** True if the time for the wait is over. */
  readonly isTimeout?: true;
}

/** Duration of one attempt of `--block-attempts`. */
export const attempt_ms = 2000;

/** Time for which a refusal of systemd must stay the newest report before it counts: it may be older than the command. */
export const refusal_ms = 2000;

/** Longest time that a line waits for the address of its machine to be looked up. */
const addressLimit_ms = 2000;

/** Longest time that a unit's lines are held back so that lines come in the order of the units. */
const orderLimit_ms = 1000;

/**
 * Waits for every unit. Each stage may take `attempts` times {@link attempt_ms}, without a limit if `attempts` is 0.
 * Prints the lines of the stages, and returns the units that failed, in order. `begin` runs once the current state of
 * the units is known.
 */
export async function waitForUnits(
  context: Context,
  waits: readonly UnitWait[],
  attempts: number,
  begin: (watcher: UnitWatcher) => Promise<void> = () => Promise.resolve(),
): Promise<WaitFailure[]> {
  if (waits.length === 0) return [];
  const deadline_ms = deadlineOf(context);
  const names = waits.map((wait) => wait.name);
  const changes = new Notifier();
  const removeInterruptMessage = context.io.onInterrupt(
    `Stopped waiting for ${names.join(", ")}; the cluster continues with the request.`,
  );
  const watcher = new UnitWatcher(context.client, context.io, names, changes);
  try {
    const progress = waits.map((wait) => new Progress(context, watcher, wait, attempts, deadline_ms, changes));
    const limit_ms = Math.min(attempts > 0 ? attempts * attempt_ms : Infinity, deadline_ms - context.io.now_ms());
    await settledOrAfter(context, limit_ms, () => watcher.ready);
    await settledOrAfter(context, deadline_ms - context.io.now_ms(), () => begin(watcher));
    const lines = new OrderedLines(context, progress);
    const reasons = new PendingReasons(context, watcher, changes);
    const standstill = new StandstillNotices(context, watcher, reasons);
    for (;;) {
      const seen = changes.count;
      for (const unit of progress) unit.update();
      lines.print();
      context.io.progress(progressText(progress));
      const waiting = progress.filter((unit) => !unit.over);
      if (waiting.length === 0) break;
      reasons.report(waiting.map((unit) => unit.wait.name));
      standstill.report(waiting.map((unit) => ({ name: unit.wait.name, goal: unit.goal, error: unit.latestError })));
      const again_ms = Math.min(
        ...[lines.heldFor_ms, reasons.again_ms, standstill.again_ms],
        ...progress.map((unit) => unit.again_ms),
      );
      await settledOrAfter(context, again_ms, (signal) => changes.waitPast(seen, signal));
    }
    lines.printAll();
    reasons.close();
    return progress.flatMap(({ failure, wait: { name }, latestError }) => {
      // Fleet 1.0, which has --block-attempts only, gives no reason.
      const why = failure?.isTimeout && attempts === 0 ? standstill.reason(name, latestError) : "";
      return failure ? [{ ...failure, reason: failure.reason + why }] : [];
    });
  } finally {
    context.io.progress(undefined);
    removeInterruptMessage();
    await watcher.close();
  }
}

/** Deadline of each command, by its flags: a command that waits several times has one limit for all. */
const deadlines = new WeakMap<Flags, number>();

/** Returns the deadline of a wait that begins now; `Infinity` without `--timeout`. */
function deadlineOf({ flags, io }: Context): number {
  const limit_s = flags.given(timeoutFlagName) ? flags.number(timeoutFlagName) : 0;
  if (limit_s <= 0) return Infinity;
  const deadline_ms = deadlines.get(flags) ?? io.now_ms() + limit_s * 1000;
  deadlines.set(flags, deadline_ms);
  return deadline_ms;
}

/** Number of names that the progress line shows. */
const namesShown = 3;

function progressText(progress: readonly Progress[]): string | undefined {
  const waiting = progress.filter((unit) => !unit.over).map((unit) => unit.wait.name);
  if (waiting.length === 0) return undefined;
  const more = waiting.length > namesShown ? ` and ${waiting.length - namesShown} more` : "";
  return `${progress.length - waiting.length} of ${progress.length}; waiting for ` +
    waiting.slice(0, namesShown).join(", ") + more;
}

/** Settles with `work`, or resolves after `limit_ms`. The signal given to `work` aborts then. */
async function settledOrAfter(
  { io }: Context,
  limit_ms: number,
  work: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const over = new AbortController();
  try {
    await Promise.race([work(over.signal), io.sleep(limit_ms, over.signal)]);
  } finally {
    over.abort();
  }
}

/** The progress of one unit through its stages. */
class Progress {
  readonly lines: string[] = [];
  failure: WaitFailure | undefined;
  /** Time until the next {@link update}, milliseconds. */
  again_ms = Infinity;
  /** The latest error of an agent that cannot carry out its command. */
  latestError: string | undefined;
  #stage = 0;
  #stageBegan_ms: number;
  #lookup: MachineLookup | undefined;
  #refusal: { readonly reported: StateView; readonly since_ms: number } | undefined;
  readonly #printedErrors = new Set<string>();

  constructor(
    readonly context: Context,
    readonly watcher: UnitWatcher,
    readonly wait: UnitWait,
    readonly attempts: number,
    readonly deadline_ms: number,
    readonly changes: Notifier,
  ) {
    this.#stageBegan_ms = context.io.now_ms();
  }

  /** True once every stage is passed, or one has failed. */
  get over(): boolean {
    return this.failure !== undefined || this.#stage >= this.wait.stages.length;
  }

  /** The condition of the current stage, in words. */
  get goal(): string {
    return this.wait.stages[this.#stage]?.goal ?? "";
  }

  /** Checks the current stage, and those that follow as long as conditions are met. */
  update(): void {
    this.again_ms = Infinity;
    while (!this.over) {
      const now_ms = this.context.io.now_ms();
      const stage = this.wait.stages[this.#stage] as WaitStage;
      const view = this.watcher.view(this.wait.name);
      const status: WaitStatus = this.watcher.isReady
        ? stage.condition(this.wait.name, view, now_ms)
        : { verdict: "waiting" };
      if (status.verdict === "failed") {
        const { reason, machine } = status;
        this.failure = { name: this.wait.name, reason, ...(machine === undefined ? {} : { machine }) };
      } else if (status.verdict === "done") {
        const where = stage.line ? this.#where(view, now_ms) : "";
        if (where === undefined) return;
        if (stage.line) this.lines.push(stage.line(view, where));
        this.#stage++;
        this.#stageBegan_ms = now_ms;
      } else {
        this.#printErrors(view);
        const refusalIn_ms = this.#refusalIn_ms(view, now_ms);
        const stage_ms = this.attempts > 0 ? this.#stageBegan_ms + this.attempts * attempt_ms : Infinity;
        const left_ms = Math.min(stage_ms, this.deadline_ms) - now_ms;
        const { name } = this.wait;
        if (refusalIn_ms <= 0) {
          const { error } = this.#refusal!.reported;
          this.failure = { name, reason: `unit ${name} cannot be started or stopped as it is: ${error}` };
        } else if (left_ms <= 0) {
          const reason = `timed out waiting for unit ${name} to ${stage.goal}`;
          this.failure = { name, reason, isTimeout: true };
        } else this.again_ms = Math.min(left_ms, refusalIn_ms, status.again_ms ?? Infinity);
        return;
      }
    }
  }

  /** Returns the time until a refusal of systemd counts; `Infinity` if there is none. */
  #refusalIn_ms(view: UnitView, now_ms: number): number {
    const reported = [...view.states.values()].find((each) => each.permanent && isOfLatestCommand(each));
    // A refusal of an older file says nothing about the newest file.
    if (!reported || !hasWantedFile(view, reported.state)) this.#refusal = undefined;
    else if (this.#refusal?.reported !== reported) this.#refusal = { reported, since_ms: now_ms };
    return this.#refusal ? this.#refusal.since_ms + refusal_ms - now_ms : Infinity;
  }

  /** Prints each error of an agent once: an agent that cannot carry out its command may retry for ever. */
  #printErrors(view: UnitView): void {
    for (const reported of view.states.values()) {
      const { error, permanent } = reported;
      // The unit has begun to start, so an error that prevented the start is over.
      if (reported.state.systemdActiveState === "activating") this.latestError = undefined;
      if (!error || !isOfLatestCommand(reported)) continue;
      this.latestError = error;
      // A permanent error is about to be reported as the failure of the wait.
      if (permanent || this.#printedErrors.has(error)) continue;
      this.#printedErrors.add(error);
      this.context.io.notice(`Unit ${this.wait.name}: ${error}`);
    }
  }

  /** Returns ` on <machine>`, or undefined while the machine's address is looked up. */
  #where(view: UnitView, now_ms: number): string | undefined {
    const id = view.unit?.machineID;
    if (!id) return "";
    if (this.#lookup?.id !== id) this.#lookup = undefined;
    const known = this.watcher.machine(id) ?? this.#lookup?.found;
    if (known) return ` on ${machineLegend(known, false)}`;
    this.#lookup ??= this.#lookUp(id, now_ms);
    const left_ms = Math.min(this.#lookup.limit_ms, this.deadline_ms) - now_ms;
    if (left_ms <= 0) return ` on ${machineLegend({ id }, false)}`;
    this.again_ms = left_ms;
    return undefined;
  }

  #lookUp(id: string, now_ms: number): MachineLookup {
    const lookup: MachineLookup = { id, limit_ms: now_ms + addressLimit_ms };
    void this.context.machines.find(id).then((machine) => {
      lookup.found = machine ?? { id };
      this.changes.notify();
    });
    return lookup;
  }
}

/** The lookup of a machine's address. */
interface MachineLookup {
  readonly id: string;
  /** Time until which lines wait for the address. */
  readonly limit_ms: number;
  found?: MachineEntity;
}

/**
 * True if an agent's error is about its latest command. The error of a unit that has failed or is starting is about the
 * latest run, which may be older than the command. For a running unit, an agent has an error only while it retries a
 * command.
 */
function isOfLatestCommand({ state, error, result }: StateView): boolean {
  const active = state.systemdActiveState ?? "inactive";
  if (active === "inactive") return true;
  return error !== result && active !== "failed" && active !== "activating";
}

/** Prints the lines of all units in the order of the units, but holds back none for longer than {@link orderLimit_ms}. */
class OrderedLines {
  /** Time until lines that are held back must be printed, milliseconds. */
  heldFor_ms = Infinity;
  #heldSince_ms: number | undefined;

  constructor(readonly context: Context, readonly progress: readonly Progress[]) {}

  print(): void {
    const { io } = this.context;
    let isHolding = false;
    let isBlocked = false;
    const isLate = this.#heldSince_ms !== undefined && io.now_ms() - this.#heldSince_ms >= orderLimit_ms;
    for (const unit of this.progress) {
      if (!isBlocked || isLate) this.#flush(unit);
      else if (unit.lines.length > 0) isHolding = true;
      if (!unit.over) isBlocked = true;
    }
    this.#heldSince_ms = isHolding ? this.#heldSince_ms ?? io.now_ms() : undefined;
    this.heldFor_ms = this.#heldSince_ms === undefined ? Infinity : this.#heldSince_ms + orderLimit_ms - io.now_ms();
  }

  printAll(): void {
    for (const unit of this.progress) this.#flush(unit);
  }

  #flush(unit: Progress): void {
    for (const line of unit.lines.splice(0)) printLine(this.context.io, line);
  }
}
