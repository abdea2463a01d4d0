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
  printSuccess,
  timeoutFlag,
  yesFlag,
} from "../units/set_state.ts";
import { isAlive, stopped } from "../waiting/conditions.ts";
import { printError, printLine, printNotice } from "../terminal/port.ts";
import type { WaitFailure } from "../waiting/wait_for_units.ts";

/** `fleetctl stop`: stops units, which stay loaded on their machines. */
export const stop: Command = {
  name: "stop",
  units: { scope: "runnable units", confirm: { verb: "stop", concerns: (unit) => unit.desiredState === "launched" } },
  group: "units",
  summary: "Stop units, which stay on their machines",
  usage: "stop [--no-block|--block-attempts=N|--timeout=SECONDS] UNIT...",
  description:
    `Has systemd stop units. They stay loaded on their machines and can be started again. A unit that waits for a
machine is loaded only when it gets one.

The command waits until systemd reports that the units have stopped. It does not wait for global units.`,
  examples: [
    { title: "Stop a unit", line: "fleetctl stop foo.service" },
    { title: "Stop all instances of a template without waiting", line: "fleetctl stop --no-block 'web@*'" },
  ],
  flags: [blockAttemptsFlag("stopped"), timeoutFlag, noBlockFlag("stopped"), yesFlag],
  async run(context) {
    const { io, args } = context;
    if (args.length === 0) throw noUnitsGiven();
    const { units, missing, unknown } = await findUnits(context);
    const inactive = units.filter((unit) => !isGlobal(unit) && isInactive(unit));
    // A pattern selects only units that can be stopped.
    const unstoppable = inactive.filter(({ name }) => !context.matched.has(name));
    for (const { name } of unstoppable) printError(io, `Unable to stop unit ${name} in state inactive`);
    const { running, unread } = await runningAmong(context, units.filter(isToBeLoaded));
    const stopping = units.filter((unit) =>
      !inactive.includes(unit) && (isGlobal(unit) || !isLoaded(unit) || running.has(unit.name))
    );
    const requested = await forEachUnit(context, stopping, failedToStop, async ({ name }) => {
      if (!running.has(name)) await context.client.putUnit({ name, desiredState: "loaded" });
      else if (!await context.client.stopUnit(name)) throw new Error(notByServer);
    });
    for (const unit of requested) {
      if (isGlobal(unit)) printLine(io, `Triggered global unit ${unit.name} stop`);
      else if (!unit.machineID) printNotice(io, noLongerLaunched(unit));
    }
    const failed = missing + unknown + unread + unstoppable.length + (stopping.length - requested.length);
    const failures = await waitStopped(context, requested.filter((unit) => !isGlobal(unit)));
    printSuccess(context, "stopped", requested.filter((unit) => !isGlobal(unit)), failures, failed);
    return failed + failures.length > 0 ? exitFailure : 0;
  },
};

/** Returns those of the loaded units that run because something else on their machines has started them. */
async function runningAmong(
  context: Context,
  units: readonly UnitEntity[],
): Promise<{ readonly running: ReadonlySet<string>; readonly unread: number }> {
  const running = new Set<string>();
  const read = await forEachUnit(context, units, failedToStop, async ({ name }) => {
    const states = await context.client.states(name);
    if (states.some(({ systemdActiveState }) => isAlive(systemdActiveState))) running.add(name);
  });
  return { running, unread: units.length - read.length };
}

const notByServer =
  "it is loaded, but something else on its machine has started it, and this server cannot stop it there";

function noLongerLaunched({ name }: UnitEntity): string {
  return `Unit ${name} has no machine yet; its desired state is loaded now, so that it is not started later`;
}

function failedToStop(names: readonly string[]): string {
  return `Failed to stop units ${bracketed(names)}: `;
}

/** Waits until units have stopped; returns the failures after an error message for each. */
async function waitStopped(context: Context, units: readonly UnitEntity[]): Promise<WaitFailure[]> {
  const failures = await blockUntil(context, units, "stop", ({ name }) => [{
    condition: stopped(),
    goal: "report state loaded",
    line: ({ unit }, where) => unit?.machineID ? `Unit ${name} loaded${where}` : `Unit ${name} waits to be loaded`,
  }]);
  for (const { name, reason } of failures) printError(context.io, failedToStop([name]) + reason);
  return failures;
}

function stateOf(unit: UnitEntity): string {
  return unit.currentState ?? "inactive";
}

/** True unless the unit waits for a machine: it would start as soon as it gets one. */
function isInactive(unit: UnitEntity): boolean {
  return stateOf(unit) === "inactive" && (unit.desiredState ?? "inactive") === "inactive";
}

function isToBeLoaded(unit: UnitEntity): boolean {
  return unit.desiredState === "loaded" && (isGlobal(unit) || stateOf(unit) === "loaded");
}

/** True if the unit is not about to start. */
function isLoaded(unit: UnitEntity): boolean {
  return unit.desiredState === "loaded" && (stateOf(unit) === "loaded" || !unit.machineID);
}
