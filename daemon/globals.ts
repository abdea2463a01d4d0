/**
 * Which globals run on a machine: decided by each agent alone, foreseen by the engine, by the same rule.
 *
 * @module
 */

import type { Unit } from "../registry/model.ts";
import { isTemplate } from "../systemd/unit_name.ts";
import { type Host, placement, precedence, type Subject } from "./placement.ts";

/** A global that takes part: wanted, and no template. */
export function isActiveGlobal(unit: Unit): boolean {
  return unit.requirements.global && unit.desiredState !== "inactive" && !isTemplate(unit.name);
}

/**
 * Which of `globals` run on `host` beside `jobs`, which are there already: in order of precedence, each unless the
 * machine, a job, or a global before it, is against it.
 */
export function globalsAmong(host: Host, jobs: readonly Subject[], globals: readonly Unit[]): Unit[] {
  const there: Subject[] = [...jobs];
  const chosen: Unit[] = [];
  for (const unit of [...globals].sort(precedence)) {
    if (placement(unit, host, there).refusals.length > 0) continue;
    there.push(unit);
    chosen.push(unit);
  }
  return chosen;
}
