import { UsageError } from "../cli/argv.ts";
import { type Command, exitFailure } from "../cli/command.ts";
import { exitStatuses, planFormat, planOutputFlag, printPlan } from "../output/plan.ts";
import { printError } from "../terminal/port.ts";
import { readApplication } from "../units/application.ts";
import { allowUnknownFlag } from "../units/upload.ts";

/** `fleetctl diff`: shows how unit files differ from the cluster, and the effects of putting them there. */
export const diff: Command = {
  name: "diff",
  isNew: true,
  group: "units",
  summary: "Show what unit files would change in the cluster",
  usage: "diff [--allow-unknown] [--output=FORMAT] PATH...",
  description: `Compares unit files with the units of the cluster: single files, and directories with all their unit
files. A template brings the instances that its option Instances= names, and Desired= is the desired state of
a unit (launched by default). For each unit that differs, the changes of its file are shown, and the machines
on which it would start, restart or stop; for a unit that no machine would take, every reason. Other units
that would be affected follow. The daemon decides this with the scheduler of the engine. Nothing is changed.

${exitStatuses}`,
  examples: [
    { title: "Show what the unit files of a directory would change", line: "fleetctl diff ./shop" },
    { title: "Fail in a script unless the cluster is as the files say", line: "fleetctl diff ./shop >/dev/null" },
  ],
  flags: [allowUnknownFlag, planOutputFlag],
  usageStatus: exitFailure,
  async run(context) {
    const { io, args, client, flags } = context;
    planFormat(context);
    if (args.length === 0) throw new UsageError("no unit files or directories given");
    const { units, ignored, warnings, errors } = await readApplication(io, args, flags.on("allow-unknown"));
    for (const path of ignored) io.log("INFO", `${path} is no unit file and is ignored`);
    for (const warning of warnings) io.log("WARN", warning);
    for (const error of errors) printError(io, error);
    if (errors.length > 0) return exitFailure;
    const plan = await client.plan({
      units: units.map(({ name, options, desiredState }) => ({ name, options, desiredState })),
    });
    return await printPlan(context, plan, new Map(units.map((unit) => [unit.name, unit])));
  },
};
