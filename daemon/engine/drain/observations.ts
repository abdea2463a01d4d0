/**
 * What a leader has seen of units that move: for how long each was healthy, and which machines did not get it healthy. A new
 * leader begins without it: it waits a little longer, and decides the same.
 *
 * @module
 */

import { rolloutOptionsOf } from "../../../registry/deployment.ts";
import type { Cluster, MachineId, Unit, UnitName, UnitState } from "../../../registry/model.ts";
import { type Health, healthOn } from "../../policy/health.ts";

/** Shortest and longest pause after a failed move of a unit, milliseconds. */
const retry_ms = { first: 30_000, longest: 10 * 60_000 } as const;

const noMachines: ReadonlySet<MachineId> = new Set();

/** Returns the reason why a unit that is healthy does not count as that yet: it may still fail at once. */
export function notLongEnough(machine: MachineId): string {
  return `is healthy on machine ${machine.slice(0, 8)}, and not yet for MinHealthyTime=`;
}

interface Sighting {
  /** {@link Health.start} of a healthy unit; "" if it is not healthy. */
  readonly start: string;
  readonly since_ms: number;
}

/** A second copy. */
interface Copy {
  /** The time at which it was begun, or first seen. */
  readonly since_ms: number;
  /** {@link UnitState.since_ms} of what its machine reported before: an earlier copy, which its agent had not removed yet. */
  readonly earlier_ms?: number | undefined;
}

interface Failures {
  readonly machines: Set<MachineId>;
  readonly count: number;
  readonly retryAt_ms: number;
}

export class Observations {
  readonly #seen = new Map<string, Sighting>();
  readonly #copies = new Map<string, Copy>();
  readonly #failures = new Map<UnitName, Failures>();
  #used = new Set<string>();
  /** Milliseconds until time alone changes an answer. */
  left_ms = Infinity;

  constructor(readonly isLeader: boolean) {}

  /** Begins a round. Units that the round before did not ask for are forgotten. `now_ms`: monotonic clock. */
  begin(): void {
    for (const key of this.#seen.keys()) if (!this.#used.has(key)) this.#seen.delete(key);
    for (const key of this.#copies.keys()) if (!this.#used.has(key)) this.#copies.delete(key);
    this.#used = new Set();
    this.left_ms = Infinity;
  }

  /** Returns the health of a unit on a machine: healthy only if it has been so for `MinHealthyTime=` without another start. */
  health(cluster: Cluster, unit: Unit, machine: MachineId, now_ms: number): Health {
    const health = healthOn(cluster, unit, machine);
    const key = `${machine}/${unit.name}`;
    this.#used.add(key);
    const start = health.kind === "healthy" ? health.start : "";
    let seen = this.#seen.get(key);
    if (seen?.start !== start) this.#seen.set(key, seen = { start, since_ms: now_ms });
    if (health.kind !== "healthy" || !this.isLeader) return health;
    const left_ms = seen.since_ms + rolloutOptionsOf(unit.fleetOptions).minHealthyTime_ms - now_ms;
    if (left_ms <= 0) return health;
    this.left_ms = Math.min(this.left_ms, left_ms);
    return { kind: "waiting", why: notLongEnough(machine) };
  }

  /** Records that a second copy is about to be started. `state`: what its machine reports of the unit at the moment. */
  begins(unit: UnitName, machine: MachineId, state: UnitState | undefined, now_ms: number): void {
    const key = copyKey(unit, machine);
    this.#used.add(key);
    this.#copies.set(key, { since_ms: now_ms, earlier_ms: state?.since_ms });
  }

  /** True if a state is that of a second copy, and not of an earlier one on the same machine. */
  isOfCopy({ unit, machine, since_ms }: UnitState): boolean {
    return this.#copies.get(copyKey(unit, machine))?.earlier_ms !== since_ms;
  }

  /**
   * True if a second copy has been there for longer than `HealthyDeadline=`. One that is healthy has `MinHealthyTime=` in
   * addition, in which it must stay so.
   */
  isOverdue(unit: Unit, machine: MachineId, now_ms: number, isHealthy = false): boolean {
    const key = copyKey(unit.name, machine);
    this.#used.add(key);
    const { since_ms } = this.#copies.getOrInsert(key, { since_ms: now_ms });
    const { healthyDeadline_ms, minHealthyTime_ms } = rolloutOptionsOf(unit.fleetOptions);
    const left_ms = since_ms + healthyDeadline_ms + (isHealthy ? minHealthyTime_ms : 0) - now_ms;
    if (left_ms > 0) this.left_ms = Math.min(this.left_ms, left_ms);
    return left_ms <= 0;
  }

  /** Records that a unit did not become healthy on a machine. */
  failed(unit: UnitName, machine: MachineId, now_ms: number): void {
    const { machines = new Set<MachineId>(), count = 0 } = this.#failures.get(unit) ?? {};
    const pause_ms = Math.min(retry_ms.longest, retry_ms.first * 2 ** count);
    this.#failures.set(unit, { machines: machines.add(machine), count: count + 1, retryAt_ms: now_ms + pause_ms });
  }

  /** Returns the machines that did not get a unit healthy. */
  failedMachines(unit: UnitName): ReadonlySet<MachineId> {
    return this.#failures.get(unit)?.machines ?? noMachines;
  }

  /** Considers again the machines that did not get a unit healthy. */
  forgetMachines(unit: UnitName): void {
    this.#failures.get(unit)?.machines.clear();
  }

  /** Forgets the failures of units that are not to move any more. */
  keepFailures(units: ReadonlyMap<UnitName, unknown>): void {
    for (const unit of this.#failures.keys()) if (!units.has(unit)) this.#failures.delete(unit);
  }

  /** Returns the milliseconds until a failed move of a unit is tried again; 0 if it may be tried now. */
  pause_ms(unit: UnitName, now_ms: number): number {
    const left_ms = Math.max(0, (this.#failures.get(unit)?.retryAt_ms ?? 0) - now_ms);
    if (left_ms > 0) this.left_ms = Math.min(this.left_ms, left_ms);
    return left_ms;
  }
}

function copyKey(unit: UnitName, machine: MachineId): string {
  return `copy ${machine}/${unit}`;
}
