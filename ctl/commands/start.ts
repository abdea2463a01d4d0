import { type Command, type Context, exitFailure } from "../command.ts";
import { type CreatedUnit, createUnits, creationFlags, replaceFlag } from "../creating.ts";
import {
  attemptsOf,
  blockAttemptsFlag,
  blockUntil,
  noBlockFlag,
  noUnitsGiven,
  setDesiredState,
  tellFailures,
  timeoutFlag,
} from "../desired_state.ts";
import { having, reached, started } from "../goals.ts";
import { say } from "../io.ts";
import type { WaitFailure } from "../wait.ts";

/** `fleetctl start`: runs units in the cluster. */
export const start: Command = {
  name: "start",
  units: { scope: "what can run" },
  summary: "Start units in the cluster, submitting and loading them first if necessary",
  usage: "start [--no-block|--block-attempts=N|--timeout=S] [--replace] UNIT...",
  description: `Places units on machines and has systemd start them there.

It waits until systemd says that they are active, or that they have run and ended
well; a unit that fails makes the command fail. Global units are never waited for.

Start one unit, or all of a directory:
fleetctl start foo.service
fleetctl start myservice/*`,
  flags: [...creationFlags, replaceFlag, blockAttemptsFlag("started"), timeoutFlag, noBlockFlag("started")],
  async run(context) {
    if (context.args.length === 0) throw noUnitsGiven();
    const created = await createUnits(context, {
      replaceable: ["inactive", "loaded", "launched"],
      wanted: "launched",
      replace: context.flags.on("replace"),
      attempts: attemptsOf(context),
    });
    if (!created) return exitFailure;
    const starting = await setDesiredState(context, created, "launched", "Error starting units");
    for (const unit of starting.units) if (unit.isGlobal) say(context.io, `Triggered global unit ${unit.name} start`);
    const failures = await waitStarted(context, starting.units.filter((unit) => !unit.isGlobal));
    return failures.length + starting.refused > 0 ? exitFailure : 0;
  },
};

async function waitStarted(context: Context, units: readonly CreatedUnit[]): Promise<WaitFailure[]> {
  const failures = await blockUntil(context, units, "start", ({ name, begun, replacement }) => [
    {
      judge: having(replacement, reached("launched")),
      goal: "report state launched",
      line: (_view, where) => `Unit ${name} launched${where}`,
    },
    { judge: started(begun && replacement === undefined), goal: "become active in systemd" },
  ]);
  return await tellFailures(context, failures);
}
