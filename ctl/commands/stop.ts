import type { UnitEntity } from "../../daemon/api/v1.ts";
import { type Command, type Context, exitFailure } from "../command.ts";
import {
  blockAttemptsFlag,
  blockUntil,
  bracketed,
  findUnits,
  forEachUnit,
  isGlobal,
  noBlockFlag,
  noUnitsGiven,
  tellSuccess,
  timeoutFlag,
  yesFlag,
} from "../desired_state.ts";
import { stopped } from "../goals.ts";
import { complain, say } from "../io.ts";
import type { WaitFailure } from "../wait.ts";

/** `fleetctl stop`: stops units and keeps them where they are. */
export const stop: Command = {
  name: "stop",
  units: { scope: "what can run", confirm: { what: "stop", concerns: (unit) => unit.desiredState === "launched" } },
  summary: "Stop units in the cluster, leaving them loaded",
  usage: "stop [--no-block|--block-attempts=N|--timeout=S] UNIT...",
  description: `Has systemd stop units. They stay on their machines and can be started again.

It waits until systemd says that they have stopped. Global units are never waited
for.

Stop one unit, or all of a directory without waiting:
fleetctl stop foo.service
fleetctl stop --no-block myservice/*`,
  flags: [blockAttemptsFlag("stopped"), timeoutFlag, noBlockFlag("stopped"), yesFlag],
  async run(context) {
    const { io, args } = context;
    if (args.length === 0) throw noUnitsGiven();
    const { units, missing, unknown } = await findUnits(context);
    const inactive = units.filter((unit) => !isGlobal(unit) && stateOf(unit) === "inactive");
    // A pattern means those that can be stopped.
    const unstoppable = inactive.filter(({ name }) => !context.matched.has(name));
    for (const { name } of unstoppable) complain(io, `Unable to stop unit ${name} in state inactive`);
    const stopping = units.filter((unit) => !inactive.includes(unit) && (isGlobal(unit) || !isLoaded(unit)));
    const asked = await forEachUnit(
      context,
      stopping,
      failedToStop,
      ({ name }) => context.client.putUnit({ name, desiredState: "loaded" }),
    );
    for (const unit of asked) if (isGlobal(unit)) say(io, `Triggered global unit ${unit.name} stop`);
    const failed = missing + unknown + unstoppable.length + (stopping.length - asked.length);
    const failures = await waitStopped(context, asked.filter((unit) => !isGlobal(unit)));
    tellSuccess(context, "stopped", asked.filter((unit) => !isGlobal(unit)), failures, failed);
    return failed + failures.length > 0 ? exitFailure : 0;
  },
};

function failedToStop(names: readonly string[]): string {
  return `Failed to stop units ${bracketed(names)}. err: `;
}

/** Waits until units have stopped; returns the failures, each of which has been said. */
async function waitStopped(context: Context, units: readonly UnitEntity[]): Promise<WaitFailure[]> {
  const failures = await blockUntil(context, units, "stop", ({ name }) => [{
    judge: stopped(),
    goal: "report state loaded",
    line: (_view, where) => `Unit ${name} loaded${where}`,
  }]);
  for (const { name, reason } of failures) complain(context.io, failedToStop([name]) + reason);
  return failures;
}

function stateOf(unit: UnitEntity): string {
  return unit.currentState ?? "inactive";
}

/** A loaded unit that is wanted launched is about to start, so it is not done with. */
function isLoaded(unit: UnitEntity): boolean {
  return stateOf(unit) === "loaded" && unit.desiredState === "loaded";
}
