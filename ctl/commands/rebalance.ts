import { counted } from "../../runtime/counted.ts";
import type { RebalanceEntity } from "../../daemon/api/v1/types.ts";
import { countFlag, switchFlag, UsageError } from "../cli/argv.ts";
import { type Command, type Context, exitFailure } from "../cli/command.ts";
import { machineLegend } from "../machines/format.ts";
import { followMoves } from "../machines/moves.ts";
import { documentText, formatOf, outputFlag } from "../output/list.ts";
import { exitChanges } from "../output/plan.ts";
import { printLine, rethrowAs } from "../terminal/port.ts";
import { nothingDone, yesFlag } from "../units/set_state.ts";

const formats = ["text", "json", "yaml"];

/** `fleetctl rebalance`: evens out the load of machines. */
export const rebalance: Command = {
  name: "rebalance",
  isNew: true,
  takesNothing: true,
  group: "machines",
  summary: "Move units so that their spread and the load are more even",
  usage: "rebalance [--plan [--output=FORMAT]] [--yes] [--max-moves=N] [--no-wait] [--cancel]",
  description:
    `Proposes the fewest moves that even out, first, the instances of templates with Spread= and, second, the number of units
of the machines and, where units reserve CPU time or memory, what they reserve. It shows them with the spread and the
load before and after and, after a question on a terminal, the cluster makes them like the moves of a drain. fleet
itself never moves a unit to even out anything.

Units that MachineOf= ties together move together. Units with Pin=true or MachineID= stay, and so do units that are tied
to one. So do the units of machines that are cordoned.

With --plan, nothing is moved, and the exit status is 0 if there is nothing to move, 2 if there is.`,
  examples: [
    { title: "See what would move", line: "fleetctl rebalance --plan" },
    { title: "Make at most three moves, without a question", line: "fleetctl rebalance --max-moves=3 --yes" },
  ],
  flags: [
    switchFlag("plan", "Show the moves, and change nothing"),
    yesFlag,
    countFlag("max-moves", 10, "Make at most N moves"),
    switchFlag("no-wait", "Do not wait until the units have moved"),
    switchFlag("cancel", "Cancel the moves that were requested and are not made yet"),
    outputFlag("FORMAT", "With --plan: print text, json or yaml", "text", formats),
  ],
  async run(context) {
    const { client, io, flags } = context;
    const format = formatOf(context, formats);
    if (format !== "text" && !flags.on("plan")) throw new UsageError("--output is for --plan");
    if (flags.on("cancel")) {
      printLine(io, await client.maintenance.cancelMoves() ? "The moves are canceled." : "No moves were requested.");
      return 0;
    }
    const found = await client.maintenance.rebalance(flags.number("max-moves"));
    if (!found) throw new Error(`${client.endpoint} runs a fleet that cannot even out the load: upgrade it`);
    const { proposed, requested = [] } = found;
    if (format !== "text") {
      io.out(await documentText(found, format as "json" | "yaml"));
      return proposed.length > 0 ? exitChanges : 0;
    }
    if (requested.length > 0) {
      const moves = requested.length === 1 ? "1 move is" : `${requested.length} moves are`;
      printLine(io, `${moves} requested already, and not made yet.`);
    }
    if (proposed.length === 0) {
      printLine(io, "The load is even: nothing to move.");
      return 0;
    }
    printProposal(context, found);
    if (flags.on("plan")) return exitChanges;
    const question = `About to move ${counted(proposed.length, "unit")}. Continue?`;
    if (!flags.on(yesFlag.name) && await io.confirm(question) === false) throw new Error(nothingDone);
    await client.maintenance.requestMoves({ moves: proposed }).catch(rethrowAs("Error requesting the moves"));
    if (flags.on("no-wait")) return 0;
    const origins = new Map(proposed.map(({ name, from }) => [name, from]));
    const { left, canceled } = await followMoves(
      context,
      proposed.map(({ name, from }) => ({ name, from, state: "waiting" })),
      "Stopped waiting; the cluster goes on with the moves. See fleetctl rebalance --plan, and --cancel to cancel.",
      async () => {
        const units = (await client.maintenance.rebalance(0))?.requested;
        return {
          units: (units ?? []).map((unit) => ({ ...unit, from: origins.get(unit.name) ?? "" })),
          isOver: !units,
        };
      },
    );
    return left.length + canceled.length > 0 ? exitFailure : 0;
  },
};

function printProposal({ io }: Context, { proposed, loads, spread = [] }: RebalanceEntity): void {
  const legends = new Map(
    loads.map(({ machineID: id, primaryIP = "" }) => [id, machineLegend({ id, primaryIP }, false)]),
  );
  for (const { name, from, to } of proposed) {
    printLine(io, `move ${name} from ${legends.get(from) ?? from} to ${legends.get(to) ?? to}`);
  }
  for (const [name, shares] of Map.groupBy(spread, ({ template, key }) => `${template} over ${key}`)) {
    const counts = shares.map(({ key, value, before, after }) => `${key}=${value} ${before} -> ${after}`);
    printLine(io, `Spread of ${name}: ${counts.join(", ")}`);
  }
  for (const { machineID, before, after } of loads) {
    if (before === after) continue;
    printLine(io, `Machine ${legends.get(machineID)}: ${before} -> ${after} units`);
  }
}
