/**
 * The failures of units with OnFailure=move: counted, and started again until there are as many as MoveAfter= says.
 *
 * @module
 */

import type { Clock } from "../../runtime/clock.ts";
import { type Log, messageOf } from "../../runtime/log.ts";
import type { UnitName, UnitState } from "../../registry/model.ts";
import { parseRequirements } from "../../registry/requirements.ts";
import type { MoveAfter } from "../../registry/placement_options.ts";
import { optionsOf } from "../../systemd/unit_file.ts";
import { moveAfterText } from "../policy/failing.ts";
import type { DesiredUnit } from "./desired.ts";
import type { FailureMemory } from "./failure_memory.ts";
import { type Failure, nextRetry_ms } from "./failures.ts";
import type { Current } from "./plan.ts";

/** The pause before the unit is started again after its first failure, which doubles each time, and the longest one. */
const backoff = { first_ms: 5_000, most_ms: 60_000 } as const;

interface Counted {
  /** The file and the request for a restart that fail: a new one is counted from the beginning. */
  readonly of: string;
  readonly limit: MoveAfter;
  /** The times at which systemd gave up, monotonic clock. */
  readonly failedAt_ms: number[];
  /** systemd's time of the last one. */
  since_ms: number;
  retryAt_ms: number;
  /** True after a start again of which systemd's state has no trace yet. */
  isStarted: boolean;
}

/** Counts the failures that systemd has given up on. */
export class RepeatedFailures {
  readonly #counted = new Map<UnitName, Counted>();
  /** The limits by the hash of a file; undefined if the unit stays. */
  readonly #limits = new Map<string, MoveAfter | undefined>();
  /** The failures that the daemon before this one has counted, until the unit is seen again. */
  readonly #before = new Map<
    UnitName,
    { readonly of: string; readonly failedAt_ms: number[]; readonly since_ms: number }
  >();
  /** The failures that were saved last, as text. */
  #saved = "[]";
  /** The failures that could not be saved, as text. */
  #unsaved = "";

  constructor(private readonly clock: Clock, private readonly memory?: FailureMemory) {}

  /** Goes on with what the daemon before this one has counted. Call it before the first {@link update}. */
  async load(): Promise<void> {
    const age_ms = (at_ms: number) => Math.max(0, this.clock.now_ms() - at_ms);
    for (const [unit, { of, at_ms, since_ms }] of await this.memory?.load() ?? []) {
      const failedAt_ms = at_ms.map((at_ms) => this.clock.monotonic_ms() - age_ms(at_ms));
      this.#before.set(unit, { of, failedAt_ms, since_ms });
      this.#saved = "";
    }
  }

  /** Saves the failures if they have changed. Where that fails, for example on a full disk, the next call tries again. */
  async save(log: Log): Promise<void> {
    const failures = [...this.#before, ...this.#counted].filter(([, { failedAt_ms }]) => failedAt_ms.length > 0)
      .map(([unit, { of, failedAt_ms, since_ms }]) => [unit, { of, failedAt_ms, since_ms }] as const);
    const text = JSON.stringify(failures);
    if (text === this.#saved) return;
    const offset_ms = this.clock.now_ms() - this.clock.monotonic_ms();
    try {
      await this.memory?.save(
        new Map(failures.map(([unit, { of, failedAt_ms, since_ms }]) => {
          return [unit, { of, at_ms: failedAt_ms.map((at_ms) => Math.round(at_ms + offset_ms)), since_ms }];
        })),
      );
      this.#saved = text;
    } catch (error) {
      // Said once for each change: the agent looks at its units all the time.
      if (text !== this.#unsaved) log("warn", `cannot save the failures of units: ${messageOf(error)}`);
      this.#unsaved = text;
    }
  }

  /**
   * Counts new failures. Returns the units of which those that are to be started again count as loaded: the next plan starts
   * them.
   */
  update(
    current: ReadonlyMap<UnitName, Current>,
    wanted: ReadonlyMap<UnitName, DesiredUnit>,
    texts: ReadonlyMap<string, string>,
    now_ms: number,
  ): ReadonlyMap<UnitName, Current> {
    for (const map of [this.#counted, this.#before]) {
      for (const name of map.keys()) if (!current.has(name)) map.delete(name);
    }
    const hashes = new Set(Array.from(current.values(), ({ hash }) => hash));
    for (const hash of this.#limits.keys()) if (!hashes.has(hash)) this.#limits.delete(hash);
    const again = new Map<UnitName, Current>();
    for (const each of current.values()) {
      const desired = wanted.get(each.name);
      const limit = desired && this.#limitOf(each, texts);
      const isLaunched = desired?.desiredState === "launched" && desired.hash === each.hash;
      if (!limit || !isLaunched) this.#counted.delete(each.name);
      else if (this.#isDue(each, limit, desired, now_ms)) again.set(each.name, { ...each, commanded: "loaded" });
    }
    return again.size === 0 ? current : new Map([...current, ...again]);
  }

  /** Counts a new failure of a unit. Returns true if the unit is to be started again now. */
  #isDue(
    { name, hash, commanded, restart, status }: Current,
    limit: MoveAfter,
    desired: DesiredUnit,
    now_ms: number,
  ): boolean {
    const of = `${hash} ${desired.restart}`;
    let counted = this.#counted.get(name);
    if (counted?.of !== of) {
      const before = this.#before.get(name);
      const { failedAt_ms, since_ms } = before?.of === of ? before : { failedAt_ms: [], since_ms: -1 };
      const retryAt_ms = retryAfter(failedAt_ms, limit);
      counted = { of, limit, failedAt_ms, since_ms, retryAt_ms, isStarted: false };
      this.#before.delete(name);
      this.#counted.set(name, counted);
    }
    const { failedAt_ms } = counted;
    while (failedAt_ms.length > 0 && status.active !== "failed" && now_ms - failedAt_ms[0]! >= limit.within_ms) {
      failedAt_ms.shift();
    }
    if (status.active !== "failed" || commanded !== "launched" || restart < desired.restart) return false;
    // A start that systemd refuses, because there were too many, leaves no trace in the unit's state.
    const isRefused = counted.isStarted && counted.retryAt_ms <= now_ms;
    if (status.since_ms !== counted.since_ms || isRefused) {
      counted.since_ms = status.since_ms;
      counted.isStarted = false;
      failedAt_ms.push(now_ms);
      while (now_ms - failedAt_ms[0]! >= limit.within_ms) failedAt_ms.shift();
      counted.retryAt_ms = retryAfter(failedAt_ms, limit);
    }
    if (counted.retryAt_ms > now_ms) return false;
    counted.isStarted = true;
    counted.retryAt_ms = now_ms + backoff.most_ms;
    return true;
  }

  #limitOf({ name, hash }: Current, texts: ReadonlyMap<string, string>): MoveAfter | undefined {
    const text = texts.get(hash);
    if (text === undefined) return undefined;
    return this.#limits.getOrInsertComputed(hash, () => parseRequirements(name, optionsOf(text)).moveAfter);
  }

  /** Returns the failures of a unit within the time of its MoveAfter=, as they are published. */
  failures(unit: UnitName): Pick<UnitState, "failures"> {
    const failures = this.#counted.get(unit)?.failedAt_ms.length ?? 0;
    return failures === 0 ? {} : { failures };
  }

  /** Returns the units that are not started again here. */
  exhausted(): ReadonlyMap<UnitName, Failure> {
    const failures = new Map<UnitName, Failure>();
    for (const [name, { limit, failedAt_ms }] of this.#counted) {
      if (failedAt_ms.length < limit.failures) continue;
      const error = `it has failed ${moveAfterText(limit)}, and is not started again here (OnFailure=move)`;
      failures.set(name, { error, tried: false });
    }
    return failures;
  }

  /** Returns the milliseconds until a unit is started again; Infinity if none is. */
  nextTry_ms(now_ms: number): number {
    return nextRetry_ms(this.#counted.values(), now_ms);
  }
}

/** Returns the time at which a unit is started again after these failures; Infinity if it is not. */
function retryAfter(failedAt_ms: readonly number[], { failures }: MoveAfter): number {
  const last_ms = failedAt_ms.at(-1);
  if (last_ms === undefined || failedAt_ms.length >= failures) return Infinity;
  return last_ms + Math.min(backoff.most_ms, backoff.first_ms * 2 ** (failedAt_ms.length - 1));
}
