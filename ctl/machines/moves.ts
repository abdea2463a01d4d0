/**
 * Prints the progress of units that move from one machine to another, until the moves are done.
 *
 * @module
 */

import { counted } from "../../runtime/counted.ts";
import type { DrainEntity, MovingUnitEntity } from "../../daemon/api/v1/types.ts";
import { isRefusal } from "../api/refusal.ts";
import type { Context } from "../cli/command.ts";
import { printError, printLine, ReaderGoneError, reasonOf } from "../terminal/port.ts";
import { machineLegend } from "./format.ts";

/** Pause between two looks at the progress, milliseconds. */
const poll_ms = 1_000;

/** Returns the lines about a unit that would move, or is about to. */
export function planLines({ name, to, toIP, stopsFirst, state, why, machines = [] }: MovingUnitEntity): string[] {
  if (state === "blocked") {
    return [
      `  ${name} cannot move: ${why}`,
      ...machines.map(({ machineID: id, primaryIP = "", reasons }) =>
        `    ${machineLegend({ id, primaryIP }, false)}: ${reasons.join("; ")}`
      ),
    ];
  }
  if (to === undefined) return [`  ${name}: ${why ?? "waits"}`];
  const how = stopsFirst === undefined ? "starts there before it stops here" : `stops first: ${stopsFirst}`;
  return [`  ${name} -> ${machineLegend({ id: to, primaryIP: toIP ?? "" }, false)} (${how})${failed(why)}`];
}

/** Returns the address of a machine that is drained, for people. */
export function drainLegend({ machineID: id, primaryIP = "" }: DrainEntity): string {
  return machineLegend({ id, primaryIP }, false);
}

/** Returns the lines about a drain: how far it has come, and each unit that is left. */
export function drainLines(entity: DrainEntity): string[] {
  const { units = [], globals = [], status, total, by, why, unreadable, unreadableUnits = [] } = entity;
  const unknown = units.filter(({ name }) => unreadableUnits.includes(name)).length;
  const blocked = units.filter(({ state }) => state === "blocked").length - unknown;
  const stopping = globals.filter((name) => !unreadableUnits.includes(name)).length;
  const parts = [
    `${total - units.length} of ${total} jobs have moved`,
    ...units.length > blocked + unknown ? [`${units.length - blocked - unknown} to move`] : [],
    ...blocked > 0 ? [`${blocked} fit nowhere`] : [],
    ...unknown > 0 ? [`${unknown} cannot be read`] : [],
    ...stopping > 0 ? [`${stopping} global to stop`] : [],
  ];
  const about = [...by === undefined ? [] : [`by ${by}`], ...why ? [why] : []].join(": ");
  const what = unreadable ?? (status === "done" ? "drained" : parts.join(", "));
  return [
    `Machine ${drainLegend(entity)}: ${what}${about === "" ? "" : ` (${about})`}`,
    ...units.flatMap(planLines),
    ...globalLines(entity),
  ];
}

/** Returns the lines about the global units of a machine that is drained. */
export function globalLines({ globals = [], unreadableUnits = [] }: DrainEntity): string[] {
  return globals.map((name) => {
    if (!unreadableUnits.includes(name)) return `  ${name} stops last (global)`;
    return `  ${name} stays (global): its record cannot be read, see fleetctl explain ${name}`;
  });
}

/** A unit that is to move, and the ID of the machine that it is to leave. */
export type LeavingUnit = MovingUnitEntity & { readonly from: string };

/** Returns the units that are left on machines that are drained. */
export function leftUnits(drains: readonly DrainEntity[]): LeavingUnit[] {
  return drains.flatMap(({ machineID: from, units = [] }) => units.map((unit) => ({ ...unit, from })));
}

/** The units that are still to move, as one look finds them. */
export interface Look {
  readonly units: readonly LeavingUnit[];
  /** True if there is nothing more to wait for. */
  readonly isOver: boolean;
}

/** The end of moves: the units that are left, and the names of those that stay since their move was canceled. */
export interface MovesEnd {
  readonly left: readonly LeavingUnit[];
  readonly canceled: readonly string[];
}

/**
 * Follows the moves of the `planned` units until a look says that they are over, and prints what changes. While the server
 * does not answer, the command warns and looks again.
 */
export async function followMoves(
  context: Context,
  planned: readonly LeavingUnit[],
  interrupted: string,
  look: () => Promise<Look>,
): Promise<MovesEnd> {
  const { io } = context;
  const off = io.onInterrupt(interrupted);
  const follower = new MoveFollower(context, planned);
  let warned = "";
  try {
    for (;;) {
      try {
        const { units, isOver } = await look();
        await follower.take(units);
        warned = "";
        if (isOver) return { left: units, canceled: follower.canceled };
        io.progress(`${counted(units.length, "unit")} left`);
      } catch (error) {
        if (error instanceof ReaderGoneError || isRefusal(error)) throw error;
        if (warned !== (warned = reasonOf(error))) io.log("WARN", `${warned}; trying again`);
      }
      await io.sleep(poll_ms);
    }
  } finally {
    io.progress(undefined);
    off();
  }
}

/** Prints how units move, from one look to the next. */
class MoveFollower {
  /** Units that are still to move, with the machine that each leaves and what was printed of it. */
  readonly #left: Map<string, { readonly from: string; readonly text: string }>;
  readonly canceled: string[] = [];

  constructor(private readonly context: Context, planned: readonly LeavingUnit[]) {
    this.#left = new Map(planned.map(({ name, from }) => [name, { from, text: "" }]));
  }

  async take(units: readonly LeavingUnit[]): Promise<void> {
    const left = new Set(units.map(({ name }) => name));
    for (const [name, { from }] of this.#left) {
      if (left.has(name)) continue;
      await this.#printEnd(name, from);
      this.#left.delete(name);
    }
    const isIdle = units.every(({ state, why }) => state === "blocked" || state === "waiting" && why !== undefined);
    for (const unit of units) {
      const text = progressText(unit, isIdle);
      const before = this.#left.get(unit.name)?.text;
      if (before === text || text === "" && before !== undefined) continue;
      this.#left.set(unit.name, { from: unit.from, text });
      if (text !== "") printLine(this.context.io, `Unit ${unit.name} ${text}`);
    }
  }

  /** Prints what has become of a unit that is not to move any more. */
  async #printEnd(name: string, from: string): Promise<void> {
    const { client, io, machines } = this.context;
    const unit = await client.unit(name);
    const machine = unit?.machineID ?? "";
    const legend = machineLegend((await machines.all()).get(machine) ?? { id: machine }, false);
    if (machine !== "" && machine === from) {
      this.canceled.push(name);
      printError(io, `Unit ${name} stays on ${legend}: its move was canceled`);
    } else if (machine !== "") printLine(io, `Unit ${name} has moved to ${legend}`);
    else printLine(io, `Unit ${name} ${unit ? "is on no machine any more" : "was destroyed"}`);
  }
}

function progressText({ state, to, toIP, why }: LeavingUnit, isIdle: boolean): string {
  const machine = to === undefined ? "" : ` on ${machineLegend({ id: to, primaryIP: toIP ?? "" }, false)}`;
  if (state === "moving") return `starts${machine}${failed(why)}`;
  if (state === "blocked") return `cannot move: ${why}`;
  return isIdle || failed(why) !== "" ? `waits: ${why}` : "";
}

/** A copy that starts says so by itself; one that fails says why. */
function failed(why: string | undefined): string {
  return why !== undefined && /\bfail/.test(why) ? `: ${why}` : "";
}
