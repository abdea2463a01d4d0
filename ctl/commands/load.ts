import { type Command, exitFailure } from "../cli/command.ts";
import { createUnits, creationFlags, replaceFlag } from "../units/upload.ts";
import {
  attemptsOf,
  blockUntil,
  noBlockFlag,
  printFailures,
  setDesiredState,
  waitFlags,
  yesFlag,
} from "../units/set_state.ts";
import { having, loaded } from "../waiting/conditions.ts";
import { printLine } from "../terminal/port.ts";

/** `fleetctl load`: places units on machines without starting them. */
export const load: Command = {
  name: "load",
  units: {
    scope: "runnable units",
    confirm: { verb: "stop and load", concerns: (unit) => unit.desiredState === "launched" },
  },
  group: "units",
  summary: "Place units on machines without starting them",
  usage: "load [--no-block|--block-attempts=N|--timeout=TIME] [--replace] UNIT...",
  description:
    `Places units on machines and loads them in systemd there, but does not start them. Units that the cluster
does not have are submitted first. Units that run are stopped.

The command waits until the units are loaded. It does not wait for global units.`,
  examples: [
    { title: "Load a unit", line: "fleetctl load hello.service" },
    { title: "Replace a loaded unit by a changed file", line: "fleetctl load --replace hello.service" },
  ],
  flags: [...creationFlags, replaceFlag, ...waitFlags("loaded"), noBlockFlag("loaded"), yesFlag],
  async run(context) {
    const { io, flags } = context;
    const created = await createUnits(context, {
      replaceable: ["inactive", "loaded"],
      desiredState: "loaded",
      replace: flags.on("replace"),
      attempts: attemptsOf(context),
    });
    const loading = await setDesiredState(context, created, "loaded", "Error loading units");
    for (const unit of loading.units) if (unit.isGlobal) printLine(io, `Triggered global unit ${unit.name} load`);
    const waiting = loading.units.filter((unit) => !unit.isGlobal);
    const failures = await blockUntil(context, waiting, "load", ({ name, replacement }) => [{
      condition: having(replacement, loaded()),
      goal: "report state loaded",
      line: (_view, where) => `Unit ${name} loaded${where}`,
    }]);
    await printFailures(context, failures);
    return failures.length + loading.refused > 0 || created.some((unit) => unit.isKept) ? exitFailure : 0;
  },
};
