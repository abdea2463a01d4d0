import type { PlanRequest } from "../../daemon/api/v1/types.ts";
import { mangleUnitName } from "../../systemd/unit_name.ts";
import { UsageError } from "../cli/argv.ts";
import { type Command, type Context, exitFailure } from "../cli/command.ts";
import { machineByPrefix } from "../machines/select.ts";
import { exitStatuses, planFormat, planOutputFlag, printPlan } from "../output/plan.ts";

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
  async drain(context, names) {
    const machines = await Promise.all(names.map((name) => machineByPrefix(context, name)));
    return { leave: [...new Set(machines.map(({ id }) => id))] };
  },
};

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
machine would take, with every reason. The names are those of units of the cluster. With drain they are IDs of
machines, or their beginnings, and the plan shows what would happen if these machines were gone.

${exitStatuses}`,
  examples: [
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
    if (names.length === 0) throw new UsageError(`no ${action === "drain" ? "machines" : "units"} given`);
    const request = await changes(context, names);
    return await printPlan(context, await client.plan(request), new Map());
  },
};
