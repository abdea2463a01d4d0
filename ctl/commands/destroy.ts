import { type Command, exitFailure } from "../command.ts";
import { inParallel } from "../concurrency.ts";
import {
  attemptsOf,
  blockAttemptsFlag,
  findUnits,
  isGlobal,
  noBlockFlag,
  noUnitsGiven,
  timeoutFlag,
} from "../desired_state.ts";
import { atOnce, gone, type Judge } from "../goals.ts";
import { complain, reasonOf, say } from "../io.ts";
import { type UnitWait, waitForUnits } from "../wait.ts";

/** `fleetctl destroy`: removes units from the cluster. */
export const destroy: Command = {
  name: "destroy",
  takesUnits: true,
  summary: "Remove units from the cluster, stopping them first",
  usage: "destroy [--no-block|--block-attempts=N|--timeout=S] UNIT...",
  description: `Stops units, takes them off their machines and removes them from the cluster.
To start them again they must be submitted again.

It waits until they are gone from their machines. Global units are never waited
for.`,
  flags: [blockAttemptsFlag("gone"), timeoutFlag, noBlockFlag("gone")],
  async run(context) {
    const { io, args, flags } = context;
    if (args.length === 0) return noUnitsGiven(context);
    const units = await findUnits(context);
    if (units.length === 0) {
      complain(io, "Units not found in registry");
      return 0;
    }
    let status = 0;
    const results = await inParallel(units, async (unit) => {
      try {
        // Somebody else was faster: nothing to say.
        return await context.client.deleteUnit(unit.name) ? "deleted" : "absent";
      } catch (error) {
        return `Error destroying units: ${reasonOf(error)}`;
      }
    });
    const waits: UnitWait[] = [];
    for (const [index, unit] of units.entries()) {
      const result = results[index] as string;
      if (result === "absent") continue;
      if (result !== "deleted") {
        complain(io, result);
        status = exitFailure;
      } else if (flags.on("no-block")) say(io, `Destroyed ${unit.name}`);
      else waits.push(waitGone(unit.name, isGlobal(unit) ? atOnce() : gone()));
    }
    const failures = await waitForUnits(context, waits, attemptsOf(context));
    for (const { reason } of failures) complain(io, `Error destroying units: ${reason}`);
    return failures.length > 0 ? exitFailure : status;
  },
};

function waitGone(name: string, judge: Judge): UnitWait {
  return { name, stages: [{ judge, goal: "be gone from its machine", line: () => `Destroyed ${name}` }] };
}
