import { UsageError } from "../cli/argv.ts";
import { type Command, exitFailure } from "../cli/command.ts";
import { exitStatuses, planFormat, planOutputFlag, printPlan } from "../output/plan.ts";
import { appFlag, appOf } from "../apps/name.ts";
import { applicationFlags, planApplication, pruneFlag } from "../apps/plan.ts";

/** `fleetctl diff`: shows how unit files differ from the cluster, and the effects of putting them there. */
export const diff: Command = {
  name: "diff",
  isNew: true,
  group: "apps",
  summary: "Show what unit files would change in the cluster",
  usage: "diff [--app=NAME] [--prune] [--allow-unknown] [--output=FORMAT] PATH...",
  description: `Compares unit files with the units of the cluster: single files, and directories with all their unit
files. A template brings the instances that its option Instances= names, and Desired= is the desired state of
a unit (launched by default). For each unit that differs, the changes of its file are shown, and the machines
on which it would start, restart or stop; for a unit that no machine would take, every reason. Other units
that would be affected follow. The daemon decides this with the scheduler of the engine. Nothing is changed.

The files are those of one application, as fleetctl apply takes them; with --app= (empty), of none.

${exitStatuses}`,
  examples: [
    { title: "Show what the unit files of a directory would change", line: "fleetctl diff ./shop" },
    { title: "Fail in a script unless the cluster is as the files say", line: "fleetctl diff ./shop >/dev/null" },
  ],
  flags: [appFlag, pruneFlag, ...applicationFlags, planOutputFlag],
  usageStatus: exitFailure,
  async run(context) {
    const { args, flags } = context;
    planFormat(context);
    if (args.length === 0) throw new UsageError("no unit files or directories given");
    const app = await appOf(context);
    if (app === undefined && flags.on(pruneFlag.name)) throw new UsageError("name the application with --app");
    const planned = await planApplication(context, app);
    return planned === undefined ? exitFailure : await printPlan(context, planned.plan, planned.files);
  },
};
