import type { PlanRequest } from "../../daemon/api/v1/types.ts";
import { mangleUnitName } from "../../systemd/unit_name.ts";
import { UsageError } from "../cli/argv.ts";
import { type Command, type Context, exitFailure } from "../cli/command.ts";
import { machineByName } from "../machines/select.ts";
import { exitStatuses, planFormat, planOutputFlag, printDrainPlan, printPlan } from "../output/plan.ts";

/** Returns the changes of an action on the units or machines that are named. */
type Changes = (context: Context, names: readonly string[]) => Promise<PlanRequest>;

/** Returns the names of units, each once: `db` and `db.service` are the same unit. */
const unitNamesOf = (names: readonly string[]) => [...new Set(names.map(mangleUnitName))];

const toState = (desiredState: string): Changes => (_context, names) =>
  Promise.resolve({ units: unitNamesOf(names).map((name) => ({ name, desiredState })) });

const actions: Readonly<Record<string, Changes>> = {
  start: toState("launched"),
  load: toState("loaded"),
  stop: toState("loaded"),
  unload: toState("inactive"),
  destroy: (_context, names) => Promise.resolve({ destroy: unitNamesOf(names) }),
  drain: async (context, names) => ({ drain: await machineIds(context, names) }),
  leave: async (context, names) => ({ leave: await machineIds(context, names) }),
};

async function machineIds(context: Context, names: readonly string[]): Promise<readonly string[]> {
  const machines = await Promise.all(names.map((name) => machineByName(context, name)));
  return [...new Set(machines.map(({ id }) => id))];
}

/** The actions of which the names are those of machines. */
export const machineActions: ReadonlySet<string> = new Set(["drain", "leave"]);

/** The actions that `fleetctl plan` knows. */
export const planActions: readonly string[] = Object.keys(actions);

/** `fleetctl plan`: shows the effects of a command without carrying it out. */
export const plan: Command = {
  name: "plan",
  isNew: true,
  group: "units",
  summary: "Show what a command would do, without doing it",
  usage: `plan [--output=FORMAT] ${planActions.join("|")} NAME...`,
  description: `Shows the machines on which units would start, restart or stop, units that would move, and units that no
machine would take, with every reason. The names are those of units of the cluster, or of machines:

drain  what fleetctl drain would do: where each unit goes, whether it starts there before it stops, and why not, and
       what fits nowhere. Global units stop last.
leave  what would happen if the machines were gone from one moment to the next.

${exitStatuses}`,
  examples: [
    { title: "See where the units would be if a machine failed", line: "fleetctl plan leave 454c34ef" },
    { title: "See where the units of a machine would go", line: "fleetctl plan drain 454c34ef" },
    { title: "See which units depend on one before it is destroyed", line: "fleetctl plan destroy db.service" },
  ],
  flags: [planOutputFlag],
  usageStatus: exitFailure,
  async run(context) {
    const { args: [action, ...names], client } = context;
    planFormat(context);
    const changes = action !== undefined && Object.hasOwn(actions, action) ? actions[action] : undefined;
    if (!changes) {
      throw new UsageError(`expected ${planActions.join(", ")}, not ${JSON.stringify(action ?? "")}`);
    }
    if (names.length === 0) throw new UsageError(`no ${machineActions.has(action!) ? "machines" : "units"} given`);
    const request = await changes(context, names);
    const planned = await client.plan(request);
    if (!request.drain) return await printPlan(context, planned, new Map());
    // An older server ignores the field, and predicts the effects of no changes at all.
    if (!planned.drains) throw new Error(`${client.endpoint} runs a fleet that cannot plan a drain: upgrade it`);
    return await printDrainPlan(context, planned);
  },
};
