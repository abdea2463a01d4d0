/**
 * Which globals run on a machine: decided by each agent alone, foreseen by the engine, by the same rule.
 *
 * @module
 */

import type { Unit } from "../../registry/model.ts";
import { isTemplate } from "../../systemd/unit_name.ts";
import { type Host, isAllowed, precedence, type Subject } from "./feasibility.ts";

/** A unit that takes part: wanted, and no template. Of one that cannot be read, nobody knows whether it is wanted. */
export function isActive(unit: Unit): boolean {
  if (unit.unreadable !== undefined) return false;
  if (unit.desiredState === "inactive") return false;
  // What can be no template is told at a glance: this is asked of every unit each time anything changes.
  return !unit.name.includes("@.") || !isTemplate(unit.name);
}

/** A global that takes part. */
export function isActiveGlobal(unit: Unit): boolean {
  return unit.requirements.global && isActive(unit);
}

/** A unit that the engine finds a machine for. */
export function isActiveJob(unit: Unit): boolean {
  return !unit.requirements.global && isActive(unit);
}

/**
 * Which of `globals` run on `host` beside `jobs`, which are there already: in order of precedence, each unless the
 * machine, a job, or a global before it, is against it. A job that has been placed never makes way for a global. Globals
 * that cannot be read may be on any machine, and keep no other away.
 */
export function globalsAmong(host: Host, jobs: readonly Subject[], globals: readonly Unit[]): Unit[] {
  const there: Subject[] = [...jobs];
  const chosen: Unit[] = [];
  for (const unit of [...globals].sort(precedence)) {
    const isReadable = unit.unreadable === undefined;
    if (isReadable && !isAllowed(unit, host, there)) continue;
    if (isReadable) there.push(unit);
    chosen.push(unit);
  }
  return chosen;
}
