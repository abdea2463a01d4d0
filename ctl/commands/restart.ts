import type { UnitEntity } from "../../daemon/api/v1/types.ts";
import { type Command, type Context, exitFailure } from "../cli/command.ts";
import { inParallel } from "../../runtime/parallel.ts";
import { createUnits, creationFlags } from "../units/upload.ts";
import {
  attemptsOf,
  currentStateOf,
  forEachUnit,
  isGlobal,
  printFailures,
  waitFlags,
  yesFlag,
} from "../units/set_state.ts";
import { printError, printLine } from "../terminal/port.ts";
import { restartUnits, startWait } from "../units/restart.ts";
import { maxParallel, maxParallelFlag } from "../units/rolling.ts";
import { settleFlag } from "../waiting/settling.ts";
import { optionsOf } from "../units/resolve_source.ts";
import { type WaitFailure, waitForUnits } from "../waiting/wait_for_units.ts";

/** `fleetctl restart`: restarts units on their machines, one after the other. */
export const restart: Command = {
  name: "restart",
  units: { scope: "runnable units", confirm: { verb: "restart", concerns: isRestartable } },
  group: "units",
  summary: "Restart units in place, one after the other",
  usage: "restart [--max-parallel=N] [--block-attempts=N|--timeout=TIME] [--settle=TIME] UNIT...",
  description:
    `Has systemd restart units on their machines. A loaded unit is started; a unit that the cluster does not have
is submitted, but not started.

The command waits until each unit is active again before it restarts the next, and ends at the first that
fails; --max-parallel=N restarts N at a time. A service without readiness notification must stay active for
a second, or as long as --settle says. Global units are restarted everywhere without waiting.`,
  examples: [
    { title: "Restart a unit", line: "fleetctl restart foo.service" },
    { title: "Restart all instances of a template, two at a time", line: "fleetctl restart --max-parallel=2 'web@*'" },
  ],
  flags: [
    maxParallelFlag("restarted"),
    ...creationFlags,
    ...waitFlags("restarted"),
    settleFlag,
    yesFlag,
  ],
  async run(context) {
    const created = await createUnits(context, { replaceable: [], replace: false, attempts: attemptsOf(context) });
    const units = created.flatMap(({ existing }) => existing ?? []);
    const inactive = units.filter((unit) => !isRestartable(unit));
    // A pattern selects only units that can be restarted.
    const refused = inactive.filter(({ name }) => !context.matched.has(name));
    for (const { name } of refused) printError(context.io, `Unable to restart unit ${name} in state inactive`);
    let failed = false;
    await inParallel(units.filter((unit) => !inactive.includes(unit)), async (unit) => {
      if (failed) return;
      const [done] = await forEachUnit(context, [unit], `Error restarting unit ${unit.name}`, async () => {
        if (!await restartUnit(context, unit)) failed = true;
      });
      if (!done) failed = true;
    }, maxParallel(context));
    return failed || refused.length > 0 ? exitFailure : 0;
  },
};

function isRestartable(unit: UnitEntity): boolean {
  return isGlobal(unit) || currentStateOf(unit) !== "inactive";
}

/** Restarts one unit; false, after an error message, if it does not become active again. */
async function restartUnit(context: Context, unit: UnitEntity): Promise<boolean> {
  const { client, io } = context;
  const { name } = unit;
  const options = optionsOf(unit.options);
  if (isGlobal(unit)) {
    if (!await client.restartUnit(name)) {
      throw new Error(
        "the server is an older fleet, which cannot restart units; a global unit is restarted there by stop and start",
      );
    }
    printLine(io, `Triggered global unit ${name} restart`);
    return true;
  }
  if (unit.currentState === "loaded") {
    io.log("INFO", `Unit(${name}) already loaded, starting.`);
    await client.putUnit({ name, desiredState: "launched" });
    const wait = startWait(context, { name, options });
    return await isActiveAgain(context, await waitForUnits(context, [wait], attemptsOf(context)));
  }
  if (!await isActiveAgain(context, await restartUnits(context, [{ name, options }], () => client.restartUnit(name)))) {
    return false;
  }
  io.log("INFO", `Unit(${name}) was restarted.`);
  return true;
}

async function isActiveAgain(context: Context, failures: WaitFailure[]): Promise<boolean> {
  return (await printFailures(context, failures)).length === 0;
}
