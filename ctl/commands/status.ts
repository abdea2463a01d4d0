import type { UnitEntity } from "../../daemon/api/v1/types.ts";
import { mangleUnitName } from "../../systemd/unit_name.ts";
import type { UnitReport } from "../api/client.ts";
import { switchFlag } from "../cli/argv.ts";
import { type Command, type Context, exitFailure } from "../cli/command.ts";
import { isGlobal, noUnitsGiven, suggestion } from "../units/set_state.ts";
import { printError, printLine, ReaderGoneError, reasonOf } from "../terminal/port.ts";
import { machineLegend } from "../machines/format.ts";
import { printStatus, runOnMachine, sshFlag } from "../machines/run_on.ts";
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
  async run(context) {
    if (context.args.length === 0) throw noUnitsGiven();
    let first = 0;
    for (const [index, argument] of context.args.entries()) {
      if (index > 0) printLine(context.io, "");
      const code = await showStatus(context, mangleUnitName(argument));
      first ||= code;
    }
    return first;
  },
};

async function showStatus(context: Context, name: string): Promise<number> {
  let unit: UnitEntity | undefined;
  try {
    unit = await context.client.unit(name);
  } catch (error) {
    printError(context.io, `Error retrieving unit ${name}: ${reasonOf(error)}`);
    return exitFailure;
  }
  if (!unit) {
    printError(context.io, `Unit ${name} does not exist.${await suggestion(context, name)}`);
    return exitFailure;
  }
  if (isGlobal(unit)) return await showGlobal(context, unit);
  if (!unit.machineID || (unit.currentState ?? "inactive") === "inactive") {
    printError(context.io, `Unit ${name} does not appear to be loaded.`);
    return exitFailure;
  }
  return await statusOn(context, unit.machineID, name);
}

/** Exit status of `systemctl status` for a unit that does not run. */
const exitNotRunning = 3;

async function statusOn(context: Context, machine: string, name: string): Promise<number> {
  let report: UnitReport<string>;
  try {
    report = await printStatus(context, machine, name);
  } catch (error) {
    if (error instanceof ReaderGoneError) throw error;
    printError(context.io, `Error asking for the status of unit ${name}: ${reasonOf(error)}`);
    return exitFailure;
  }
  const { text, why } = report;
  if (text === undefined) return await runOnMachine(context, machine, ["systemctl", "status", "-l", name], why);
  return /^ *Active: (active|reloading|refreshing)\b/m.test(text) ? 0 : exitNotRunning;
}

/** Shows a unit on every machine that has it and returns the first exit status that is not 0. */
async function showGlobal(context: Context, { name }: UnitEntity): Promise<number> {
  const { client, io, machines } = context;
  const ids = (await client.states(name)).flatMap(({ machineID }) => machineID ? [machineID] : []);
  if (ids.length === 0) {
    printError(io, `Unit ${name} does not appear to be loaded.`);
    return exitFailure;
  }
  let worst = 0;
  for (const [index, id] of ids.entries()) {
    if (index > 0) printLine(io, "");
    printLine(io, `${name} on ${machineLegend(await machines.find(id) ?? { id }, false)}:`);
    const code = await statusOn(context, id, name);
    worst ||= code;
  }
  return worst;
}
