/**
 * Replaces units that run a few at a time, and stops at the first that does not come back.
 *
 * @module
 */

import { parseRequirements } from "../../registry/requirements.ts";
import { templateOf } from "../../systemd/unit_name.ts";
import type { FlagSpec } from "../cli/argv.ts";
import type { Context } from "../cli/command.ts";
import { inParallel } from "../../runtime/parallel.ts";
import type { Planned } from "./upload.ts";
import { complain } from "../terminal/port.ts";
import type { UnitPlan } from "./resolve_source.ts";

/** `--max-parallel`, for a command whose units are `what` a few at a time. */
export function maxParallelFlag(what: string): FlagSpec {
  return {
    name: "max-parallel",
    kind: "count",
    fallback: 1,
    help: `How many units may be ${what} at the same time`,
  };
}

/** How many units may be away at the same time. */
export function maxParallel({ flags }: Context): number {
  return Math.max(1, flags.number("max-parallel"));
}

/** Plans in two parts: what can be done at once, and groups of units of which only some may be away at a time. */
export interface RollingPlans {
  readonly atOnce: readonly UnitPlan[];
  readonly groups: readonly (readonly UnitPlan[])[];
}

/**
 * Sets apart the units of each template that are to be replaced while they run, where they are more than may be away at
 * a time. Without waiting, all are replaced at once.
 */
export function rollingPlans(context: Context, { plans, failures = [] }: Planned): RollingPlans {
  if (context.flags.on("no-block")) return { atOnce: plans, groups: [] };
  const groups = new Map<string, UnitPlan[]>();
  for (const plan of plans) {
    if (!isReplacedWhileRunning(plan)) continue;
    const key = templateOf(plan.name) ?? plan.name;
    const group = groups.get(key);
    if (group) group.push(plan);
    else groups.set(key, [plan]);
  }
  const large = [...groups.values()].filter((group) => group.length > maxParallel(context));
  const later = new Set(large.flat());
  // Where a unit cannot be created none is started, so that none may be stopped either.
  return { atOnce: plans.filter((plan) => !later.has(plan)), groups: failures.length > 0 ? [] : large };
}

function isReplacedWhileRunning({ name, options, existing }: UnitPlan): boolean {
  return options !== undefined && existing?.desiredState === "launched" && !parseRequirements(name, options).global;
}

/**
 * Replaces the units of all groups by `replace`, which returns false if one does not come back. None is replaced if one
 * of those at once `hasFailed`.
 */
export async function rollOut(
  context: Context,
  groups: RollingPlans["groups"],
  hasFailed: boolean,
  replace: (plan: UnitPlan) => Promise<boolean>,
): Promise<boolean> {
  let failed = hasFailed ? "another unit" : undefined;
  const left: string[] = [];
  await inParallel(groups, async (group) => {
    await inParallel(group, async (plan) => {
      if (failed !== undefined) left.push(plan.name);
      else if (!await replace(plan)) failed ??= plan.name;
    }, maxParallel(context));
  });
  if (failed !== undefined && left.length > 0) {
    complain(context.io, `Not replaced, since ${failed} has failed: ${left.join(", ")}`);
  }
  return failed === undefined;
}
