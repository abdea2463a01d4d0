import type { UnitEntity } from "../../daemon/api/v1/types.ts";
import { type Command, exitFailure } from "../cli/command.ts";
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
import { unloaded } from "../waiting/conditions.ts";
import { printError, printLine } from "../terminal/port.ts";

/** `fleetctl unload`: takes units off their machines and keeps their files. */
export const unload: Command = {
  name: "unload",
  units: { scope: "runnable units", confirm: { verb: "unload", concerns: (unit) => !isInactive(unit) } },
  group: "units",
  summary: "Take units off their machines, keeping their files",
  usage: "unload [--no-block|--block-attempts=N|--timeout=SECONDS] UNIT...",
  description: `Stops units and takes them off their machines. Their files stay in the cluster.

The command waits until no machine has the units. It does not wait for global units.`,
  examples: [
    { title: "Unload a unit", line: "fleetctl unload foo.service" },
    { title: "Unload all instances of a template without being asked", line: "fleetctl unload --yes 'web@*'" },
  ],
  flags: [blockAttemptsFlag("inactive"), timeoutFlag, noBlockFlag("inactive"), yesFlag],
  async run(context) {
    const { io, args, client } = context;
    if (args.length === 0) throw noUnitsGiven();
    const { units, missing, unknown } = await findUnits(context);
    const unloading = units.filter((unit) => isGlobal(unit) || !isInactive(unit));
    const requested = await forEachUnit(
      context,
      unloading,
      failedToUnload,
      ({ name }) => client.putUnit({ name, desiredState: "inactive" }),
    );
    for (const unit of requested) if (isGlobal(unit)) printLine(io, `Triggered global unit ${unit.name} unload`);
    const waiting = requested.filter((unit) => !isGlobal(unit));
    const failures = await blockUntil(context, waiting, "unload", ({ name }) => [{
      condition: unloaded(),
      goal: "report state inactive",
      line: () => `Unit ${name} inactive`,
    }]);
    for (const { name, reason } of failures) printError(io, failedToUnload([name]) + reason);
    const failed = missing + unknown + (unloading.length - requested.length);
    printSuccess(context, "unloaded", waiting, failures, failed);
    return failed + failures.length > 0 ? exitFailure : 0;
  },
};

function failedToUnload(names: readonly string[]): string {
  return `Failed to unload units ${bracketed(names)}: `;
}

/** True if the unit has no machine and waits for none. */
function isInactive(unit: UnitEntity): boolean {
  return (unit.currentState ?? "inactive") === "inactive" && (unit.desiredState ?? "inactive") === "inactive";
}
