import type { UnitEntity } from "../../daemon/api/v1/types.ts";
import { type Command, type Context, exitFailure } from "../cli/command.ts";
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
} from "../units/set_state.ts";
import { isAlive, stopped } from "../waiting/conditions.ts";
import { complain, note, say } from "../terminal/port.ts";
import type { WaitFailure } from "../waiting/wait_for_units.ts";

/** `fleetctl stop`: stops units and keeps them where they are. */
export const stop: Command = {
  name: "stop",
  units: { scope: "what can run", confirm: { what: "stop", concerns: (unit) => unit.desiredState === "launched" } },
  summary: "Stop units in the cluster, leaving them loaded",
  usage: "stop [--no-block|--block-attempts=N|--timeout=S] UNIT...",
  description: `Has systemd stop units. They stay on their machines and can be started again.

It waits until systemd says that they have stopped. A unit that waits for a machine
is not started any more when it gets one. Global units are never waited for.

Stop one unit, or all of a directory without waiting:
fleetctl stop foo.service
fleetctl stop --no-block myservice/*`,
  flags: [blockAttemptsFlag("stopped"), timeoutFlag, noBlockFlag("stopped"), yesFlag],
  async run(context) {
    const { io, args } = context;
    if (args.length === 0) throw noUnitsGiven();
    const { units, missing, unknown } = await findUnits(context);
    const inactive = units.filter((unit) => !isGlobal(unit) && isInactive(unit));
    // A pattern means those that can be stopped.
    const unstoppable = inactive.filter(({ name }) => !context.matched.has(name));
    for (const { name } of unstoppable) complain(io, `Unable to stop unit ${name} in state inactive`);
    const { running, unasked } = await runningAmong(context, units.filter(isWantedLoaded));
    const stopping = units.filter((unit) =>
      !inactive.includes(unit) && (isGlobal(unit) || !isLoaded(unit) || running.has(unit.name))
    );
    const asked = await forEachUnit(context, stopping, failedToStop, async ({ name }) => {
      if (!running.has(name)) await context.client.putUnit({ name, desiredState: "loaded" });
      else if (!await context.client.stopUnit(name)) throw new Error(notByServer);
    });
    for (const unit of asked) {
      if (isGlobal(unit)) say(io, `Triggered global unit ${unit.name} stop`);
      else if (!unit.machineID) note(io, noLongerWaits(unit));
    }
    const failed = missing + unknown + unasked + unstoppable.length + (stopping.length - asked.length);
    const failures = await waitStopped(context, asked.filter((unit) => !isGlobal(unit)));
    tellSuccess(context, "stopped", asked.filter((unit) => !isGlobal(unit)), failures, failed);
    return failed + failures.length > 0 ? exitFailure : 0;
  },
};

/** What runs of units that are wanted loaded: something else on their machines has started them. */
async function runningAmong(
  context: Context,
  units: readonly UnitEntity[],
): Promise<{ readonly running: ReadonlySet<string>; readonly unasked: number }> {
  const running = new Set<string>();
  const asked = await forEachUnit(context, units, failedToStop, async ({ name }) => {
    const states = await context.client.states(name);
    if (states.some(({ systemdActiveState }) => isAlive(systemdActiveState))) running.add(name);
  });
  return { running, unasked: units.length - asked.length };
}

const notByServer =
  "it is loaded, but something else on its machine has started it, and this server cannot stop it there";

function noLongerWaits({ name }: UnitEntity): string {
  return `Unit ${name} waits for a machine; it is wanted loaded now, so that it is not started when it gets one`;
}

function failedToStop(names: readonly string[]): string {
  return `Failed to stop units ${bracketed(names)}. err: `;
}

/** Waits until units have stopped; returns the failures, each of which has been said. */
async function waitStopped(context: Context, units: readonly UnitEntity[]): Promise<WaitFailure[]> {
  const failures = await blockUntil(context, units, "stop", ({ name }) => [{
    condition: stopped(),
    goal: "report state loaded",
    line: ({ unit }, where) => unit?.machineID ? `Unit ${name} loaded${where}` : `Unit ${name} waits to be loaded`,
  }]);
  for (const { name, reason } of failures) complain(context.io, failedToStop([name]) + reason);
  return failures;
}

function stateOf(unit: UnitEntity): string {
  return unit.currentState ?? "inactive";
}

/** An inactive unit that is wanted otherwise waits for a machine: it would start when it gets one. */
function isInactive(unit: UnitEntity): boolean {
  return stateOf(unit) === "inactive" && (unit.desiredState ?? "inactive") === "inactive";
}

function isWantedLoaded(unit: UnitEntity): boolean {
  return unit.desiredState === "loaded" && (isGlobal(unit) || stateOf(unit) === "loaded");
}

/** A loaded unit that is wanted launched is about to start, so it is not done with. */
function isLoaded(unit: UnitEntity): boolean {
  return unit.desiredState === "loaded" && (stateOf(unit) === "loaded" || !unit.machineID);
}
