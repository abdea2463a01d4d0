/**
 * Why units that a command waits for have no machine: asked of a server that can explain, and told while it waits.
 *
 * @module
 */

import type { ExplanationEntity, MachineExplanationEntity } from "../../daemon/api/v1/types.ts";
import type { Context } from "../cli/command.ts";
import type { UnitWatcher } from "./unit_watcher.ts";
import { note, reasonOf } from "../terminal/port.ts";
import { machineLegend } from "../machines/format.ts";

/** How long a unit may be without a machine before it is asked why. */
const patience_ms = 1000;

/** How long a machine may take to say something of its unit, and until a unit that was just being placed is asked about again. */
const placedPatience_ms = 5000;

/** How long until a unit is asked about again whose reason was told: it may wait for another one by then. */
const refresh_ms = 30_000;

/** Units asked about at a time: a command may wait for hundreds. */
const maxAsked = 10;

/** Lines told of one unit; `explain` tells everything. */
const maxLines = 10;

/** Machines that are named beside one reason. */
const maxNamed = 3;

/** Tells of each unit why it has no place, each reason once. Answers come when they come: the wait goes on meanwhile. */
export class PendingReasons {
  /** How long until {@link tell} should be called again, milliseconds. */
  again_ms = Infinity;
  readonly #context: Context;
  readonly #follower: UnitWatcher;
  readonly #wakeUp: { readonly ring: () => void };
  readonly #due_ms = new Map<string, number>();
  /** The lines that were told last. */
  readonly #told = new Map<string, string>();
  readonly #asked = new Set<string>();
  readonly #latest = new Map<string, string>();
  #canAsk = true;
  #isOver = false;

  /** `wakeUp` is rung when an answer has come. */
  constructor(context: Context, follower: UnitWatcher, wakeUp: { readonly ring: () => void }) {
    this.#context = context;
    this.#follower = follower;
    this.#wakeUp = wakeUp;
  }

  /** Why a unit had no place when that was asked last. */
  latest(name: string): string | undefined {
    return this.#allowed_ms(name) === Infinity ? undefined : this.#latest.get(name);
  }

  /** What is answered from now on is not told any more. */
  close(): void {
    this.#isOver = true;
  }

  /** Tells of those among the named units that are not where they should be for longer than they may. */
  tell(names: readonly string[]): void {
    this.again_ms = Infinity;
    if (!this.#canAsk || !this.#follower.isReady) return;
    const now_ms = this.#context.io.now_ms();
    for (const name of names) {
      if (this.#asked.has(name)) continue;
      // Of a few units it is looked whether they still wait for the same.
      const isDone = this.#told.has(name) && names.length > maxAsked;
      const allowed_ms = isDone ? Infinity : this.#allowed_ms(name);
      if (allowed_ms === Infinity) {
        this.#due_ms.delete(name);
        continue;
      }
      const due_ms = this.#due_ms.get(name) ?? now_ms + allowed_ms;
      this.#due_ms.set(name, due_ms);
      if (due_ms > now_ms) this.again_ms = Math.min(this.again_ms, due_ms - now_ms);
      else if (this.#asked.size < maxAsked) void this.#ask(name);
      else this.again_ms = Math.min(this.again_ms, patience_ms);
    }
  }

  /** How long a unit may be as it is; `Infinity` where nothing is amiss. */
  #allowed_ms(name: string): number {
    const { unit, states } = this.#follower.view(name);
    if (!unit || unit.desiredState === "inactive") return Infinity;
    if (!unit.machineID) return patience_ms;
    return states.has(unit.machineID) ? Infinity : placedPatience_ms;
  }

  async #ask(name: string): Promise<void> {
    const { client, io } = this.#context;
    this.#asked.add(name);
    const next_ms = this.#told.has(name) ? refresh_ms : placedPatience_ms;
    this.#due_ms.set(name, io.now_ms() + next_ms);
    this.again_ms = Math.min(this.again_ms, next_ms);
    try {
      const explanation = await client.explain(name);
      this.#canAsk &&= explanation !== undefined;
      const lines = explanation ? whyItWaits(explanation) : [];
      if (this.#isOver || lines.length === 0) return;
      if (explanation) this.#latest.set(name, explanation.summary);
      const text = lines.join("\n");
      if (this.#told.get(name) === text) return;
      this.#told.set(name, text);
      this.#due_ms.set(name, io.now_ms() + refresh_ms);
      for (const line of lines) note(io, line);
    } catch (error) {
      // The wait itself goes on, and says what is wrong with the server.
      io.log("DEBUG", `no reason why unit ${name} waits: ${reasonOf(error)}`);
    } finally {
      this.#asked.delete(name);
      this.#wakeUp.ring();
    }
  }
}

/** Why a unit has no machine, in lines; none if it has one, or is about to. */
export function whyItWaits(explanation: ExplanationEntity): string[] {
  const { name, outcome, summary, next, leader, machines = [], notes = [], warnings = [] } = explanation;
  const isAway = outcome === "placed" && machines.some((each) => each.eligibility === "offline");
  const isStuck = outcome === "waiting" && (next === undefined || leader === undefined);
  if (!isAway && !isStuck) return [];
  const reasons = reasonLines(machines);
  const others = [...notes, ...warnings].filter((line) => !summary.includes(line) && !reasons.has(line));
  const lines = [...[...reasons].map(([reason, where]) => `${placesOf(where)}: ${reason}`), ...others];
  const shown = lines.length > maxLines
    ? [...lines.slice(0, maxLines), `and more: fleetctl explain ${name} tells everything`]
    : lines;
  return [`Unit ${name} waits: ${summary}`, ...shown.map((line) => `  ${line}`)];
}

/** The machines that give each reason, in order of appearance. */
function reasonLines(machines: readonly MachineExplanationEntity[]): Map<string, MachineExplanationEntity[]> {
  const places = new Map<string, MachineExplanationEntity[]>();
  for (const machine of machines) {
    for (const { reason } of machine.reasons ?? []) places.set(reason, [...places.get(reason) ?? [], machine]);
  }
  return places;
}

function placesOf(machines: readonly MachineExplanationEntity[]): string {
  if (machines.length > maxNamed) return `${machines.length} machines`;
  return machines.map(({ machineID: id, primaryIP }) => machineLegend({ id, ...(primaryIP && { primaryIP }) }, false))
    .join(", ");
}
