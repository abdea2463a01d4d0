/**
 * Why units that a command waits for have no machine: asked of a server that can explain, and told while it waits.
 *
 * @module
 */

import type { ExplanationEntity, MachineExplanationEntity } from "../daemon/api/v1.ts";
import type { Context } from "./command.ts";
import { inParallel } from "./concurrency.ts";
import type { Follower } from "./follow.ts";
import { complain, reasonOf } from "./io.ts";
import { machineLegend } from "./machines.ts";

/** How long a unit may be without a machine before it is asked why. */
const patience_ms = 1000;

/** How long a machine may take to say something of its unit, and until a unit that was just being placed is asked about again. */
const placedPatience_ms = 5000;

/** Units asked about at a time: a command may wait for hundreds. */
const maxAsked = 10;

/** Lines told of one unit; `explain` tells everything. */
const maxLines = 10;

/** Machines that are named beside one reason. */
const maxNamed = 3;

/** Tells once of each unit why it has no place. */
export class WaitingReasons {
  /** How long until {@link tell} should be called again, milliseconds. */
  again_ms = Infinity;
  readonly #context: Context;
  readonly #follower: Follower;
  readonly #due_ms = new Map<string, number>();
  readonly #told = new Set<string>();
  #canAsk = true;

  constructor(context: Context, follower: Follower) {
    this.#context = context;
    this.#follower = follower;
  }

  /** Tells of those among the named units that are not where they should be for longer than they may. */
  async tell(names: readonly string[]): Promise<void> {
    this.again_ms = Infinity;
    if (!this.#canAsk || !this.#follower.isReady) return;
    const { io } = this.#context;
    const now_ms = io.now_ms();
    const due: string[] = [];
    for (const name of names) {
      const allowed_ms = this.#told.has(name) ? Infinity : this.#allowed_ms(name);
      if (allowed_ms === Infinity) {
        this.#due_ms.delete(name);
        continue;
      }
      const due_ms = this.#due_ms.get(name) ?? now_ms + allowed_ms;
      this.#due_ms.set(name, due_ms);
      if (due_ms > now_ms) this.again_ms = Math.min(this.again_ms, due_ms - now_ms);
      else if (due.length < maxAsked) due.push(name);
      else this.again_ms = Math.min(this.again_ms, patience_ms);
    }
    const texts = await inParallel(due, (name) => this.#ask(name));
    for (const lines of texts) for (const line of lines) complain(io, line);
  }

  /** How long a unit may be as it is; `Infinity` where nothing is amiss. */
  #allowed_ms(name: string): number {
    const { unit, states } = this.#follower.view(name);
    if (!unit || unit.desiredState === "inactive") return Infinity;
    if (!unit.machineID) return patience_ms;
    return states.has(unit.machineID) ? Infinity : placedPatience_ms;
  }

  async #ask(name: string): Promise<string[]> {
    const { client, io } = this.#context;
    this.#due_ms.set(name, io.now_ms() + placedPatience_ms);
    this.again_ms = Math.min(this.again_ms, placedPatience_ms);
    try {
      const explanation = await client.explain(name);
      this.#canAsk &&= explanation !== undefined;
      const lines = explanation ? whyItWaits(explanation) : [];
      if (lines.length > 0) this.#told.add(name);
      return lines;
    } catch (error) {
      // The wait itself goes on, and says what is wrong with the server.
      io.log("DEBUG", `no reason why unit ${name} waits: ${reasonOf(error)}`);
      return [];
    }
  }
}

/** Why a unit has no machine, in lines; none if it has one, or is about to. */
export function whyItWaits(explanation: ExplanationEntity): string[] {
  const { name, outcome, summary, next, leader, machines = [], notes = [], warnings = [] } = explanation;
  const isAway = outcome === "placed" && machines.some((each) => each.standpoint === "away");
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
