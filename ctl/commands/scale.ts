import { deploymentProblem, scalingOf, withInstances } from "../../registry/deployment.ts";
import type { UnitOption } from "../../systemd/unit_file.ts";
import { isTemplate, mangleUnitName } from "../../systemd/unit_name.ts";
import { type AppChange, carryOut, confirmChange, rolloutFlags, rolloutHelp } from "../apps/carry_out.ts";
import { Flags, UsageError } from "../cli/argv.ts";
import { type Command, type Context, exitFailure } from "../cli/command.ts";
import { globalFlags } from "../cli/global_flags.ts";
import { planFormat, planSummary, printChanges, printPlan, printRefusals } from "../output/plan.ts";
import { printLine, rethrowAs } from "../terminal/port.ts";
import { optionsOf } from "../units/resolve_source.ts";
import { existingUnit } from "../units/set_state.ts";
import { destroy } from "./destroy.ts";
import { start } from "./start.ts";

/** `fleetctl scale`: changes the number of instances of a template. */
export const scale: Command = {
  name: "scale",
  isNew: true,
  group: "apps",
  summary: "Change the number of instances of a template",
  usage: "scale [--yes|--dry-run] [--max-parallel=N] [--no-rollback] [--no-block|--timeout=TIME] " +
    "[--output=FORMAT] TEMPLATE N|NAME,...",
  description:
    `Starts and destroys instances of a template of the cluster, so that it has N, named 1 to N, or those with the
names that are given. Instances=N is written into the template in the cluster: fleetctl diff shows that it differs
from the file, and the next fleetctl apply brings it back to what the file says.

The instances of a template that belongs to an application are changed by a roll-out of the application. Shows
the changes, and asks.

${rolloutHelp}`,
  examples: [
    { title: "Run five instances of a template", line: "fleetctl scale web@.service 5" },
    { title: "Run instances with names", line: "fleetctl scale web@.service blue,green" },
  ],
  flags: rolloutFlags,
  usageStatus: exitFailure,
  async run(context) {
    planFormat(context);
    const [argument, instances, ...more] = context.args;
    if (argument === undefined || instances === undefined || more.length > 0) {
      throw new UsageError("expected a template and a number, such as web@.service 5");
    }
    const name = mangleUnitName(argument);
    if (!isTemplate(name)) throw new UsageError(`${name} is not a template, such as web@.service`);
    const template = await existingUnit(context, name);
    const { app } = template;
    const options = withInstances(optionsOf(template.options), instances);
    const problem = deploymentProblem(name, options);
    if (problem !== undefined) throw new UsageError(problem);
    const all = await context.client.units().catch(rethrowAs("Error retrieving the list of units"));
    const { units, surplus } = scalingOf(template, options, all);
    const { left: _others, ...plan } = await context.client.plan({
      units,
      destroy: surplus,
      ...app !== undefined && { app },
    });
    const files = new Map(units.map((unit) => [unit.name, unit]));
    if (app !== undefined) return await carryOut(context, { app, what: "scale", plan, files });
    return await scalePlainly(context, { app: name, what: "scale", plan, files }, options);
  },
};

/** Scales a template that belongs to no application: starts the new instances, and destroys the others. */
async function scalePlainly(context: Context, change: AppChange, template: readonly UnitOption[]): Promise<number> {
  const { flags, io, client } = context;
  const { plan, files, app: name } = change;
  if (flags.on("dry-run") || flags.text("output") !== "table") return await printPlan(context, plan, files);
  const changed = (plan.units ?? []).filter(({ change }) => change !== "none" && change !== "refuse");
  await printChanges(context, plan, files);
  printLine(io, changed.length === 0 ? `${planSummary(plan)} Nothing to do.` : planSummary(plan));
  if (printRefusals(context, plan, files) > 0) return exitFailure;
  if (changed.length === 0) return 0;
  await confirmChange(context, change, changed.length);
  await client.putUnit({ name, options: template }).catch(rethrowAs(`Error changing unit ${name}`));
  const run = (command: Command, kind: string) => {
    const args = changed.filter((unit) => unit.change === kind && unit.name !== name).map((unit) => unit.name);
    const asCommand = new Flags([...globalFlags, ...command.flags], flags.values);
    return args.length === 0 ? 0 : command.run({ ...context, args, flags: asCommand });
  };
  return await run(start, "create") || await run(destroy, "destroy");
}
