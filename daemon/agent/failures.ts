/**
 * Failed commands: the reason, and the time of the next try.
 *
 * @module
 */

import type { Clock } from "../../runtime/clock.ts";
import type { UnitName } from "../../registry/model.ts";
import type { DesiredUnit } from "./desired.ts";
import { startsAgain } from "./job_results.ts";

interface TrackedFailure {
  readonly error: string;
  /** The desired state at the failure: a new one is tried at once. */
  readonly desired: string;
  readonly attempts: number;
  readonly isPermanent: boolean;
  /** Monotonic clock; Infinity if the command is not repeated. */
  readonly retryAt_ms: number;
  /** The same by the wall clock. */
  readonly retryWall_ms: number;
}

/** A failure as it is published in a unit's state. */
export interface Failure {
  readonly error: string;
  /** True if the command is repeated; false if it was carried out, and its result was a failure. */
  readonly tried: boolean;
  /** systemd will refuse the command again until the unit's file or the machine's configuration changes. */
  readonly isPermanent?: boolean;
  /** The failed attempts so far, and the wall clock of the next one, milliseconds since the epoch. */
  readonly retry?: { readonly tries: number; readonly at_ms: number };
}

type Times = Pick<Clock, "monotonic_ms" | "now_ms">;

const backoff = { first_ms: 1_000, most_ms: 60_000 } as const;

/** Tracks failures by unit. */
export class FailureTracker {
  readonly #failures = new Map<UnitName, TrackedFailure>();

  /** Records a command that was refused or had no effect. It is repeated after a pause that doubles each time. */
  failed(unit: UnitName, wanted: DesiredUnit | undefined, error: string, clock: Times, isPermanent = false): void {
    const desired = desiredKey(wanted);
    const before = this.#failures.get(unit);
    const attempts = before?.desired === desired ? before.attempts + 1 : 1;
    const wait_ms = Math.min(backoff.most_ms, backoff.first_ms * 2 ** Math.min(attempts - 1, 16));
    this.#failures.set(unit, {
      error,
      desired,
      attempts,
      isPermanent,
      retryAt_ms: clock.monotonic_ms() + wait_ms,
      retryWall_ms: clock.now_ms() + wait_ms,
    });
  }

  /** Records a start that systemd has carried out and that failed. It is not repeated. */
  startFailed(unit: UnitName, wanted: DesiredUnit | undefined, error: string): void {
    this.#failures.set(unit, {
      error,
      desired: desiredKey(wanted),
      attempts: 0,
      isPermanent: false,
      retryAt_ms: Infinity,
      retryWall_ms: Infinity,
    });
  }

  /** Removes the failure of a unit whose command has succeeded. */
  succeeded(unit: UnitName): void {
    this.#failures.delete(unit);
  }

  /** Returns the units whose failed command must not be repeated yet. */
  backingOff(wanted: ReadonlyMap<UnitName, DesiredUnit>, now_ms: number): Set<UnitName> {
    const names = new Set<UnitName>();
    for (const [name, failure] of this.#failures) {
      if (failure.attempts === 0 || failure.desired !== desiredKey(wanted.get(name))) continue;
      if (failure.retryAt_ms > now_ms) names.add(name);
    }
    return names;
  }

  /** Returns those of {@link backingOff} that are left alone. `isHere`: true if the machine has the unit's file. */
  held(
    wanted: ReadonlyMap<UnitName, DesiredUnit>,
    isHere: (unit: UnitName) => boolean,
    now_ms: number,
  ): ReadonlySet<UnitName> {
    const waiting = this.backingOff(wanted, now_ms);
    // A socket that failed for lack of its service is retried now: once the service runs, systemd refuses the socket.
    const getsMore = [...wanted.keys()].some((name) => !isHere(name) && !waiting.has(name));
    return getsMore ? new Set([...waiting].filter((name) => startsAgain(name) || !isHere(name))) : waiting;
  }

  /** Returns the milliseconds until the next try; Infinity if there is none. */
  nextTry_ms(now_ms: number): number {
    return nextRetry_ms(this.#failures.values(), now_ms);
  }

  /** Returns the failures by unit. */
  errors(): ReadonlyMap<UnitName, Failure> {
    return new Map([...this.#failures].map(([name, { error, attempts, isPermanent, retryWall_ms }]) => {
      const retry = attempts > 0 && { retry: { tries: attempts, at_ms: retryWall_ms } };
      return [name, { error, tried: attempts > 0, ...(isPermanent && { isPermanent }), ...retry }];
    }));
  }

  /** Drops the failures of other units, and those of an earlier desired state: they say nothing about a new file. */
  keepOnly(names: ReadonlySet<UnitName>, wanted: ReadonlyMap<UnitName, DesiredUnit>): void {
    for (const [name, { desired }] of this.#failures) {
      if (!names.has(name) || desired !== desiredKey(wanted.get(name))) this.#failures.delete(name);
    }
  }
}

function desiredKey(wanted: DesiredUnit | undefined): string {
  return wanted ? `${wanted.hash} ${wanted.desiredState} ${wanted.restart}` : "absent";
}

/** Returns the milliseconds until the earliest try that is still to come; Infinity if there is none. */
export function nextRetry_ms(tries: Iterable<{ readonly retryAt_ms: number }>, now_ms: number): number {
  let next_ms = Infinity;
  for (const { retryAt_ms } of tries) {
    if (retryAt_ms > now_ms) next_ms = Math.min(next_ms, retryAt_ms - now_ms);
  }
  return next_ms;
}
