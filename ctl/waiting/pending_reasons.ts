/**
 * Prints why units that a command waits for have no machine, if the server can explain it.
 *
 * @module
 */

import { commandLine } from "../../runtime/command_line.ts";
import type { ExplanationEntity, MachineExplanationEntity } from "../../daemon/api/v1/types.ts";
import type { Context } from "../cli/command.ts";
import type { UnitWatcher } from "./unit_watcher.ts";
import type { Notifier } from "../../runtime/notifier.ts";
import { reasonOf } from "../terminal/port.ts";
import { machineLegend } from "../machines/format.ts";

/** Time that a unit may be without a machine before its reason is requested. */
const unplacedLimit_ms = 1000;

/**
 * Time that a machine may take to report the first state of its unit, and pause between requests about a unit for which
 * no reason has been printed.
 */
const placedLimit_ms = 5000;

/** Pause before the reason of a unit is requested again after one was printed: the unit may wait for something else by then. */
const refresh_ms = 30_000;

/** Largest number of concurrent requests: a command may wait for hundreds of units. */
const maxRequests = 10;

/** Largest number of lines printed about one unit; `explain` shows all. */
const maxLines = 10;

/** Largest number of machines named beside one reason. */
const maxNamed = 3;

/** Prints each reason of each unit once. Requests run in the background: the wait does not wait for their responses. */
export class PendingReasons {
  /** Time until the next {@link report}, milliseconds. */
  again_ms = Infinity;
  /** Time of the next request, by unit. */
  readonly #due_ms = new Map<string, number>();
  /** The lines printed last, by unit. */
  readonly #printed = new Map<string, string>();
  /** Units with a request in flight. */
  readonly #requested = new Set<string>();
  /** The latest summary, by unit. */
  readonly #summaries = new Map<string, string>();
  #canExplain = true;
  #isClosed = false;

  /** Notifies `changes` when a response has come. */
  constructor(
    private readonly context: Context,
    private readonly watcher: UnitWatcher,
    private readonly changes: Notifier,
  ) {}

  /** Returns the latest reason why a unit has no machine; undefined if none is known, or the unit has one. */
  latest(name: string): string | undefined {
    return this.#limit_ms(name) === Infinity ? undefined : this.#summaries.get(name);
  }

  /** Discards the responses that are still to come. */
  close(): void {
    this.#isClosed = true;
  }

  /** Requests and prints the reasons of the named units that have been without a machine, or without a state, for too long. */
  report(names: readonly string[]): void {
    this.again_ms = Infinity;
    if (!this.#canExplain || !this.watcher.isReady) return;
    const now_ms = this.context.io.now_ms();
    for (const name of names) {
      if (this.#requested.has(name)) continue;
      // Only a few units are asked about again after their reason was printed.
      const isDone = this.#printed.has(name) && names.length > maxRequests;
      const limit_ms = isDone ? Infinity : this.#limit_ms(name);
      if (limit_ms === Infinity) {
        this.#due_ms.delete(name);
        continue;
      }
      const due_ms = this.#due_ms.get(name) ?? now_ms + limit_ms;
      this.#due_ms.set(name, due_ms);
      if (due_ms > now_ms) this.again_ms = Math.min(this.again_ms, due_ms - now_ms);
      else if (this.#requested.size < maxRequests) void this.#request(name);
      else this.again_ms = Math.min(this.again_ms, unplacedLimit_ms);
    }
  }

  /** Returns the time that a unit may stay as it is; `Infinity` if it needs no explanation. */
  #limit_ms(name: string): number {
    const { unit, states } = this.watcher.view(name);
    if (!unit || unit.desiredState === "inactive") return Infinity;
    if (!unit.machineID) return unplacedLimit_ms;
    return states.has(unit.machineID) ? Infinity : placedLimit_ms;
  }

  async #request(name: string): Promise<void> {
    const { client, io } = this.context;
    this.#requested.add(name);
    const next_ms = this.#printed.has(name) ? refresh_ms : placedLimit_ms;
    this.#due_ms.set(name, io.now_ms() + next_ms);
    this.again_ms = Math.min(this.again_ms, next_ms);
    try {
      const explanation = await client.explain(name);
      this.#canExplain &&= explanation !== undefined;
      const lines = explanation ? pendingLines(explanation) : [];
      if (this.#isClosed || lines.length === 0) return;
      if (explanation) this.#summaries.set(name, explanation.summary);
      const text = lines.join("\n");
      if (this.#printed.get(name) === text) return;
      this.#printed.set(name, text);
      this.#due_ms.set(name, io.now_ms() + refresh_ms);
      for (const line of lines) io.notice(line);
    } catch (error) {
      // The wait goes on; the unit watcher warns about the server.
      io.log("DEBUG", `cannot explain why unit ${name} waits: ${reasonOf(error)}`);
    } finally {
      this.#requested.delete(name);
      this.changes.notify();
    }
  }
}

/** Returns the lines that explain why a unit has no machine; none if it has one, or is about to get one. */
export function pendingLines(explanation: ExplanationEntity): string[] {
  const { name, outcome, summary, next, leader, machines = [], notes = [], warnings = [] } = explanation;
  const isOffline = outcome === "placed" && machines.some((each) => each.eligibility === "offline");
  const isStuck = outcome === "waiting" && (next === undefined || leader === undefined);
  if (!isOffline && !isStuck) return [];
  const reasons = machinesByReason(machines);
  const others = [...notes, ...warnings].filter((line) => !summary.includes(line) && !reasons.has(line));
  const lines = [...[...reasons].map(([reason, where]) => `${namesOf(where)}: ${reason}`), ...others];
  const shown = lines.length > maxLines
    ? [...lines.slice(0, maxLines), `and more: see ${commandLine(["fleetctl", "explain"], [name])}`]
    : lines;
  return [`Unit ${name} waits: ${summary}`, ...shown.map((line) => `  ${line}`)];
}

/** The machines that give each reason, in order of appearance. */
function machinesByReason(machines: readonly MachineExplanationEntity[]): Map<string, MachineExplanationEntity[]> {
  const byReason = new Map<string, MachineExplanationEntity[]>();
  for (const machine of machines) {
    for (const { reason } of machine.reasons ?? []) byReason.set(reason, [...byReason.get(reason) ?? [], machine]);
  }
  return byReason;
}

function namesOf(machines: readonly MachineExplanationEntity[]): string {
  if (machines.length > maxNamed) return `${machines.length} machines`;
  return machines.map(({ machineID: id, primaryIP }) => machineLegend({ id, ...(primaryIP && { primaryIP }) }, false))
    .join(", ");
}
