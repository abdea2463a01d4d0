/**
 * Restarts launched units on their machines, or starts those that do not run, and waits for them.
 *
 * @module
 */

import type { UnitOption } from "../../systemd/unit_file.ts";
import type { Context } from "../cli/command.ts";
import { inParallel } from "../../runtime/parallel.ts";
import { attemptsOf } from "./set_state.ts";
import { reached, restarted, started, stopped, type WaitCondition } from "../waiting/conditions.ts";
import { reasonOf } from "../terminal/port.ts";
import { stableFor_ms } from "../waiting/settling.ts";
import { type WaitFailure, waitForUnits, type WaitStage } from "../waiting/wait_for_units.ts";

/** A launched unit. */
export interface RestartedUnit {
  readonly name: string;
  readonly options: readonly UnitOption[];
}

/** Requests the start of a launched unit where it does not run; false if the server supports no such request. */
export async function requestStart({ client }: Context, name: string): Promise<boolean> {
  // A server without that request may support restarts.
  return await client.startUnit(name) || await client.restartUnit(name);
}

/**
 * Sends `request` for each unit and waits until all are active again; stops and starts units whose server does not support
 * the request. Returns a failure for each unit that is not active again. An error of the server is thrown, or passed to
 * `refused`.
 */
export async function restartUnits<Unit extends RestartedUnit>(
  context: Context,
  units: readonly Unit[],
  request: (context: Context, name: string) => Promise<boolean>,
  refused?: (unit: Unit, reason: string) => void,
): Promise<WaitFailure[]> {
  const refusals = new Set<string>();
  const conditions = new Map<string, WaitCondition>();
  const unknown: RestartedUnit[] = [];
  const waits = units.map(({ name }) => ({
    name,
    stages: launchedAgain(name, (...view) => conditions.get(name)?.(...view) ?? { verdict: "waiting" }),
  }));
  const failures = await waitForUnits(context, waits, attemptsOf(context), async (watcher) => {
    await inParallel(units, async (unit) => {
      const { name, options } = unit;
      const condition = restarted(watcher.view(name), context.io.now_ms(), stableFor_ms(context, name, options));
      conditions.set(name, condition);
      try {
        if (await request(context, name)) return;
        unknown.push(unit);
      } catch (error) {
        if (!refused) throw error;
        refused(unit, reasonOf(error));
        refusals.add(name);
      }
      // The wait ends here: the stop and start below wait for the unit.
      conditions.set(name, () => ({ verdict: "failed", reason: "" }));
    });
  });
  for (const { name } of unknown) refusals.add(name);
  const others = failures.filter(({ name }) => !refusals.has(name));
  return unknown.length === 0 ? others : [...others, ...await stopAndStart(context, unknown)];
}

async function stopAndStart(context: Context, units: readonly RestartedUnit[]): Promise<WaitFailure[]> {
  const set = (state: string) => inParallel(units, ({ name }) => context.client.putUnit({ name, desiredState: state }));
  await set("loaded");
  const stops = units.map(({ name }) => ({ name, stages: [{ condition: stopped(), goal: "report state loaded" }] }));
  const failures = await waitForUnits(context, stops, attemptsOf(context));
  // A unit that does not stop must neither leave the others stopped nor be stopped later.
  await set("launched");
  const waits = units.filter(({ name }) => failures.every((failure) => failure.name !== name))
    .map((unit) => startWait(context, unit));
  return [...failures, ...await waitForUnits(context, waits, attemptsOf(context))];
}

/** Returns the wait for a loaded unit whose desired state is launched now. */
export function startWait(context: Context, { name, options }: RestartedUnit) {
  return { name, stages: launchedAgain(name, started(false, stableFor_ms(context, name, options))) };
}

function launchedAgain(name: string, condition: WaitCondition): WaitStage[] {
  return [
    { condition: reached("launched"), goal: "report state launched" },
    { condition, goal: "become active in systemd", line: (_view, where) => `Unit ${name} launched${where}` },
  ];
}
