import type { UnitEntity } from "../../daemon/api/v1.ts";
import type { FlagSpec } from "../args.ts";
import { type Command, type Context, exitFailure } from "../command.ts";
import { inParallel } from "../concurrency.ts";
import { createUnits, creationFlags } from "../creating.ts";
import {
  attemptsOf,
  blockAttemptsFlag,
  forEachUnit,
  isGlobal,
  noUnitsGiven,
  tellFailures,
  timeoutFlag,
} from "../desired_state.ts";
import { type Judge, reached, restarted, started, stopped } from "../goals.ts";
import { complain, say } from "../io.ts";
import { type Stage, type WaitFailure, waitForUnits } from "../wait.ts";

const maxParallelFlag: FlagSpec = {
  name: "max-parallel",
  kind: "count",
  fallback: 1,
  help: "How many units may be restarted at the same time",
};

/** `fleetctl restart`: restarts units where they are, one after the other. */
export const restart: Command = {
  name: "restart",
  units: { scope: "what can run" },
  summary: "Restart units in the cluster, one after the other",
  usage: "restart [--max-parallel=N] [--block-attempts=N|--timeout=S] UNIT...",
  description: `Has systemd restart units where they are. A loaded unit is started; a unit that
is not in the cluster is submitted, but not started.

It waits for each unit to be active again before it turns to the next, and stops at
the first that fails; --max-parallel=N restarts N at a time. Global units
are restarted everywhere and not waited for.

Restart one unit, or all of a directory:
fleetctl restart foo.service
fleetctl restart myservice/*`,
  flags: [maxParallelFlag, ...creationFlags, blockAttemptsFlag("restarted"), timeoutFlag],
  async run(context) {
    const { args, flags } = context;
    if (args.length === 0) throw noUnitsGiven();
    const created = await createUnits(context, { replaceable: [], replace: false, attempts: attemptsOf(context) });
    if (!created) return exitFailure;
    const units = created.flatMap(({ existing }) => existing ?? []);
    const inactive = units.filter((unit) => !isGlobal(unit) && isInactive(unit));
    // A pattern means those that can be restarted.
    const refused = inactive.filter(({ name }) => !context.matched.has(name));
    for (const { name } of refused) complain(context.io, `Unable to restart unit ${name} in state inactive`);
    let failed = false;
    await inParallel(units.filter((unit) => !inactive.includes(unit)), async (unit) => {
      if (failed) return;
      const [done] = await forEachUnit(context, [unit], `Error restarting unit ${unit.name}`, async () => {
        if (!await restartUnit(context, unit)) failed = true;
      });
      if (!done) failed = true;
    }, Math.max(1, flags.number("max-parallel")));
    return failed || refused.length > 0 ? exitFailure : 0;
  },
};

function isInactive(unit: UnitEntity): boolean {
  return (unit.currentState ?? "inactive") === "inactive";
}

/** Restarts one unit; false if it does not come back, which has been said. */
async function restartUnit(context: Context, unit: UnitEntity): Promise<boolean> {
  const { client, io } = context;
  const { name } = unit;
  if (isGlobal(unit)) {
    if (!await client.restartUnit(name)) {
      throw new Error(
        "the server is an older fleet, which cannot restart units; a global unit is restarted there by stop and start",
      );
    }
    say(io, `Triggered global unit ${name} restart`);
    return true;
  }
  if (unit.currentState === "loaded") {
    io.log("INFO", `Unit(${name}) already loaded, starting.`);
    await client.putUnit({ name, desiredState: "launched" });
    return await waitFor(context, name, launchedAgain(name, started(false)));
  }
  if (!await restartInPlace(context, name)) return false;
  io.log("INFO", `Unit(${name}) was restarted.`);
  return true;
}

/** Restarts a launched unit: by one request, or by a stop and a start where the server does not know that request. */
async function restartInPlace(context: Context, name: string): Promise<boolean> {
  let judge: Judge = () => ({ verdict: "waiting" });
  let known = true;
  const stages = launchedAgain(name, (...view) => judge(...view));
  const failures = await waitForUnits(context, [{ name, stages }], attemptsOf(context), async (follower) => {
    judge = restarted(follower.view(name), context.io.now_ms());
    known = await context.client.restartUnit(name);
    // What comes next belongs to the stop and the start below.
    if (!known) judge = () => ({ verdict: "failed", reason: "" });
  });
  if (known) return await tellRestartFailures(context, failures);
  await context.client.putUnit({ name, desiredState: "loaded" });
  if (!await waitFor(context, name, [{ judge: stopped(), goal: "report state loaded" }])) return false;
  await context.client.putUnit({ name, desiredState: "launched" });
  return await waitFor(context, name, launchedAgain(name, started(false)));
}

function launchedAgain(name: string, judge: Judge): Stage[] {
  return [
    { judge: reached("launched"), goal: "report state launched" },
    { judge, goal: "become active in systemd", line: (_view, where) => `Unit ${name} launched${where}` },
  ];
}

async function waitFor(context: Context, name: string, stages: readonly Stage[]): Promise<boolean> {
  return await tellRestartFailures(context, await waitForUnits(context, [{ name, stages }], attemptsOf(context)));
}

async function tellRestartFailures(context: Context, failures: WaitFailure[]): Promise<boolean> {
  return (await tellFailures(context, failures)).length === 0;
}
