import type { Command } from "../cli/command.ts";
import { changeUnits, findUnits, isGlobal, isInactive, noBlockFlag, waitFlags, yesFlag } from "../units/set_state.ts";
import { unloaded } from "../waiting/conditions.ts";

/** `fleetctl unload`: takes units off their machines and keeps their files. */
export const unload: Command = {
  name: "unload",
  units: { scope: "runnable units", confirm: { verb: "unload", concerns: (unit) => !isInactive(unit) } },
  group: "units",
  summary: "Take units off their machines, keeping their files",
  usage: "unload [--no-block|--block-attempts=N|--timeout=TIME] UNIT...",
  description: `Stops units and takes them off their machines. Their files stay in the cluster.

The command waits until no machine has the units. It does not wait for global units.`,
  examples: [
    { title: "Unload a unit", line: "fleetctl unload foo.service" },
    { title: "Unload all instances of a template without being asked", line: "fleetctl unload --yes 'web@*'" },
  ],
  flags: [...waitFlags("inactive"), noBlockFlag("inactive"), yesFlag],
  async run(context) {
    const { units, missing, unknown } = await findUnits(context);
    const unloading = units.filter((unit) => isGlobal(unit) || !isInactive(unit));
    return await changeUnits(context, unloading, missing + unknown, {
      ...{ verb: "unload", done: "unloaded" },
      request: ({ name }) => context.client.putUnit({ name, desiredState: "inactive" }),
      stage: (name) => ({
        condition: unloaded(),
        goal: "report state inactive",
        line: () => `Unit ${name} inactive`,
      }),
    });
  },
};
