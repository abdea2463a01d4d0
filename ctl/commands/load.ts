import type { Command } from "../cli/command.ts";
import { exitFailure } from "../cli/command.ts";
import { createUnits, creationFlags, replaceFlag } from "../units/upload.ts";
import {
  attemptsOf,
  blockAttemptsFlag,
  blockUntil,
  noBlockFlag,
  noUnitsGiven,
  setDesiredState,
  tellFailures,
  timeoutFlag,
  yesFlag,
} from "../units/set_state.ts";
import { having, loaded } from "../waiting/conditions.ts";
import { say } from "../terminal/port.ts";

/** `fleetctl load`: places units on machines without starting them. */
export const load: Command = {
  name: "load",
  units: {
    scope: "what can run",
    confirm: { what: "stop and load", concerns: (unit) => unit.desiredState === "launched" },
  },
  summary: "Schedule units in the cluster without starting them, submitting them first if necessary",
  usage: "load [--no-block|--block-attempts=N|--timeout=S] [--replace] UNIT...",
  description: `Places units on machines and hands them to systemd there, but does not start them.
Units that run are stopped.

It waits until that is done. Global units are never waited for.`,
  flags: [...creationFlags, replaceFlag, blockAttemptsFlag("loaded"), timeoutFlag, noBlockFlag("loaded"), yesFlag],
  async run(context) {
    const { io, args, flags } = context;
    if (args.length === 0) throw noUnitsGiven();
    const created = await createUnits(context, {
      replaceable: ["inactive", "loaded"],
      wanted: "loaded",
      replace: flags.on("replace"),
      attempts: attemptsOf(context),
    });
    if (!created) return exitFailure;
    const loading = await setDesiredState(context, created, "loaded", "Error loading units");
    for (const unit of loading.units) if (unit.isGlobal) say(io, `Triggered global unit ${unit.name} load`);
    const waiting = loading.units.filter((unit) => !unit.isGlobal);
    const failures = await blockUntil(context, waiting, "load", ({ name, replacement }) => [{
      condition: having(replacement, loaded()),
      goal: "report state loaded",
      line: (_view, where) => `Unit ${name} loaded${where}`,
    }]);
    await tellFailures(context, failures);
    return failures.length + loading.refused > 0 || created.some((unit) => unit.isKept) ? exitFailure : 0;
  },
};
