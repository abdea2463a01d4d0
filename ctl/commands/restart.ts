import type { UnitEntity } from "../../daemon/api/v1.ts";
import type { FlagSpec } from "../args.ts";
import { type Command, type Context, exitFailure } from "../command.ts";
import { inParallel } from "../concurrency.ts";
import { createUnits, creationFlags } from "../creating.ts";
import {
  attemptsOf,
  blockAttemptsFlag,
  findUnits,
  isGlobal,
  noUnitsGiven,
  tellFailures,
  timeoutFlag,
} from "../desired_state.ts";
import { type Judge, reached, restarted, started, stopped } from "../goals.ts";
import { complain, reasonOf, say } from "../io.ts";
import { type Stage, waitForUnits } from "../wait.ts";

const maxParallelFlag: FlagSpec = {
  name: "max-parallel",
  kind: "count",
  fallback: 1,
  help: "How many units may be restarted at the same time",
};

/** `fleetctl restart`: restarts units where they are, one after the other. */
export const restart: Command = {
  name: "restart",
  takesUnits: true,
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
    const { io, args, flags } = context;
    if (args.length === 0) return noUnitsGiven(context);
    const units = await findUnits(context);
    const created = await createUnits(context, { replaceable: [], replace: false, attempts: attemptsOf(context) });
    if (!created) return exitFailure;
    let failed = false;
    await inParallel(units, async (unit) => {
      if (failed) return;
      try {
        if (!await restartUnit(context, unit)) failed = true;
      } catch (error) {
        complain(io, `Error setting target state for unit ${unit.name}: ${reasonOf(error)}`);
        failed = true;
      }
    }, Math.max(1, flags.number("max-parallel")));
    return failed ? exitFailure : 0;
  },
};

/** Restarts one unit; false if it does not come back, which has been said. */
async function restartUnit(context: Context, unit: UnitEntity): Promise<boolean> {
  const { client, io } = context;
  const { name } = unit;
  if (isGlobal(unit)) {
    if (!await client.restartUnit(name)) throw new Error("the server cannot restart units");
    say(io, `Triggered global unit ${name} restart`);
    return true;
  }
  const state = unit.currentState ?? "inactive";
  if (state === "inactive") {
    complain(io, `Unable to restart unit ${name} in state inactive`);
    return true;
  }
  if (state === "loaded") {
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

async function tellRestartFailures(
  context: Context,
  failures: Awaited<ReturnType<typeof waitForUnits>>,
): Promise<boolean> {
  const [failure] = await tellFailures(context, failures);
  if (!failure) return true;
  complain(context.io, `Error waiting for unit states, exit status: ${failure.reason}`);
  return false;
}
