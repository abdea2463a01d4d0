/**
 * Rolling replacement: replaces running units a few at a time, until one fails.
 *
 * @module
 */

import { parseRequirements } from "../../registry/requirements.ts";
import { templateOf } from "../../systemd/unit_name.ts";
import { countFlag, type FlagSpec } from "../cli/argv.ts";
import type { Context } from "../cli/command.ts";
import { inParallel } from "../../runtime/parallel.ts";
import type { Planned } from "./upload.ts";
import { printError } from "../terminal/port.ts";
import { CreationError, type UnitPlan } from "./resolve_source.ts";

/** `--max-parallel`, for a command whose units are `done` a few at a time, for example restarted. */
export function maxParallelFlag(done: string): FlagSpec {
  return countFlag("max-parallel", 1, `Let at most N units be ${done} at the same time`);
}

/** Returns the number of units that may be down at the same time. */
export function maxParallel({ flags }: Context): number {
  return Math.max(1, flags.number("max-parallel"));
}

/**
 * Separates units that are replaced at once from groups of which only some may be down at a time: the running units of each
 * template that are replaced, if they are more than may be down. With `--no-block`, all are replaced at once.
 */
export function rollingPlans(context: Context, { plans, failures = [] }: Planned) {
  if (context.flags.on("no-block")) return { atOnce: plans, groups: [] };
  const groups = Map.groupBy(plans.filter(isReplacedWhileRunning), ({ name }) => templateOf(name) ?? name);
  const large = [...groups.values()].filter((group) => group.length > maxParallel(context));
  const later = new Set(large.flat());
  // If a unit cannot be created no unit is started: then none may be stopped either.
  return { atOnce: plans.filter((plan) => !later.has(plan)), groups: failures.length > 0 ? [] : large };
}

function isReplacedWhileRunning({ name, options, existing }: UnitPlan): boolean {
  return options !== undefined && existing?.desiredState === "launched" && !parseRequirements(name, options).global;
}

/**
 * Calls `replace`, which returns false if the unit fails, for the units of all groups. Replaces none if one of the units
 * that are replaced at once `hasFailed`.
 */
export async function rollOut(
  context: Context,
  groups: readonly (readonly UnitPlan[])[],
  hasFailed: boolean,
  replace: (plan: UnitPlan) => Promise<boolean>,
): Promise<boolean> {
  let failed = hasFailed ? "another unit" : undefined;
  const left: string[] = [];
  const report = (error: unknown) => {
    if (!(error instanceof CreationError)) throw error;
    printError(context.io, error.message);
    return false;
  };
  await inParallel(groups, async (group) => {
    await inParallel(group, async (plan) => {
      if (failed !== undefined) left.push(plan.name);
      else if (!await replace(plan).catch(report)) failed ??= plan.name;
    }, maxParallel(context));
  });
  if (failed !== undefined && left.length > 0) {
    printError(context.io, `Not replaced because ${failed} has failed: ${left.join(", ")}`);
  }
  return failed === undefined;
}
