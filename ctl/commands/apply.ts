import { UsageError } from "../cli/argv.ts";
import { type Command, exitFailure } from "../cli/command.ts";
import { carryOut, rolloutFlags, rolloutHelp } from "../apps/carry_out.ts";
import { appFlag, appOf } from "../apps/name.ts";
import { applicationFlags, planApplication, pruneFlag } from "../apps/plan.ts";
import { planFormat } from "../output/plan.ts";

/** `fleetctl apply`: brings the units of an application to what their files say. */
export const apply: Command = {
  name: "apply",
  isNew: true,
  group: "apps",
  summary: "Deploy an application from the unit files of a directory",
  usage: "apply [--app=NAME] [--prune] [--yes|--dry-run] [--max-parallel=N] [--no-rollback] " +
    "[--no-block|--timeout=TIME] [--output=FORMAT] PATH...",
  description:
    `Shows how the unit files differ from the units of the cluster, as fleetctl diff does, asks, and changes the
units. The units belong to the application from then on: another application cannot change them. Units of the
application that no file names stay, unless --prune is given.

${rolloutHelp}

The exit status is 0 if the files are applied, and 1 if not. With --dry-run it is that of fleetctl diff.`,
  examples: [
    { title: "Deploy the application of a directory", line: "fleetctl apply ./shop" },
    {
      title: "Deploy in a script, and destroy units that have no file any more",
      line: "fleetctl apply --yes --prune ./shop",
    },
    { title: "Apply one unit of the application", line: "fleetctl apply --app=shop web@.service" },
  ],
  flags: [appFlag, pruneFlag, ...applicationFlags, ...rolloutFlags],
  usageStatus: exitFailure,
  async run(context) {
    planFormat(context);
    if (context.args.length === 0) throw new UsageError("no unit files or directories given");
    const app = await appOf(context);
    if (app === undefined) throw new UsageError("give the application a name with --app");
    const planned = await planApplication(context, app);
    return planned === undefined ? exitFailure : await carryOut(context, { app, what: "apply", ...planned });
  },
};
