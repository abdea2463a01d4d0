/**
 * When the health of a unit is checked, and what its checks say. Pure.
 *
 * @module
 */

import type { HealthCheck } from "../../registry/health_check.ts";
import type { UnitState } from "../../registry/model.ts";

/** The part of a published state that says how healthy a unit is. */
export type PublishedHealth = Pick<UnitState, "health" | "healthReason" | "healthSince_ms">;

/** A unit that is active, and its checks so far. */
export interface CheckedUnit {
  readonly check: HealthCheck;
  /** Invocation ID of the run that is checked. */
  readonly invocation: string;
  /** Monotonic clock when the run was first seen, and at the next check, milliseconds. */
  readonly seenAt_ms: number;
  readonly dueAt_ms: number;
  readonly hasPassed: boolean;
  /** Empty before the first check. */
  readonly health: PublishedHealth;
}

/** The time at the end of a check, and a random number below 1. */
export interface CheckTime {
  readonly monotonic_ms: number;
  readonly now_ms: number;
  readonly random: number;
}

/** Pause between the checks of a unit that has not passed yet, and how long it is that short, milliseconds. */
const starting_ms = { pause: 1_000, phase: 60_000 } as const;

/** The longest reason that is published, in characters. */
const maxReason = 200;

/** Returns a unit that has just become active: it is checked at once. */
export function beginChecks(check: HealthCheck, invocation: string, monotonic_ms: number): CheckedUnit {
  return { check, invocation, seenAt_ms: monotonic_ms, dueAt_ms: monotonic_ms, hasPassed: false, health: {} };
}

/** Returns a unit after a check, which has failed for the reason `failure`, or has passed. */
export function afterCheck(unit: CheckedUnit, failure: string | undefined, at: CheckTime): CheckedUnit {
  const hasPassed = unit.hasPassed || failure === undefined;
  const isStarting = !hasPassed && at.monotonic_ms - unit.seenAt_ms < starting_ms.phase;
  const { interval_ms } = unit.check;
  // A tenth earlier at most, at random: units that were started together drift apart.
  const pause_ms = isStarting ? Math.min(starting_ms.pause, interval_ms) : interval_ms * (1 - at.random / 10);
  return { ...unit, hasPassed, dueAt_ms: at.monotonic_ms + pause_ms, health: nextHealth(unit.health, failure, at) };
}

/** Returns a unit whose check could not be made: its health is as it was, and it is checked again after its interval. */
export function afterNoCheck(unit: CheckedUnit, { monotonic_ms }: CheckTime): CheckedUnit {
  return { ...unit, dueAt_ms: monotonic_ms + unit.check.interval_ms };
}

function nextHealth(before: PublishedHealth, failure: string | undefined, { now_ms }: CheckTime): PublishedHealth {
  const health = failure === undefined ? "passing" : "failing";
  const since_ms = before.health === health ? before.healthSince_ms ?? now_ms : now_ms;
  if (failure === undefined) return { health, healthSince_ms: since_ms };
  const reason = failure.length > maxReason ? `${failure.slice(0, maxReason).toWellFormed()}…` : failure;
  return { health, healthReason: reason, healthSince_ms: since_ms };
}

/** True if both would be published in the same way. */
export function sameHealth(a: PublishedHealth, b: PublishedHealth): boolean {
  return a.health === b.health && a.healthReason === b.healthReason && a.healthSince_ms === b.healthSince_ms;
}
