import type { UnitEntity } from "../../daemon/api/v1.ts";
import { type Command, type Context, exitFailure } from "../command.ts";
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
import { stopped } from "../goals.ts";
import { complain, reasonOf, say } from "../io.ts";

/** `fleetctl stop`: stops units and keeps them where they are. */
export const stop: Command = {
  name: "stop",
  takesUnits: true,
  summary: "Stop units in the cluster, leaving them loaded",
  usage: "stop [--no-block|--block-attempts=N|--timeout=S] UNIT...",
  description: `Has systemd stop units. They stay on their machines and can be started again.

It waits until systemd says that they have stopped. Global units are never waited
for.

Stop one unit, or all of a directory without waiting:
fleetctl stop foo.service
fleetctl stop --no-block myservice/*`,
  flags: [blockAttemptsFlag("stopped"), timeoutFlag, noBlockFlag("stopped")],
  async run(context) {
    const { io, args } = context;
    if (args.length === 0) return noUnitsGiven(context);
    const units = await findUnits(context);
    if (units.length === 0) {
      complain(io, "Units not found in registry");
      return 0;
    }
    const unstoppable = units.findIndex((unit) => !isGlobal(unit) && stateOf(unit) === "inactive");
    const stoppable = unstoppable < 0 ? units : units.slice(0, unstoppable);
    const stopping = stoppable.filter((unit) => isGlobal(unit) || !isLoaded(unit));
    const names = stopping.filter((unit) => !isGlobal(unit)).map((unit) => unit.name);
    const failed = (reason: string) => {
      complain(io, `Failed to stop units ${bracketed(names)}. err: ${reason}`);
      return exitFailure;
    };
    try {
      await inParallel(stopping, ({ name }) => context.client.putUnit({ name, desiredState: "loaded" }));
    } catch (error) {
      return failed(reasonOf(error));
    }
    for (const unit of stopping) if (isGlobal(unit)) say(io, `Triggered global unit ${unit.name} stop`);
    if (unstoppable >= 0) {
      complain(io, `Unable to stop unit ${units[unstoppable]?.name} in state inactive`);
      return exitFailure;
    }
    return await waitStopped(context, names, failed);
  },
};

async function waitStopped(
  context: Context,
  names: readonly string[],
  failed: (reason: string) => number,
): Promise<number> {
  const [failure] = await blockUntil(context, names.map((name) => ({ name })), "stop", ({ name }) => [{
    judge: stopped(),
    goal: "report state loaded",
    line: (_view, where) => `Unit ${name} loaded${where}`,
  }]);
  if (failure) return failed(failure.reason);
  complain(context.io, `Successfully stopped units ${bracketed(names)}.`);
  return 0;
}

function stateOf(unit: UnitEntity): string {
  return unit.currentState ?? "inactive";
}

/** A loaded unit that is wanted launched is about to start, so it is not done with. */
function isLoaded(unit: UnitEntity): boolean {
  return stateOf(unit) === "loaded" && unit.desiredState === "loaded";
}
