/**
 * Stops units with StopWhenDisconnected= when this machine has not reached the store for that long. Independent of the
 * agent's loop, so that no other work of the agent delays it.
 *
 * @module
 */

import { Notifier } from "../../runtime/notifier.ts";
import type { Clock } from "../../runtime/clock.ts";
import { within } from "../../runtime/within.ts";
import { type Log, messageOf } from "../../runtime/log.ts";
import type { UnitName } from "../../registry/model.ts";
import type { Systemd, UnitStatus } from "../../systemd/port.ts";
import { disconnectionDeadlines, type LeaseContact, seconds } from "../policy/disconnection.ts";
import { disconnectionLimits } from "./desired.ts";
import { type IntentMemory, isUp } from "./intent.ts";

/** Dependencies of {@link DisconnectionGuard}. */
export interface GuardOptions {
  readonly systemd: Pick<Systemd, "statuses" | "stop" | "kill">;
  readonly clock: Clock;
  readonly log: Log;
  readonly contact: () => LeaseContact;
  /** Records that the unit is to be started again when the store is reached, before and after it is stopped. */
  readonly record: (unit: UnitName, status: UnitStatus) => Promise<void>;
  /** Called when units have become overdue, or are no longer overdue. */
  readonly changed: () => void;
}

/** Dependencies of {@link guardAlone}. */
export interface GuardAloneOptions extends Pick<GuardOptions, "clock" | "log" | "contact"> {
  readonly systemd: Pick<Systemd, "files" | "statuses" | "stop" | "kill">;
  readonly memory: IntentMemory;
}

/**
 * Guards the units that an earlier daemon has left on this machine, until `signal` aborts: this daemon cannot join the
 * cluster, and so has no agent.
 */
export async function guardAlone(options: GuardAloneOptions, signal: AbortSignal): Promise<void> {
  const { systemd, memory } = options;
  const limits_ms = disconnectionLimits(await systemd.files());
  if (limits_ms.size === 0) return;
  const intents = await memory.load();
  const guard = new DisconnectionGuard({
    ...options,
    record: (unit, { invocation }) => {
      const restart = intents.get(unit)?.restart ?? 0;
      return memory.save(unit, { did: "load", done: true, invocation, restart });
    },
    changed: () => {},
  });
  guard.protect(limits_ms);
  await guard.run(signal);
}

/** Interval at which overdue units are looked at, milliseconds: something else may start them. */
const check_ms = 200;

/** Longest wait for the record of a stop, milliseconds. */
const recording_ms = 500;

/** Enforces the limits of the units of one machine. */
export class DisconnectionGuard {
  readonly #options: GuardOptions;
  readonly #wakeup = new Notifier();
  #limits_ms: ReadonlyMap<UnitName, number> = new Map();
  #overdue: ReadonlySet<UnitName> = new Set();
  readonly #stopping = new Set<UnitName>();
  readonly #killing = new Set<UnitName>();
  /** Units that are named in the log already, for the present disconnection. */
  readonly #logged = new Set<string>();

  constructor(options: GuardOptions) {
    this.#options = options;
  }

  /** Sets StopWhenDisconnected= of each unit on the machine, milliseconds. */
  protect(limits_ms: ReadonlyMap<UnitName, number>): void {
    const before = this.#limits_ms;
    this.#limits_ms = limits_ms;
    if (before.size === limits_ms.size && [...limits_ms].every(([unit, limit]) => before.get(unit) === limit)) return;
    this.#wakeup.notify();
  }

  /** Returns the units that must not run now, with the reason. */
  overdue(): ReadonlyMap<UnitName, string> {
    const { clock, contact } = this.#options;
    const now_ms = clock.monotonic_ms();
    const overdue = new Map<UnitName, string>();
    for (const [unit, limit_ms] of this.#limits_ms) {
      const { renewedAt_ms } = contact();
      const { stopAt_ms } = disconnectionDeadlines(limit_ms, contact());
      if (now_ms < stopAt_ms) continue;
      const away = seconds(stopAt_ms - renewedAt_ms);
      overdue.set(
        unit,
        `stopped because the store has not been reached for ${away} (StopWhenDisconnected=${seconds(limit_ms)})`,
      );
    }
    return overdue;
  }

  /** Runs until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    while (!signal.aborted) {
      const seen = this.#wakeup.count;
      const overdue = this.overdue();
      this.#compare(overdue);
      if (overdue.size > 0) await this.#enforce(overdue);
      if (this.#wakeup.count === seen) await this.#wakeup.waitPastFor(seen, this.#wait_ms(), clock, signal);
    }
  }

  /** Returns the time until the first unit becomes overdue, or until overdue units are looked at again. */
  #wait_ms(): number {
    const { clock, contact } = this.#options;
    if (this.#overdue.size > 0) return check_ms;
    const stops_ms = [...this.#limits_ms.values()].map((limit) => disconnectionDeadlines(limit, contact()).stopAt_ms);
    // A fraction of a millisecond may be lost when it is added to the time.
    return Math.max(1, Math.min(...stops_ms) - clock.monotonic_ms());
  }

  #compare(overdue: ReadonlyMap<UnitName, string>): void {
    const before = this.#overdue;
    this.#overdue = new Set(overdue.keys());
    if (before.size === overdue.size && this.#overdue.isSubsetOf(before)) return;
    const back = [...before].filter((unit) => !overdue.has(unit));
    for (const unit of back) {
      const was = this.#logged.delete(`stop ${unit}`);
      this.#logged.delete(`kill ${unit}`);
      if (!was || !this.#limits_ms.has(unit)) continue;
      this.#options.log("info", "the store is reached again: the unit is started if it still belongs here", { unit });
    }
    this.#options.changed();
  }

  async #enforce(overdue: ReadonlyMap<UnitName, string>): Promise<void> {
    const { systemd, clock, log, contact } = this.#options;
    try {
      const statuses = await systemd.statuses(new Set(overdue.keys()));
      for (const [unit, why] of overdue) {
        const status = statuses.get(unit);
        if (!status || !isUp(status)) continue;
        if (status.active !== "deactivating" && !this.#stopping.has(unit)) void this.#stop(unit, status, why);
        const { killAt_ms } = disconnectionDeadlines(this.#limits_ms.get(unit) ?? 0, contact());
        if (clock.monotonic_ms() >= killAt_ms && !this.#killing.has(unit)) void this.#kill(unit);
      }
    } catch (error) {
      this.#logOnce("states", "error", `cannot stop units that must not run: ${messageOf(error)}`);
      return;
    }
    if (this.#logged.delete("states")) log("info", "systemd answers again");
  }

  async #stop(unit: UnitName, status: UnitStatus, why: string): Promise<void> {
    const { systemd, clock, log, record } = this.#options;
    this.#stopping.add(unit);
    this.#logOnce(`stop ${unit}`, "warn", why, unit);
    try {
      // A command that is not recorded is given all the same: the unit must not run.
      await within(recording_ms, clock, () => record(unit, status)).catch((error) => {
        log("error", messageOf(error), { unit });
      });
      const job = await systemd.stop(unit);
      await job.done;
      // A command of the agent that was in progress may have replaced the record.
      await record(unit, status);
    } catch (error) {
      log("error", messageOf(error), { unit });
    } finally {
      this.#stopping.delete(unit);
    }
  }

  async #kill(unit: UnitName): Promise<void> {
    const { systemd, log } = this.#options;
    this.#killing.add(unit);
    this.#logOnce(
      `kill ${unit}`,
      "warn",
      "it has not stopped in time and is killed: another machine may start it soon",
      unit,
    );
    try {
      await systemd.kill(unit);
    } catch (error) {
      log("error", messageOf(error), { unit });
    } finally {
      this.#killing.delete(unit);
    }
  }

  #logOnce(key: string, level: "warn" | "error", message: string, unit?: UnitName): void {
    if (this.#logged.has(key)) return;
    this.#logged.add(key);
    this.#options.log(level, message, unit === undefined ? {} : { unit });
  }
}
