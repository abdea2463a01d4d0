import { textFlag, UsageError } from "../cli/argv.ts";
import { type Command, type Context, exitFailure } from "../cli/command.ts";
import { machineLegend } from "../machines/format.ts";
import { machinesByName } from "../machines/select.ts";
import { printError, printLine, reasonOf } from "../terminal/port.ts";

const whyFlag = textFlag("why", "TEXT", "The reason, which list-machines and explain show");

/** `fleetctl cordon`: machines take no new units. */
export const cordon: Command = {
  name: "cordon",
  isNew: true,
  group: "machines",
  summary: "Let machines take no new units",
  usage: "cordon [--why=TEXT] MACHINE...",
  description:
    `No new unit is placed on a cordoned machine. Units that are there stay, and are restarted and updated there.
Global units run there as before. The cordon is stored under the ID of the machine: it lasts while the machine is
away and after its reboot, until fleetctl uncordon. An absent machine is named by its whole ID.
fleetctl list-machines --fields=machine,cordon shows who has cordoned which machine.`,
  examples: [
    { title: "Keep new units off a machine", line: 'fleetctl cordon --why="disk is failing" 454c34ef' },
  ],
  flags: [whyFlag],
  run(context) {
    const why = context.flags.text(whyFlag.name);
    return forEachMachine(context, "cordoning", async (id) => {
      await context.client.maintenance.cordon(id, why);
      return "is cordoned: it takes no new units";
    });
  },
};

/** `fleetctl uncordon`: machines take new units again. */
export const uncordon: Command = {
  name: "uncordon",
  isNew: true,
  group: "machines",
  summary: "Let machines take new units again",
  usage: "uncordon MACHINE...",
  description: `Ends what fleetctl cordon began. Units that wait for such a machine are placed; no unit is moved back.`,
  examples: [{ title: "End a maintenance", line: "fleetctl uncordon 454c34ef" }],
  flags: [],
  run(context) {
    return forEachMachine(context, "uncordoning", async (id) => {
      return await context.client.maintenance.uncordon(id) ? "takes new units" : "was not cordoned";
    });
  },
};

/** Changes each machine that the arguments name, and prints the result. Returns the exit status. */
async function forEachMachine(
  context: Context,
  doing: string,
  change: (id: string) => Promise<string>,
): Promise<number> {
  const { io, args } = context;
  if (args.length === 0) throw new UsageError("name at least one machine");
  const cordoned = (await context.client.maintenance.cordons())?.map(({ machineID }) => machineID);
  if (!cordoned) throw new Error(`${context.client.endpoint} runs a fleet that cannot cordon machines: upgrade it`);
  let status = 0;
  for (const machine of await machinesByName(context, args, cordoned)) {
    const legend = machineLegend(machine, false);
    try {
      printLine(io, `Machine ${legend} ${await change(machine.id)}`);
    } catch (error) {
      printError(io, `Error ${doing} machine ${legend}: ${reasonOf(error)}`);
      status = exitFailure;
    }
  }
  return status;
}
