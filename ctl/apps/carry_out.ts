/**
 * Carries out a plan of an application: shows it, asks, starts the roll-out, and follows it.
 *
 * @module
 */

import { counted } from "../../runtime/counted.ts";
import type { AppRequest, PlanEntity } from "../../daemon/api/v1/types.ts";
import { countFlag, type FlagSpec, secondsFlag, switchFlag } from "../cli/argv.ts";
import { type Context, exitFailure } from "../cli/command.ts";
import { timeoutFlagName } from "../cli/global_flags.ts";
import { documentText } from "../output/list.ts";
import {
  planDocument,
  planFormat,
  type PlannedFiles,
  planOutputFlag,
  planSummary,
  printChanges,
  printPlan,
  printRefusals,
} from "../output/plan.ts";
import { printLine } from "../terminal/port.ts";
import { uploadContents } from "../units/attached_contents.ts";
import { noBlockFlag, nothingDone, yesFlag } from "../units/set_state.ts";
import { followRollout } from "./follow.ts";

/** `--dry-run`. */
const dryRunFlag = switchFlag("dry-run", "Show the changes, and change nothing");

/** Flags of every command that starts a roll-out. */
export const rolloutFlags: readonly FlagSpec[] = [
  dryRunFlag,
  yesFlag,
  countFlag(
    "max-parallel",
    0,
    "Change at most N units of a template, or machines of a global unit, at the same time (default as MaxParallel= says)",
  ),
  switchFlag("no-rollback", "Leave changed units as they are if a unit does not become healthy"),
  secondsFlag(timeoutFlagName, 0, "Stop waiting after this time; the roll-out continues; 0 is no limit"),
  noBlockFlag("changed"),
  planOutputFlag,
];

/** The paragraph about roll-outs in the help of commands that start one. */
export const rolloutHelp =
  `The cluster carries out the changes as they are shown, in steps: at most MaxParallel= units of a template, or
machines of a global unit, at a time, and the next ones when these are healthy. If a unit does not become
healthy, the units that were changed go back to what they were, unless --no-rollback is given. The roll-out does
not need this command any more: ^C leaves it running, and fleetctl rollout shows, pauses, aborts and undoes it.`;

/** The change of an application that a plan shows. */
export interface AppChange {
  readonly app: string;
  readonly what: "apply" | "scale" | "rollback";
  readonly plan: PlanEntity;
  readonly files: PlannedFiles;
}

/** Carries out a plan. Returns the exit status. */
export async function carryOut(context: Context, change: AppChange): Promise<number> {
  const { io, flags, client } = context;
  const { plan, files, app, what } = change;
  if (flags.on(dryRunFlag.name)) return await printPlan(context, plan, files);
  const format = planFormat(context);
  const isDocument = format === "json" || format === "yaml";
  const changes = changesOf(plan, files);
  const size = changes.units.length + changes.destroy.length;
  if (!isDocument) {
    await printChanges(context, plan, files);
    printLine(io, size === 0 ? `${planSummary(plan)} Nothing to do.` : planSummary(plan));
  }
  if (printRefusals(context, plan, files) > 0) return exitFailure;
  if (size === 0) {
    if (isDocument) io.out(await documentText(await planDocument(context, plan, files), format));
    return 0;
  }
  await confirmChange(context, change, size);
  const contents = changes.units.flatMap(({ name }) => [...files.get(name)?.contents ?? []]);
  await uploadContents(client, new Map(contents));
  const maxParallel = flags.number("max-parallel");
  const begun = await client.startRollout(app, {
    ...changes,
    ...{ what, rollback: !flags.on("no-rollback") },
    ...maxParallel > 0 && { maxParallel },
  });
  const followed = flags.on("no-block")
    ? { rollout: begun, status: 0 }
    : await followRollout(context, begun, { isQuiet: isDocument });
  if (isDocument) {
    io.out(await documentText({ ...await planDocument(context, plan, files), rollout: followed.rollout }, format));
  } else if (flags.on("no-block")) {
    printLine(io, `Triggered the roll-out of ${app}. See: fleetctl rollout status ${app}`);
  }
  return followed.status;
}

/** Asks before units are changed. Throws if the answer is no, or cannot be asked for. */
export async function confirmChange({ io, flags }: Context, { app }: AppChange, size: number): Promise<void> {
  if (flags.on(yesFlag.name)) return;
  const answer = await io.confirm(`About to change ${counted(size, "unit")} of ${app}. Continue?`);
  if (answer === false) throw new Error(nothingDone);
  if (answer === undefined) throw new Error(`There is no terminal to ask on. ${nothingDone}`);
}

/** Returns the changes of a plan as the API takes them, each with the revision that it was planned on. */
function changesOf({ units = [] }: PlanEntity, files: PlannedFiles): Required<Pick<AppRequest, "units" | "destroy">> {
  const isPut = (change: string) => ["create", "replace", "update", "adopt"].includes(change);
  return {
    units: units.filter(({ change }) => isPut(change)).map(({ name, desiredState, revision = 0 }) => ({
      name,
      revision,
      ...desiredState !== undefined && { desiredState },
      ...files.has(name) && { options: files.get(name)!.options },
    })),
    destroy: units.filter(({ change }) => change === "destroy").map(({ name, revision = 0 }) => ({ name, revision })),
  };
}
