/**
 * Stops units in the old cluster, waits until they have stopped there, and starts them here.
 *
 * @module
 */

import { isRefusal } from "../api/refusal.ts";
import type { ApiClient } from "../api/client.ts";
import type { Context } from "../cli/command.ts";
import { timeoutFlagName } from "../cli/global_flags.ts";
import { machineIdLegend } from "../machines/format.ts";
import { printError, printLine, reasonOf } from "../terminal/port.ts";
import { followersFirst } from "../units/followers.ts";
import { printFailures } from "../units/set_state.ts";
import { loaded, reached, started } from "../waiting/conditions.ts";
import { stableFor_ms } from "../waiting/settling.ts";
import { waitForUnits } from "../waiting/wait_for_units.ts";
import { hasStopped, type Move } from "./decide.ts";
import { type OldUnit, readOldUnits } from "./old_cluster.ts";
import { Patience } from "./patience.ts";

/** Pauses between looks at the old cluster, which has no events, and between notices about units that do not stop. */
const look_ms = 500;
const notice_ms = 10_000;

/** The outcome for units that were to move. */
export interface CutOverResult {
  /** Units that this cluster has not taken over. */
  readonly left: readonly LeftUnit[];
  /** Names of units that this cluster has taken over, and that did not start. */
  readonly failed: readonly string[];
  /** True if the old cluster does not answer any more. */
  readonly isOldLost: boolean;
}

/** A unit that was to move, and that this cluster has not taken over. */
export interface LeftUnit {
  readonly move: Move;
  /** `untouched`: its stop was not requested. `stopping`: it was. `stopped`: it has stopped, and runs nowhere. */
  readonly phase: "untouched" | "stopping" | "stopped";
  /** The latest report of the old cluster about it. */
  readonly seen: string;
}

/**
 * Moves groups of units. A group starts here when all of its units have stopped in the old cluster, and waits for no
 * other group. `taken` is called with the names of units that this cluster has taken over.
 */
export async function cutOver(
  context: Context,
  old: ApiClient,
  groups: readonly (readonly Move[])[],
  taken: (names: readonly string[]) => Promise<void>,
): Promise<CutOverResult> {
  const cutOver = new CutOver(context, old, taken);
  for (const group of groups) await cutOver.stopThere(group);
  await cutOver.startStopped();
  const failed = await waitStarted(context, [...cutOver.here]);
  return { left: groups.flat().flatMap((move) => cutOver.leftUnit(move)), failed, isOldLost: cutOver.isOldLost };
}

class CutOver {
  /** Units that this cluster has taken over. */
  readonly here = new Set<Move>();
  isOldLost = false;
  /** Units whose stop was requested, and those that have stopped. */
  readonly #asked = new Set<Move>();
  readonly #stopped = new Set<Move>();
  /** Groups of which each unit was asked to stop, and that are not taken over. */
  readonly #stopping = new Set<readonly Move[]>();
  /** The old cluster's units when it was last seen. */
  #seen: ReadonlyMap<string, OldUnit> | undefined;
  readonly #oldPatience: Patience;
  readonly #herePatience: Patience;
  readonly #limit_s: number;

  constructor(
    private readonly context: Context,
    private readonly old: ApiClient,
    private readonly taken: (names: readonly string[]) => Promise<void>,
  ) {
    this.#limit_s = context.flags.number(timeoutFlagName);
    this.#oldPatience = new Patience(context.io, this.#limit_s);
    this.#herePatience = new Patience(context.io, this.#limit_s);
  }

  /** Returns what is known of a unit that this cluster has not taken over; none if it has. */
  leftUnit(move: Move): LeftUnit[] {
    if (this.here.has(move)) return [];
    const seen = this.#seen ? this.#seen.get(move.name) : move.old;
    const isStopped = this.#stopped.has(move) || hasStopped(move, seen);
    const phase = !this.#asked.has(move) ? "untouched" : isStopped ? "stopped" : "stopping";
    return [{ move, phase, seen: stateOf(move, seen) }];
  }

  /** Requests the stop of the units of a group, unless the old cluster does not answer. */
  async stopThere(group: readonly Move[]): Promise<void> {
    const { io } = this.context;
    for (const move of group) {
      const { name, old: { desiredState, machineID } } = move;
      if (this.isOldLost) return;
      if (desiredState === "launched") {
        try {
          // Loaded, not inactive: only of a loaded unit does fleet 1.0 report that it has stopped.
          await this.#oldPatience.try(() => this.old.putUnit({ name, desiredState: "loaded" }));
          const where = machineID === undefined ? "" : ` on ${machineIdLegend(machineID, false)}`;
          printLine(io, `Stopping ${name}${where} in the old cluster`);
        } catch (error) {
          printError(io, `Error stopping ${name} in the old cluster at ${this.old.endpoint}: ${reasonOf(error)}`);
          if (isRefusal(error)) return;
          this.isOldLost = true;
          // The request may have arrived.
          this.#asked.add(move);
          return;
        }
      }
      this.#asked.add(move);
    }
    this.#stopping.add(group);
  }

  /** Starts groups here as their units have stopped. Ends before the last group if time is over, or the old cluster lost. */
  async startStopped(): Promise<void> {
    const { io } = this.context;
    const begun_ms = io.now_ms();
    let notified_ms = begun_ms;
    while (this.#stopping.size > 0) {
      const now = await this.#look();
      if (!now) break;
      for (const group of this.#stopping) {
        for (const move of group) {
          if (hasStopped(move, now.get(move.name))) this.#stopped.add(move);
          else this.#stopped.delete(move);
        }
        if (group.every((move) => this.#stopped.has(move))) await this.#startHere(group);
      }
      const waiting = [...this.#stopping].flat().filter((move) => !this.#stopped.has(move));
      io.progress(
        waiting.length === 0 ? undefined : `waiting for ${waiting.map(({ name }) => name).join(", ")} to stop`,
      );
      if (this.#stopping.size === 0 || this.#limit_s > 0 && io.now_ms() - begun_ms >= this.#limit_s * 1000) break;
      for (const move of io.now_ms() - notified_ms >= notice_ms ? waiting : []) {
        const { name } = move;
        io.notice(`Unit ${name} has not stopped in the old cluster: ${stateOf(move, now.get(name))}`);
        notified_ms = io.now_ms();
      }
      await io.sleep(look_ms);
    }
    io.progress(undefined);
    // Of groups that were refused in part, some units were asked to stop.
    if (!this.isOldLost && [...this.#asked].some((move) => !this.here.has(move))) await this.#look();
  }

  /** Reads the units of the old cluster; returns undefined, after an error message, if it does not answer any more. */
  async #look(): Promise<ReadonlyMap<string, OldUnit> | undefined> {
    try {
      const units = await this.#oldPatience.try(() => readOldUnits(this.old));
      this.isOldLost = false;
      return this.#seen = new Map(units.map((unit) => [unit.name, unit]));
    } catch (error) {
      printError(this.context.io, reasonOf(error));
      this.isOldLost = true;
      return undefined;
    }
  }

  /** Takes units that have stopped out of the old cluster's machines, and sets their desired states here. */
  async #startHere(group: readonly Move[]): Promise<void> {
    const { client, io } = this.context;
    this.#stopping.delete(group);
    const units = group.map((move) => ({ name: move.name, options: move.old.options, move }));
    await followersFirst(units, async ({ name, move }) => {
      let { endpoint } = this.old;
      try {
        await this.#oldPatience.try(() => this.old.putUnit({ name, desiredState: "inactive" }));
        endpoint = client.endpoint;
        await this.#herePatience.try(() => client.putUnit({ name, desiredState: move.target }));
        this.here.add(move);
      } catch (error) {
        if (endpoint === this.old.endpoint && !isRefusal(error)) this.isOldLost = true;
        printError(io, `Error moving ${name}, which has stopped in the old cluster (${endpoint}): ${reasonOf(error)}`);
      }
    });
    await this.taken(group.filter((move) => this.here.has(move)).map(({ name }) => name));
  }
}

/** Returns what the old cluster reports of a unit. */
function stateOf({ old: before }: Move, unit: OldUnit | undefined): string {
  if (!unit) return "it is not in the old cluster any more";
  if (before.machineID !== undefined && unit.machineID !== undefined && unit.machineID !== before.machineID) {
    const [from, to] = [before.machineID, unit.machineID].map((id) => machineIdLegend(id, false));
    return `it was moved from ${from} to ${to}, and nothing shows that it has stopped on ${from}`;
  }
  const states = unit.states.map(({ machineID = "", systemdActiveState, systemdSubState }) => {
    return `${systemdActiveState}/${systemdSubState} on ${machineIdLegend(machineID, false)}`;
  });
  return states.length === 0 ? "no machine reports its state" : states.join(", ");
}

/** Waits until units are loaded or started here. Returns the names of those that are not, after an error message for each. */
async function waitStarted(context: Context, moves: readonly Move[]): Promise<string[]> {
  const waits = moves.map(({ name, target, old: { options } }) => ({
    name,
    stages: target === "launched"
      ? [
        { condition: reached("launched"), goal: "report state launched" },
        {
          condition: started(true, stableFor_ms(context, name, options)),
          goal: "become active in systemd",
          line: (_view: unknown, where: string) => `Unit ${name} started${where} here`,
        },
      ]
      : [{
        condition: loaded(),
        goal: "report state loaded",
        line: (_view: unknown, where: string) => `Unit ${name} loaded${where} here`,
      }],
  }));
  const failures = await printFailures(context, await waitForUnits(context, waits, 0));
  return failures.map(({ name }) => name);
}
