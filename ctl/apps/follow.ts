/**
 * Follows a roll-out by the server's event stream, and prints its progress.
 *
 * @module
 */

import type { RolloutEntity, RolloutEvent, RolloutStepEntity } from "../../daemon/api/v1/types.ts";
import { onceAborted } from "../../runtime/on_abort.ts";
import { ApiError } from "../api/client.ts";
import { stopWhenSilent } from "../api/sse.ts";
import { type Context, exitFailure } from "../cli/command.ts";
import { timeoutFlagName } from "../cli/global_flags.ts";
import { machineLegend } from "../machines/format.ts";
import { printError, printLine, ReaderGoneError, reasonOf } from "../terminal/port.ts";
import { printRecentLogs } from "../waiting/recent_logs.ts";
import { isOver, machinesText, statusLine, stepLine } from "./report.ts";

/** Pause before a stream that has ended is opened again, and between polls of a server with too many streams. */
const retry_ms = 250;

/** The most units that the progress line names. */
const maxNamed = 3;

/** The result of following a roll-out. */
export interface Followed {
  /** The roll-out as it was seen last. */
  readonly rollout: RolloutEntity;
  /** The exit status: 0 if it has ended as wanted. */
  readonly status: number;
}

/**
 * Prints each change of a roll-out until it has ended, or `--timeout` is over. `wanted`: the status that is a success.
 * `isQuiet`: prints only failures, since standard output belongs to a document.
 */
export async function followRollout(
  context: Context,
  begun: RolloutEntity,
  { wanted = "done", isQuiet = false }: { readonly wanted?: string; readonly isQuiet?: boolean } = {},
): Promise<Followed> {
  const { io, flags } = context;
  const { app } = begun;
  const howToLook = `See: fleetctl rollout status ${app}. To stop it: fleetctl rollout abort ${app}`;
  const removeInterruptMessage = io.onInterrupt(`The cluster continues the roll-out of ${app}. ${howToLook}`);
  const follower = new Follower(context, begun, isQuiet);
  const over = new AbortController();
  const limit_s = flags.given(timeoutFlagName) ? flags.number(timeoutFlagName) : 0;
  try {
    await Promise.race([
      follower.follow(over.signal),
      ...limit_s > 0 ? [io.sleep(limit_s * 1000, over.signal)] : [],
    ]);
  } finally {
    over.abort();
    io.progress(undefined);
    removeInterruptMessage();
  }
  const { rollout } = follower;
  if (!isOver(rollout)) {
    printError(io, `The roll-out of ${app} has not ended after ${limit_s} seconds, and continues. ${howToLook}`);
    return { rollout, status: exitFailure };
  }
  const isFine = rollout.status === wanted;
  if (!isFine) printError(io, statusLine(rollout));
  else if (!isQuiet) printLine(io, statusLine(rollout));
  return { rollout, status: isFine ? 0 : exitFailure };
}

/** The cluster has another roll-out of the application now. */
class ReplacedError extends Error {
  override name = "ReplacedError";
}

/**
 * Returns the states that a step has come through since it was seen last. A failure may be followed by the way back before
 * the server reports it: the reason of the roll-out then names the unit.
 */
function statesBetween(
  before: RolloutStepEntity | undefined,
  { name, state, machines }: RolloutStepEntity,
  reason = "",
) {
  const goesOn = machines !== undefined && machines.healthy !== before?.machines?.healthy;
  if (before?.state === state) return goesOn ? [state] : [];
  const goesBack = state === "undoing" || state === "undone";
  const isBlamed = reason.split(/[^\w:.\\@-]+/).some((word) => word === name || word === `${name}:`);
  return before?.state === "changing" && goesBack && isBlamed ? ["failed", state] : [state];
}

/** Follows one roll-out. */
class Follower {
  readonly #steps = new Map<string, RolloutStepEntity>();
  #latest: RolloutEntity;
  #hasWarned = false;

  constructor(private readonly context: Context, begun: RolloutEntity, private readonly isQuiet: boolean) {
    this.#latest = begun;
    for (const step of begun.steps ?? []) this.#steps.set(step.name, step);
  }

  /** The roll-out as it was seen last, with all its steps. */
  get rollout(): RolloutEntity {
    return { ...this.#latest, steps: [...this.#steps.values()] };
  }

  /** Resolves when the roll-out has ended, or `signal` aborts. Throws if another one has replaced it. */
  async follow(signal: AbortSignal): Promise<void> {
    const { io, client } = this.context;
    while (!signal.aborted && !isOver(this.#latest)) {
      try {
        if (!await this.#followStream(signal)) await this.#takeRollout(await client.rollout(this.#latest.app));
        this.#hasWarned = false;
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof ReplacedError || error instanceof ReaderGoneError) throw error;
        io.log(this.#hasWarned ? "DEBUG" : "WARN", `${reasonOf(error)}; trying again`);
        this.#hasWarned = true;
      }
      if (!isOver(this.#latest)) await io.sleepAtRandom(retry_ms, signal);
    }
  }

  /** Follows one event stream until it, or the roll-out, ends. Returns false if the server cannot be followed. */
  async #followStream(signal: AbortSignal): Promise<boolean> {
    const { io, client } = this.context;
    const end = new AbortController();
    const stop = () => end.abort();
    const stopListening = onceAborted([signal], stop);
    try {
      const stream = await client.follow("kind=rollout", end.signal).catch((error) => {
        // 400: an older server does not know this kind of events.
        if (error instanceof ApiError && [400, 429].includes(error.code)) return undefined;
        throw error;
      });
      if (!stream) return false;
      for await (const { event, data } of stopWhenSilent(stream, (ms, until) => io.sleep(ms, until), stop)) {
        if (event !== "rollout") continue;
        const { app, rollout } = JSON.parse(data) as RolloutEvent;
        if (app !== this.#latest.app) continue;
        // The view of this server may be older than the roll-out that it has just begun: a request is answered from a
        // newer one.
        await this.#takeRollout(rollout?.id === this.#latest.id ? rollout : await client.rollout(app));
        if (isOver(this.#latest)) return true;
      }
      return true;
    } finally {
      stopListening();
      end.abort();
    }
  }

  async #takeRollout(next: RolloutEntity | undefined): Promise<void> {
    const { app, id } = this.#latest;
    if (next?.id !== id) {
      throw new ReplacedError(`Another roll-out of ${app} has replaced this one: see fleetctl history --app=${app}`);
    }
    const failed: RolloutStepEntity[] = [];
    for (const step of next.steps ?? []) {
      const states = statesBetween(this.#steps.get(step.name), step, next.reason);
      this.#steps.set(step.name, step);
      for (const state of states) await this.#printStep({ ...step, state });
      if (states.includes("failed")) failed.push(step);
    }
    const before = this.#latest;
    this.#latest = next;
    const hasBegun = before.status === "preparing" && next.status === "running";
    if (before.status !== next.status && !isOver(next) && !hasBegun) {
      this.#print(statusLine(this.rollout), next.status === "rolling-back");
    }
    // At once: the journal of a unit that goes back soon has other lines.
    const units = failed.flatMap(({ name, machineID: machine }) => machine === undefined ? [] : [{ name, machine }]);
    if (units.length > 0) await printRecentLogs(this.context, units);
    this.#showProgress();
  }

  async #printStep(step: RolloutStepEntity): Promise<void> {
    const { machineID: id } = step;
    const machine = id === undefined ? undefined : await this.context.machines.find(id) ?? { id };
    const line = stepLine(step, machine ? ` on ${machineLegend(machine, false)}` : "");
    if (line !== undefined) this.#print(line, step.state === "failed");
  }

  #print(line: string, isError: boolean): void {
    if (isError) printError(this.context.io, line);
    else if (!this.isQuiet) printLine(this.context.io, line);
  }

  #showProgress(): void {
    const steps = [...this.#steps.values()];
    const active = steps.filter(({ state }) => state === "changing" || state === "undoing")
      .map((step) => step.name + machinesText(step));
    const more = active.length > maxNamed ? ` and ${active.length - maxNamed} more` : "";
    const done = steps.filter(({ state }) => state === "healthy" || state === "undone").length;
    this.context.io.progress(
      active.length === 0
        ? undefined
        : `${done} of ${steps.length}; waiting for ${active.slice(0, maxNamed).join(", ")}${more}`,
    );
  }
}
