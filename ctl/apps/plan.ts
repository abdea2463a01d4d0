/**
 * Plans what unit files would change in the cluster.
 *
 * @module
 */

import type { PlanEntity } from "../../daemon/api/v1/types.ts";
import { type FlagSpec, switchFlag, UsageError } from "../cli/argv.ts";
import type { Context } from "../cli/command.ts";
import type { PlannedFiles } from "../output/plan.ts";
import { printError } from "../terminal/port.ts";
import { readApplication } from "../units/application.ts";
import { allowUnknownFlag, nameFlag, withInput } from "../units/upload.ts";

/** `--prune`. */
export const pruneFlag = switchFlag("prune", "Destroy units of the application that no file names");

/** Flags of every command that reads the files of an application. */
export const applicationFlags: readonly FlagSpec[] = [nameFlag, allowUnknownFlag];

/** True if one of the arguments is a directory. */
async function namesDirectory({ io, args }: Context): Promise<boolean> {
  for (const path of args) if (await io.filesIn(path)) return true;
  return false;
}

/**
 * Plans the files of the arguments as units of an application, or of none. Returns undefined, after error messages, if
 * the files cannot be used.
 */
export async function planApplication(
  context: Context,
  app: string | undefined,
): Promise<{ readonly plan: PlanEntity; readonly files: PlannedFiles } | undefined> {
  const { flags, client } = context;
  const isPruned = flags.on(pruneFlag.name);
  const hasDirectory = await namesDirectory(context);
  if (isPruned && !hasDirectory) throw new UsageError("--prune needs the directory of the application");
  const { io, args } = await withInput(context);
  const { units, ignored, warnings, errors } = await readApplication(io, args, flags.on("allow-unknown"));
  for (const note of ignored) io.log("INFO", note);
  for (const warning of warnings) io.log("WARN", warning);
  for (const error of errors) printError(io, error);
  if (errors.length > 0) return undefined;
  const { left = [], ...plan } = await client.plan({
    units: units.map(({ name, options, desiredState }) => ({ name, options, desiredState })),
    ...app !== undefined && { app },
    ...isPruned && { prune: true },
  });
  // Single files are meant to be a part of the application.
  return {
    plan: { ...plan, ...hasDirectory && left.length > 0 && { left } },
    files: new Map(units.map((unit) => [unit.name, unit])),
  };
}
