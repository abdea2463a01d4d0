import type { UnitEntity } from "../../daemon/api/v1/types.ts";
import type { Command, Context } from "../cli/command.ts";
import {
  changeUnits,
  currentStateOf,
  failedTo,
  findUnits,
  forEachUnit,
  isGlobal,
  isInactive,
  noBlockFlag,
  waitFlags,
  yesFlag,
} from "../units/set_state.ts";
import { isAlive, stopped } from "../waiting/conditions.ts";
import { printError } from "../terminal/port.ts";

/** `fleetctl stop`: stops units, which stay loaded on their machines. */
export const stop: Command = {
  name: "stop",
  units: { scope: "runnable units", confirm: { verb: "stop", concerns: (unit) => unit.desiredState === "launched" } },
  group: "units",
  summary: "Stop units, which stay on their machines",
  usage: "stop [--no-block|--block-attempts=N|--timeout=TIME] UNIT...",
  description:
    `Has systemd stop units. They stay loaded on their machines and can be started again. A unit that waits for a
machine is loaded only when it gets one.

The command waits until systemd reports that the units have stopped. It does not wait for global units.`,
  examples: [
    { title: "Stop a unit", line: "fleetctl stop foo.service" },
    { title: "Stop all instances of a template without waiting", line: "fleetctl stop --no-block 'web@*'" },
  ],
  flags: [...waitFlags("stopped"), noBlockFlag("stopped"), yesFlag],
  async run(context) {
    const { client, io, matched } = context;
    const { units, missing, unknown } = await findUnits(context);
    const inactive = units.filter((unit) => !isGlobal(unit) && isInactive(unit));
    // A pattern selects only units that can be stopped.
    const unstoppable = inactive.filter(({ name }) => !matched.has(name));
    for (const { name } of unstoppable) printError(io, `Unable to stop unit ${name} in state inactive`);
    const { running, unread } = await runningAmong(context, units.filter(isToBeLoaded));
    const stopping = units.filter((unit) =>
      !inactive.includes(unit) && (isGlobal(unit) || !isLoaded(unit) || running.has(unit.name))
    );
    return await changeUnits(context, stopping, missing + unknown + unread + unstoppable.length, {
      ...{ verb: "stop", done: "stopped" },
      request: async ({ name }) => {
        if (!running.has(name)) await client.putUnit({ name, desiredState: "loaded" });
        else if (!await client.stopUnit(name)) throw new Error(notByServer);
      },
      notice: ({ name, machineID }) =>
        machineID
          ? undefined
          : `Unit ${name} has no machine yet; its desired state is loaded now, so that it is not started later`,
      stage: (name) => ({
        condition: stopped(),
        goal: "report state loaded",
        line: ({ unit }, where) => unit?.machineID ? `Unit ${name} loaded${where}` : `Unit ${name} waits to be loaded`,
      }),
    });
  },
};

/** Returns those of the loaded units that run because something else on their machines has started them. */
async function runningAmong(
  context: Context,
  units: readonly UnitEntity[],
): Promise<{ readonly running: ReadonlySet<string>; readonly unread: number }> {
  const running = new Set<string>();
  const read = await forEachUnit(context, units, failedTo("stop"), async ({ name }) => {
    const states = await context.client.states(name);
    if (states.some(({ systemdActiveState }) => isAlive(systemdActiveState))) running.add(name);
  });
  return { running, unread: units.length - read.length };
}

const notByServer =
  "it is loaded, but something else on its machine has started it, and this server cannot stop it there";

function isToBeLoaded(unit: UnitEntity): boolean {
  return unit.desiredState === "loaded" && (isGlobal(unit) || currentStateOf(unit) === "loaded");
}

/** True if the unit is not about to start. */
function isLoaded(unit: UnitEntity): boolean {
  return unit.desiredState === "loaded" && (currentStateOf(unit) === "loaded" || !unit.machineID);
}
