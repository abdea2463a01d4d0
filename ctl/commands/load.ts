import type { Command } from "../command.ts";
import { exitFailure } from "../command.ts";
import { createUnits, creationFlags, replaceFlag } from "../creating.ts";
import {
  attemptsOf,
  blockAttemptsFlag,
  blockUntil,
  noBlockFlag,
  noUnitsGiven,
  setDesiredState,
  timeoutFlag,
} from "../desired_state.ts";
import { having, reached } from "../goals.ts";
import { complain, reasonOf, say } from "../io.ts";

/** `fleetctl load`: places units on machines without starting them. */
export const load: Command = {
  name: "load",
  takesUnits: true,
  summary: "Schedule units in the cluster without starting them, submitting them first if necessary",
  usage: "load [--no-block|--block-attempts=N|--timeout=S] [--replace] UNIT...",
  description: `Places units on machines and hands them to systemd there, but does not start them.
Units that run are stopped.

It waits until that is done. Global units are never waited for.`,
  flags: [...creationFlags, replaceFlag, blockAttemptsFlag("loaded"), timeoutFlag, noBlockFlag("loaded")],
  async run(context) {
    const { io, args, flags } = context;
    if (args.length === 0) return noUnitsGiven(context);
    const created = await createUnits(context, {
      replaceable: ["inactive", "loaded"],
      wanted: "loaded",
      replace: flags.on("replace"),
      attempts: attemptsOf(context),
    });
    if (!created) return exitFailure;
    try {
      const loading = await setDesiredState(context, created, "loaded");
      for (const unit of loading) if (unit.isGlobal) say(io, `Triggered global unit ${unit.name} load`);
      const waiting = loading.filter((unit) => !unit.isGlobal);
      const [failure] = await blockUntil(context, waiting, "load", ({ name, replacement }) => [{
        judge: having(replacement, reached("loaded")),
        goal: "report state loaded",
        line: (_view, where) => `Unit ${name} loaded${where}`,
      }]);
      if (!failure) return 0;
      complain(io, `Error waiting for unit states, exit status: ${failure.reason}`);
    } catch (error) {
      complain(io, `Error loading units: ${reasonOf(error)}`);
    }
    return exitFailure;
  },
};
