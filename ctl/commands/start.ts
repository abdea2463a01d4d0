import { type Command, type Context, exitFailure } from "../command.ts";
import { type CreatedUnit, createUnits, creationFlags, replaceFlag } from "../creating.ts";
import {
  attemptsOf,
  blockAttemptsFlag,
  blockUntil,
  noBlockFlag,
  noUnitsGiven,
  setDesiredState,
  timeoutFlag,
} from "../desired_state.ts";
import { having, reached, started } from "../goals.ts";
import { complain, reasonOf, say } from "../io.ts";

/** `fleetctl start`: runs units in the cluster. */
export const start: Command = {
  name: "start",
  takesUnits: true,
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
    if (context.args.length === 0) return noUnitsGiven(context);
    const created = await createUnits(context, {
      replaceable: ["inactive", "loaded", "launched"],
      wanted: "launched",
      replace: context.flags.on("replace"),
      attempts: attemptsOf(context),
    });
    if (!created) return exitFailure;
    try {
      const starting = await setDesiredState(context, created, "launched");
      for (const unit of starting) if (unit.isGlobal) say(context.io, `Triggered global unit ${unit.name} start`);
      return await waitStarted(context, starting.filter((unit) => !unit.isGlobal));
    } catch (error) {
      complain(context.io, `Error starting units: ${reasonOf(error)}`);
      return exitFailure;
    }
  },
};

const launchedGoal = "report state launched";

async function waitStarted(context: Context, units: readonly CreatedUnit[]): Promise<number> {
  const [failure] = await blockUntil(context, units, "start", ({ name, begun, replacement }) => [
    {
      judge: having(replacement, reached("launched")),
      goal: launchedGoal,
      line: (_view, where) => `Unit ${name} launched${where}`,
    },
    { judge: started(begun && replacement === undefined), goal: "become active in systemd" },
  ]);
  if (!failure) return 0;
  const what = failure.reason.endsWith(launchedGoal) ? "unit states, exit status" : "systemd unit states, err";
  complain(context.io, `Error waiting for ${what}: ${failure.reason}`);
  return exitFailure;
}
