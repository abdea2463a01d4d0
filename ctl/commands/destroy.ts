import { type Command, exitFailure } from "../cli/command.ts";
import { attemptsOf, findUnits, forEachUnit, isGlobal, noBlockFlag, waitFlags, yesFlag } from "../units/set_state.ts";
import { atOnce, gone } from "../waiting/conditions.ts";
import { printError, printLine } from "../terminal/port.ts";
import { type UnitWait, waitForUnits } from "../waiting/wait_for_units.ts";

/** `fleetctl destroy`: removes units from the cluster. */
export const destroy: Command = {
  name: "destroy",
  units: { scope: "every unit", absentIsFine: () => true, confirm: { verb: "destroy", concerns: () => true } },
  group: "units",
  summary: "Remove units from the cluster, stopping them first",
  usage: "destroy [--no-block|--block-attempts=N|--timeout=TIME] UNIT...",
  description:
    `Stops units, takes them off their machines and removes them from the cluster. To start them again, submit
them again.

The command waits until no machine has the units. It does not wait for global units.`,
  examples: [
    { title: "Remove a unit", line: "fleetctl destroy hello.service" },
    { title: "Remove all instances of a template, without a question", line: "fleetctl destroy --yes 'web@*'" },
  ],
  flags: [...waitFlags("gone"), noBlockFlag("gone"), yesFlag],
  async run(context) {
    const { io, flags } = context;
    // fleet 1.0 succeeds for a unit that does not exist.
    const { units, unknown } = await findUnits(context);
    const absent = new Set<string>();
    const requested = await forEachUnit(context, units, "Error destroying units", async ({ name }) => {
      // Another client has removed it meanwhile.
      if (!await context.client.deleteUnit(name)) absent.add(name);
    });
    const destroyed = requested.filter(({ name }) => !absent.has(name));
    const isWaiting = !flags.on("no-block");
    if (!isWaiting) { for (const { name } of destroyed) printLine(io, `Destroyed ${name}`); }
    const waits = (isWaiting ? destroyed : []).map((unit): UnitWait => {
      const condition = isGlobal(unit) ? atOnce() : gone();
      const line = () => `Destroyed ${unit.name}`;
      return { name: unit.name, stages: [{ condition, goal: "be gone from its machine", line }] };
    });
    const failures = await waitForUnits(context, waits, attemptsOf(context));
    for (const { reason } of failures) printError(io, `Error destroying units: ${reason}`);
    return unknown + failures.length + (units.length - requested.length) > 0 ? exitFailure : 0;
  },
};
