import type { UnitEntity } from "../../daemon/api/v1.ts";
import { type Command, exitFailure } from "../command.ts";
import { inParallel } from "../concurrency.ts";
import {
  blockAttemptsFlag,
  blockUntil,
  bracketed,
  findUnits,
  isGlobal,
  noBlockFlag,
  noUnitsGiven,
  timeoutFlag,
} from "../desired_state.ts";
import { unloaded } from "../goals.ts";
import { complain, reasonOf, say } from "../io.ts";

/** `fleetctl unload`: takes units off their machines and keeps their files. */
export const unload: Command = {
  name: "unload",
  takesUnits: true,
  summary: "Take units off their machines, leaving them submitted",
  usage: "unload [--no-block|--block-attempts=N|--timeout=S] UNIT...",
  description: `Stops units and takes them off their machines. Their files stay in the cluster.

It waits until they are gone from their machines. Global units are never waited
for.`,
  flags: [blockAttemptsFlag("inactive"), timeoutFlag, noBlockFlag("inactive")],
  async run(context) {
    const { io, args } = context;
    if (args.length === 0) return noUnitsGiven(context);
    const units = await findUnits(context);
    if (units.length === 0) {
      complain(io, "Units not found in registry");
      return 0;
    }
    const unloading = units.filter((unit) => isGlobal(unit) || !isInactive(unit));
    const names = unloading.filter((unit) => !isGlobal(unit)).map((unit) => unit.name);
    try {
      await inParallel(unloading, ({ name }) => context.client.putUnit({ name, desiredState: "inactive" }));
      for (const unit of unloading) if (isGlobal(unit)) say(io, `Triggered global unit ${unit.name} unload`);
      const [failure] = await blockUntil(context, names.map((name) => ({ name })), "unload", ({ name }) => [{
        judge: unloaded(),
        goal: "report state inactive",
        line: () => `Unit ${name} inactive`,
      }]);
      if (failure) throw new Error(failure.reason);
    } catch (error) {
      complain(io, `Failed to unload units ${bracketed(names)}. err: ${reasonOf(error)}`);
      return exitFailure;
    }
    complain(io, `Successfully unloaded units ${bracketed(names)}.`);
    return 0;
  },
};

/** An inactive unit that is wanted otherwise waits for a machine, so it is not done with. */
function isInactive(unit: UnitEntity): boolean {
  return (unit.currentState ?? "inactive") === "inactive" && (unit.desiredState ?? "inactive") === "inactive";
}
