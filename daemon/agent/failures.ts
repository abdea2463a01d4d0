/**
 * Commands that failed: why, and when each may be tried again.
 *
 * @module
 */

import type { UnitName } from "../../registry/model.ts";
import type { Wanted } from "./desired.ts";

interface TrackedFailure {
  readonly error: string;
  /** What was wanted when it failed: a new desired state is tried at once. */
  readonly desired: string;
  readonly attempts: number;
  readonly isPermanent: boolean;
  /** Monotonic clock; Infinity: the command went through, so there is nothing to try again. */
  readonly retryAt_ms: number;
}

/** What is told of a trouble. */
export interface Failure {
  readonly error: string;
  readonly tried: boolean;
  /** systemd will refuse the command again until the unit's file or the machine's configuration changes. */
  readonly isPermanent?: boolean;
}

const backoff = { first_ms: 1_000, most_ms: 60_000 } as const;

/** Remembers failures by unit. */
export class FailureTracker {
  readonly #failures = new Map<UnitName, TrackedFailure>();

  /** A command was refused, or did not do what it should: it waits, longer each time, before it is given again. */
  failed(unit: UnitName, wanted: Wanted | undefined, error: string, now_ms: number, isPermanent = false): void {
    const desired = desiredKey(wanted);
    const before = this.#failures.get(unit);
    const attempts = before?.desired === desired ? before.attempts + 1 : 1;
    const wait_ms = Math.min(backoff.most_ms, backoff.first_ms * 2 ** Math.min(attempts - 1, 16));
    this.#failures.set(unit, { error, desired, attempts, isPermanent, retryAt_ms: now_ms + wait_ms });
  }

  /** A command was carried out, and systemd says that it came to nothing. It is not given again. */
  noted(unit: UnitName, wanted: Wanted | undefined, error: string): void {
    this.#failures.set(unit, {
      error,
      desired: desiredKey(wanted),
      attempts: 0,
      isPermanent: false,
      retryAt_ms: Infinity,
    });
  }

  /** A command went through. */
  over(unit: UnitName): void {
    this.#failures.delete(unit);
  }

  /** Units whose failed command must not be given again yet. */
  waiting(wanted: ReadonlyMap<UnitName, Wanted>, now_ms: number): Set<UnitName> {
    const names = new Set<UnitName>();
    for (const [name, trouble] of this.#failures) {
      if (trouble.attempts === 0 || trouble.desired !== desiredKey(wanted.get(name))) continue;
      if (trouble.retryAt_ms > now_ms) names.add(name);
    }
    return names;
  }

  /** Milliseconds until the next try; Infinity if there is none. */
  nextTry_ms(now_ms: number): number {
    let next_ms = Infinity;
    for (const { retryAt_ms } of this.#failures.values()) {
      if (retryAt_ms > now_ms) next_ms = Math.min(next_ms, retryAt_ms - now_ms);
    }
    return next_ms;
  }

  /** Why each troubled unit's latest command failed; `tried` if it is given again, else it had come to nothing. */
  errors(): ReadonlyMap<UnitName, Failure> {
    return new Map([...this.#failures].map(([name, { error, attempts, isPermanent }]) => {
      return [name, { error, tried: attempts > 0, ...(isPermanent && { isPermanent }) }];
    }));
  }

  /** Forgets units that are neither wanted nor here. */
  keepOnly(names: ReadonlySet<UnitName>): void {
    for (const name of this.#failures.keys()) if (!names.has(name)) this.#failures.delete(name);
  }
}

function desiredKey(wanted: Wanted | undefined): string {
  return wanted ? `${wanted.hash} ${wanted.desiredState} ${wanted.restart}` : "absent";
}
