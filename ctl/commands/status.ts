import { mangleUnitName } from "../../systemd/unit_name.ts";
import { switchFlag } from "../cli/argv.ts";
import type { Command, Context } from "../cli/command.ts";
import { currentStateOf, existingUnit, isGlobal, showEach } from "../units/set_state.ts";
import { printLine, rethrowAs } from "../terminal/port.ts";
import { machineLegend } from "../machines/format.ts";
import { nameInSystemd, printStatus, runOnMachine, sshFlag } from "../machines/run_on.ts";
import { sshPortFlag } from "../machines/select.ts";

/** `fleetctl status`: prints the output of `systemctl status` on the machines of units. */
export const status: Command = {
  name: "status",
  units: { scope: "runnable units" },
  group: "observe",
  summary: "Show the status of units in systemd",
  usage: "status [--ssh] [--ssh-port=N] UNIT...",
  description:
    `Shows the output of systemctl status -l on the machine of each unit, by the API or, where that cannot, by
SSH. The exit status is that of systemctl, 3 for a unit that does not run; with several units, the first
that is not 0.

A global unit is shown on every machine that has it.`,
  examples: [
    { title: "Show one unit", line: "fleetctl status hello.service" },
    { title: "Show all instances of a template", line: "fleetctl status 'web@*'" },
  ],
  flags: [
    sshFlag,
    sshPortFlag,
    switchFlag("no-block", "Ignored: scripts for fleet 1.0 pass it"),
  ],
  run(context) {
    return showEach(context, context.args.map(mangleUnitName), async (name, index) => {
      if (index > 0) printLine(context.io, "");
      const unit = await existingUnit(context, name);
      if (isGlobal(unit)) return await showGlobal(context, name);
      if (!unit.machineID || currentStateOf(unit) === "inactive") throw notLoaded(name);
      return await statusOn(context, unit.machineID, name);
    });
  },
};

function notLoaded(name: string): Error {
  return new Error(`Unit ${name} does not appear to be loaded.`);
}

/** Exit status of `systemctl status` for a unit that does not run. */
const exitNotRunning = 3;

async function statusOn(context: Context, machine: string, name: string): Promise<number> {
  const { text, why } = await printStatus(context, machine, name)
    .catch(rethrowAs(`Error asking for the status of unit ${name}`));
  if (text === undefined) {
    const service = await nameInSystemd(context, name);
    const words = service.startsWith("-") ? ["--", service] : [service];
    return await runOnMachine(context, machine, ["systemctl", "status", "-l", ...words], why);
  }
  return /^ *Active: (active|reloading|refreshing)\b/m.test(text) ? 0 : exitNotRunning;
}

/** Shows a unit on every machine that has it and returns the first exit status that is not 0. */
async function showGlobal(context: Context, name: string): Promise<number> {
  const { client, io, machines } = context;
  const ids = (await client.states(name)).flatMap(({ machineID }) => machineID ? [machineID] : []);
  if (ids.length === 0) throw notLoaded(name);
  return await showEach(context, ids, async (id, index) => {
    if (index > 0) printLine(io, "");
    printLine(io, `${name} on ${machineLegend(await machines.find(id) ?? { id }, false)}:`);
    return await statusOn(context, id, name);
  });
}
