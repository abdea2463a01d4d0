import type { UnitEntity } from "../../daemon/api/v1.ts";
import { mangleUnitName } from "../../systemd/unit_name.ts";
import { type Command, type Context, exitFailure } from "../command.ts";
import { isGlobal } from "../desired_state.ts";
import { complain, say } from "../io.ts";
import { machineLegend } from "../machines.ts";
import { runOnMachine } from "../on_machine.ts";
import { sshPortFlag } from "../ssh_target.ts";

/** `fleetctl status`: what systemd says of units on their machines. */
export const status: Command = {
  name: "status",
  takesUnits: true,
  summary: "Show what systemd says of units, on the machines that run them",
  usage: "status [--ssh-port=N] UNIT...",
  description: `Runs systemctl status -l where each unit is: here, or by SSH. The exit status is
systemctl's: 3 for a unit that does not run. It stops at the first that is not 0.

A global unit is shown on every machine that has it.`,
  flags: [sshPortFlag],
  async run(context) {
    for (const [index, argument] of context.args.entries()) {
      if (index > 0) say(context.io, "");
      const code = await showStatus(context, mangleUnitName(argument));
      if (code !== 0) return code;
    }
    return 0;
  },
};

async function showStatus(context: Context, name: string): Promise<number> {
  const unit = await context.client.unit(name);
  if (!unit) {
    complain(context.io, `Unit ${name} does not exist.`);
    return exitFailure;
  }
  if (isGlobal(unit)) return await showGlobal(context, unit);
  if (!unit.machineID || (unit.currentState ?? "inactive") === "inactive") {
    complain(context.io, `Unit ${name} does not appear to be loaded.`);
    return exitFailure;
  }
  return await runOnMachine(context, unit.machineID, ["systemctl", "status", "-l", name]);
}

/** Every machine is shown, also behind one where the unit does not run; the first status that is not 0 counts. */
async function showGlobal(context: Context, { name }: UnitEntity): Promise<number> {
  const { client, io, machines } = context;
  const ids = (await client.states(name)).flatMap(({ machineID }) => machineID ? [machineID] : []);
  if (ids.length === 0) {
    complain(io, `Unit ${name} does not appear to be loaded.`);
    return exitFailure;
  }
  let worst = 0;
  for (const [index, id] of ids.entries()) {
    if (index > 0) say(io, "");
    say(io, `${name} on ${machineLegend(await machines.find(id) ?? { id }, false)}:`);
    const code = await runOnMachine(context, id, ["systemctl", "status", "-l", name]);
    worst ||= code;
  }
  return worst;
}
