/**
 * Checks the health of this machine's active units with HealthCheck=. Independent of the agent's loop, so that a slow check
 * delays no start and no stop. The effects are those of a {@link HealthProbe}.
 *
 * @module
 */

import type { Clock } from "../../runtime/clock.ts";
import { type Log, messageOf } from "../../runtime/log.ts";
import { Notifier } from "../../runtime/notifier.ts";
import { type HealthCheck, healthCheckOf } from "../../registry/health_check.ts";
import type { UnitName } from "../../registry/model.ts";
import { optionsOf } from "../../systemd/unit_file.ts";
import type { Current } from "./plan.ts";
import {
  afterCheck,
  afterNoCheck,
  beginChecks,
  type CheckedUnit,
  type PublishedHealth,
  sameHealth,
} from "./unit_health.ts";

/**
 * Makes one check of a unit. Returns why it has failed, a sentence for people to read; undefined if it has passed. It ends
 * after the check's timeout, or when `signal` aborts. Rejects if the check could not be made, which says nothing about the
 * unit.
 */
export type HealthProbe = (unit: UnitName, check: HealthCheck, signal: AbortSignal) => Promise<string | undefined>;

/** Dependencies of {@link HealthMonitor}. */
export interface HealthMonitorOptions {
  readonly probe: HealthProbe;
  readonly clock: Clock;
  readonly log: Log;
  /** Called when the health of a unit has changed. */
  readonly changed: () => void;
}

/** The most checks that a machine makes at a time. */
const maxChecks = 8;

/** States in which a unit runs. */
const runningStates: ReadonlySet<string> = new Set(["active", "reloading"]);

/** Keeps the health of the units of one machine. */
export class HealthMonitor {
  readonly #options: HealthMonitorOptions;
  readonly #wakeup = new Notifier();
  readonly #units = new Map<UnitName, CheckedUnit>();
  readonly #running = new Set<UnitName>();
  /** The check of each unit on disk, with the hash of the file that has it. */
  #checks = new Map<UnitName, { readonly hash: string; readonly check: HealthCheck | undefined }>();

  constructor(options: HealthMonitorOptions) {
    this.#options = options;
  }

  /** Sets the units on disk with their status. `texts`: their files by hash. */
  update(current: ReadonlyMap<UnitName, Current>, texts: ReadonlyMap<string, string>): void {
    const checks = new Map<UnitName, { readonly hash: string; readonly check: HealthCheck | undefined }>();
    let hasNew = false;
    for (const { name, hash, status: { active, invocation } } of current.values()) {
      const text = texts.get(hash);
      const known = this.#checks.get(name);
      if (known?.hash !== hash && text === undefined) continue;
      const { check } = known?.hash === hash ? known : { check: healthCheckOf(name, optionsOf(text!)) };
      checks.set(name, { hash, check });
      if (check === undefined || !runningStates.has(active)) continue;
      const unit = this.#units.get(name);
      if (unit?.invocation === invocation && unit.check === check) continue;
      this.#units.set(name, beginChecks(check, invocation, this.#options.clock.monotonic_ms()));
      hasNew = true;
    }
    this.#checks = checks;
    for (const name of this.#units.keys()) {
      const isChecked = checks.get(name)?.check !== undefined;
      if (!isChecked || !runningStates.has(current.get(name)?.status.active ?? "")) this.#units.delete(name);
    }
    if (hasNew) this.#wakeup.notify();
  }

  /** Returns the health of a unit; empty if it is not known. */
  healthOf(unit: UnitName): PublishedHealth {
    return this.#units.get(unit)?.health ?? {};
  }

  /** Makes checks until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    while (!signal.aborted) {
      const seen = this.#wakeup.count;
      const wait_ms = this.#beginDue(signal);
      if (this.#wakeup.count === seen) await this.#wakeup.waitPastFor(seen, wait_ms, clock, signal);
    }
  }

  /** Begins the checks that are due, those that have waited longest first. Returns the time until the next one. */
  #beginDue(signal: AbortSignal): number {
    const now_ms = this.#options.clock.monotonic_ms();
    const waiting = [...this.#units].filter(([name]) => !this.#running.has(name))
      .sort(([, a], [, b]) => a.dueAt_ms - b.dueAt_ms);
    for (const [name, unit] of waiting) {
      // The end of a check wakes the loop.
      if (this.#running.size >= maxChecks) return longestWait_ms;
      if (unit.dueAt_ms > now_ms) return Math.min(longestWait_ms, Math.max(1, unit.dueAt_ms - now_ms));
      this.#running.add(name);
      void this.#check(name, unit, signal);
    }
    return longestWait_ms;
  }

  async #check(name: UnitName, unit: CheckedUnit, signal: AbortSignal): Promise<void> {
    const { probe, clock, log, changed } = this.#options;
    let after: CheckedUnit;
    const time = () => ({ monotonic_ms: clock.monotonic_ms(), now_ms: clock.now_ms(), random: clock.random() });
    try {
      const failure = await probe(name, unit.check, signal);
      after = afterCheck(unit, failure, time());
    } catch (error) {
      if (!signal.aborted) log("warn", `cannot check its health: ${messageOf(error)}`, { unit: name });
      after = afterNoCheck(unit, time());
    }
    this.#running.delete(name);
    // A result of an earlier run of the unit says nothing about the present one.
    if (this.#units.get(name) === unit && !signal.aborted) {
      this.#units.set(name, after);
      this.#report(name, unit, after);
      if (!sameHealth(unit.health, after.health)) changed();
    }
    this.#wakeup.notify();
  }

  #report(unit: UnitName, before: CheckedUnit, { health: { health, healthReason } }: CheckedUnit): void {
    if (before.health.health === health && before.health.healthReason === healthReason) return;
    // A unit that still starts fails its first checks.
    const level = health === "failing" && before.hasPassed ? "warn" : "info";
    this.#options.log(level, `its health check ${health === "failing" ? `fails: ${healthReason}` : "passes"}`, {
      unit,
    });
  }
}

/** Longest pause of the loop while no check is due, milliseconds. */
const longestWait_ms = 60_000;
