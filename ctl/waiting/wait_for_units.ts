/**
 * Waits until units have got to where a command wanted them, all of them together.
 *
 * @module
 */

import type { MachineEntity } from "../../daemon/api/v1/types.ts";
import type { Flags } from "../cli/argv.ts";
import type { Context } from "../cli/command.ts";
import { type StateView, type UnitView, UnitWatcher } from "./unit_watcher.ts";
import { timeoutFlagName } from "../cli/global_flags.ts";
import type { WaitCondition, WaitStatus } from "./conditions.ts";
import { note, say } from "../terminal/port.ts";
import { machineLegend } from "../machines/format.ts";
import { StandstillNotices } from "./standstill.ts";
import { PendingReasons } from "./pending_reasons.ts";

/** A unit to wait for, and the stages it must pass one after the other. */
export interface UnitWait {
  readonly name: string;
  readonly stages: readonly Stage[];
}

/** One stage of a wait. */
export interface Stage {
  readonly judge: WaitCondition;
  /** What had not happened when time ran out, for example `report state launched`. */
  readonly goal: string;
  /** What to print when it has happened; `where` is ` on <machine>`, or "" where there is none. */
  readonly line?: (view: UnitView, where: string) => string;
}

/** A unit that did not get there. */
export interface WaitFailure {
  readonly name: string;
  readonly reason: string;
  /** ID of the machine whose systemd says that it has failed; undefined if something else kept it. */
  readonly machine?: string;
}

/** One attempt of `--block-attempts`. */
export const attempt_ms = 2000;

/** A refusal of systemd counts once nothing newer has come for this long: it may be older than the command. */
export const refusal_ms = 2000;

/** How long a line waits for the name of a machine that has to be asked for. */
const namePatience_ms = 2000;

/** Lines come in the order of the units, unless one keeps the others waiting for longer than this. */
const patience_ms = 1000;

/**
 * Waits for every unit; each stage may take `attempts` times 2 seconds, 0 standing for as long as it takes. Prints the
 * stages' lines and returns those units that did not get there, in order. `begin` runs once the present is known.
 */
export async function waitForUnits(
  context: Context,
  waits: readonly UnitWait[],
  attempts: number,
  begin: (follower: UnitWatcher) => Promise<void> = () => Promise.resolve(),
): Promise<WaitFailure[]> {
  if (waits.length === 0) return [];
  const deadline_ms = deadlineOf(context);
  const wakeUp = new WakeUp();
  const waitsOn = waits.map((wait) => wait.name).join(", ");
  const released = context.io.onInterrupt(
    `Not waiting any longer for ${waitsOn}; the cluster goes on with what it was told.`,
  );
  const follower = new UnitWatcher(context.client, context.io, waits.map((wait) => wait.name));
  try {
    const progress = waits.map((wait) => new Progress(context, follower, wait, attempts, deadline_ms, wakeUp));
    const limit_ms = Math.min(attempts > 0 ? attempts * attempt_ms : Infinity, deadline_ms - context.io.now_ms());
    await firstOf(context, [follower.ready], limit_ms);
    await firstOf(context, [begin(follower)], deadline_ms - context.io.now_ms());
    const lines = new OrderedLines(context, progress);
    const reasons = new PendingReasons(context, follower, wakeUp);
    const standstill = new StandstillNotices(context, follower, reasons);
    for (;;) {
      const changes = [follower.changed, wakeUp.next];
      for (const unit of progress) unit.look();
      lines.print();
      context.io.progress(progressText(progress));
      const waiting = progress.filter((unit) => !unit.over);
      if (waiting.length === 0) break;
      reasons.tell(waiting.map((unit) => unit.wait.name));
      standstill.tell(waiting.map((unit) => ({ name: unit.wait.name, goal: unit.goal, error: unit.latestError })));
      const again_ms = Math.min(
        ...[lines.impatientIn_ms, reasons.again_ms, standstill.again_ms],
        ...progress.map((unit) => unit.again_ms),
      );
      await firstOf(context, changes, again_ms);
    }
    lines.printAll();
    reasons.close();
    return progress.flatMap((unit) => unit.failure ? [unit.failure] : []);
  } finally {
    context.io.progress(undefined);
    released();
    await follower.close();
  }
}

/** When each command must have ended its waiting, by its flags: one that waits several times has one limit. */
const deadlines = new WeakMap<Flags, number>();

/** When a wait that begins now must have ended. */
function deadlineOf({ flags, io }: Context): number {
  const limit_s = flags.given(timeoutFlagName) ? flags.number(timeoutFlagName) : 0;
  if (limit_s <= 0) return Infinity;
  const deadline_ms = deadlines.get(flags) ?? io.now_ms() + limit_s * 1000;
  deadlines.set(flags, deadline_ms);
  return deadline_ms;
}

/** Names that are shown of those that are waited for. */
const namesShown = 3;

function progressText(progress: readonly Progress[]): string | undefined {
  const waiting = progress.filter((unit) => !unit.over).map((unit) => unit.wait.name);
  if (waiting.length === 0) return undefined;
  const more = waiting.length > namesShown ? ` and ${waiting.length - namesShown} more` : "";
  return `${progress.length - waiting.length} of ${progress.length}; waiting for ` +
    waiting.slice(0, namesShown).join(", ") + more;
}

/** Settles with the first of the events, or resolves after `limit_ms`. */
async function firstOf(context: Context, events: readonly Promise<void>[], limit_ms: number): Promise<void> {
  const over = new AbortController();
  try {
    await Promise.race([...events, context.io.sleep(Math.max(limit_ms, 0), over.signal)]);
  } finally {
    over.abort();
  }
}

/** Wakes a wait when an answer has come that it does not wait for. */
class WakeUp {
  #next = Promise.withResolvers<void>();

  /** Resolves at the next call of {@link ring}. */
  get next(): Promise<void> {
    return this.#next.promise;
  }

  ring(): void {
    const { resolve } = this.#next;
    this.#next = Promise.withResolvers();
    resolve();
  }
}

/** Where one unit is on its way. */
class Progress {
  readonly lines: string[] = [];
  failure: WaitFailure | undefined;
  /** How long until it must be looked at again, milliseconds. */
  again_ms = Infinity;
  /** The latest reason of an agent that cannot do what it was told. */
  latestError: string | undefined;
  #stage = 0;
  #stageBegan_ms: number;
  #place: Place | undefined;
  #refusal: { readonly said: StateView; readonly since_ms: number } | undefined;
  readonly #told = new Set<string>();

  constructor(
    readonly context: Context,
    readonly follower: UnitWatcher,
    readonly wait: UnitWait,
    readonly attempts: number,
    readonly deadline_ms: number,
    readonly wakeUp: WakeUp,
  ) {
    this.#stageBegan_ms = context.io.now_ms();
  }

  /** True once it has got there, or never will. */
  get over(): boolean {
    return this.failure !== undefined || this.#stage >= this.wait.stages.length;
  }

  /** What it is waited for to do. */
  get goal(): string {
    return this.wait.stages[this.#stage]?.goal ?? "";
  }

  /** Looks how far it is. */
  look(): void {
    this.again_ms = Infinity;
    while (!this.over) {
      const now_ms = this.context.io.now_ms();
      const stage = this.wait.stages[this.#stage] as Stage;
      const view = this.follower.view(this.wait.name);
      const judgement: WaitStatus = this.follower.isReady
        ? stage.judge(this.wait.name, view, now_ms)
        : { verdict: "waiting" };
      if (judgement.verdict === "failed") {
        const { reason, machine } = judgement;
        this.failure = { name: this.wait.name, reason, ...(machine === undefined ? {} : { machine }) };
      } else if (judgement.verdict === "done") {
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
        if (refusalIn_ms <= 0) this.failure = this.#refused();
        else if (left_ms <= 0) this.failure = this.#late(stage);
        else this.again_ms = Math.min(left_ms, refusalIn_ms, judgement.again_ms ?? Infinity);
        return;
      }
    }
  }

  /** How long until a refusal of systemd counts; `Infinity` if there is none. */
  #refusalIn_ms(view: UnitView, now_ms: number): number {
    const said = [...view.states.values()].find((said) => said.permanent && isOfLatestCommand(said));
    // What was said of an older file says nothing of the newest.
    const isNewest = view.hash === undefined || said?.state.hash === view.hash;
    if (!said || !isNewest) this.#refusal = undefined;
    else if (this.#refusal?.said !== said) this.#refusal = { said, since_ms: now_ms };
    return this.#refusal ? this.#refusal.since_ms + refusal_ms - now_ms : Infinity;
  }

  #refused(): WaitFailure {
    const { name } = this.wait;
    return { name, reason: `unit ${name} cannot be started or stopped as it is: ${this.#refusal!.said.error}` };
  }

  #late(stage: Stage): WaitFailure {
    const { name } = this.wait;
    return { name, reason: `timed out waiting for unit ${name} to ${stage.goal}` };
  }

  /** An agent that cannot do what it was told may try for ever: the user is told why, once each reason. */
  #printErrors(view: UnitView): void {
    for (const said of view.states.values()) {
      const { error, permanent } = said;
      // What kept it from beginning is over.
      if (said.state.systemdActiveState === "activating") this.latestError = undefined;
      if (!error || !isOfLatestCommand(said)) continue;
      this.latestError = error;
      // That is told as the failure which it is about to be.
      if (permanent) continue;
      if (this.#told.has(error)) continue;
      this.#told.add(error);
      note(this.context.io, `Unit ${this.wait.name}: ${error}`);
    }
  }

  /** ` on <machine>`; undefined while the machine's address is asked for. */
  #where(view: UnitView, now_ms: number): string | undefined {
    const id = view.unit?.machineID;
    if (!id) return "";
    const known = this.follower.machine(id);
    if (known) return ` on ${machineLegend(known, false)}`;
    if (this.#place?.id !== id) this.#place = this.#ask(id, now_ms);
    const { found, patience_ms } = this.#place;
    if (found) return ` on ${machineLegend(found, false)}`;
    const left_ms = Math.min(patience_ms, this.deadline_ms) - now_ms;
    if (left_ms <= 0) return ` on ${machineLegend({ id }, false)}`;
    this.again_ms = left_ms;
    return undefined;
  }

  #ask(id: string, now_ms: number): Place {
    const place: Place = { id, patience_ms: now_ms + namePatience_ms };
    void this.context.machines.find(id).then((machine) => {
      place.found = machine ?? { id };
      this.wakeUp.ring();
    });
    return place;
  }
}

/** A machine whose address is asked for. */
interface Place {
  readonly id: string;
  /** Until when its lines wait for that. */
  readonly patience_ms: number;
  found?: MachineEntity;
}

/**
 * Whether what an agent says is about its latest command. What it says of a unit that has failed or begins is about the
 * latest run, which may be older. While a unit runs, an agent has an error only if it tries again and again to do something.
 */
function isOfLatestCommand({ state, error, result }: StateView): boolean {
  const active = state.systemdActiveState ?? "inactive";
  if (active === "inactive") return true;
  return error !== result && active !== "failed" && active !== "activating";
}

/** Prints every unit's lines in the order of the units, as long as that keeps nobody waiting. */
class OrderedLines {
  impatientIn_ms = Infinity;
  #heldSince_ms: number | undefined;

  constructor(readonly context: Context, readonly progress: readonly Progress[]) {}

  print(): void {
    const { io } = this.context;
    let held = false;
    let blocked = false;
    const impatient = this.#heldSince_ms !== undefined && io.now_ms() - this.#heldSince_ms >= patience_ms;
    for (const unit of this.progress) {
      if (!blocked || impatient) this.#flush(unit);
      else if (unit.lines.length > 0) held = true;
      if (!unit.over) blocked = true;
    }
    this.#heldSince_ms = held ? this.#heldSince_ms ?? io.now_ms() : undefined;
    this.impatientIn_ms = this.#heldSince_ms === undefined ? Infinity : this.#heldSince_ms + patience_ms - io.now_ms();
  }

  printAll(): void {
    for (const unit of this.progress) this.#flush(unit);
  }

  #flush(unit: Progress): void {
    for (const line of unit.lines.splice(0)) say(this.context.io, line);
  }
}
