/**
 * The leader's own observation of a roll-out: since when it waits for units, and since when each has been healthy without
 * another start. Times are those of the leader's monotonic clock: a new leader counts again. Pure.
 *
 * @module
 */

import type { Cluster, MachineId, Revision, Rollout, Unit, UnitName } from "../../../registry/model.ts";
import { rolloutOptionsOf } from "../../../registry/deployment.ts";
import { crashText, type Health, healthOf, healthOn, maxRestarts } from "../../policy/health.ts";
import type { Plan } from "../plan.ts";
import { type Batch, batchesOf, optionsByHash } from "./batches.ts";

/** The result for a unit, with the time in which it may change although nothing else does. */
export type Verdict =
  | { readonly kind: "healthy" }
  | { readonly kind: "waiting"; readonly left_ms: number }
  | { readonly kind: "failed"; readonly why: string };

/** A look at the cluster. */
export interface Look {
  readonly cluster: Cluster;
  /** Active units without a machine, with the reasons. */
  readonly unplaced: Plan["unplaced"];
  /** The leader's monotonic clock. */
  readonly now_ms: number;
  /** The leader's wall clock. */
  readonly wall_ms: number;
  /** The time from which on the leader has seen the store without interruption: no time before counts. */
  readonly quietSince_ms: number;
  /** True while absent machines may rejoin, after a change of leader or an outage of the store: they may run their units. */
  readonly isRejoining: boolean;
  /** Units that a drain has stopped, and that may not be healthy on their new machine yet. */
  readonly arriving: ReadonlySet<UnitName>;
}

/** The subject of an observation: a unit at a revision, or with a file on one machine. */
interface Subject {
  /** The unit's name, and that of the machine. */
  readonly key: string;
  readonly version: Revision | string;
  readonly machine?: MachineId;
}

/** Observes the units of one roll-out. */
export class Observation {
  #batches: readonly Batch[] | undefined;
  /** The time at which the leader began to wait for the present version of each {@link Subject}. */
  readonly #waiting = new Map<string, { readonly version: Revision | string; readonly since_ms: number }>();
  /** The least number of automatic restarts that was seen of the present version of each {@link Subject}. */
  readonly #restarts = new Map<string, { readonly version: Revision | string; readonly least: number }>();
  #seen: { readonly revision: Revision; readonly since_ms: number } | undefined;
  readonly #healthy = new Map<string, { readonly start: string; readonly since_ms: number }>();

  /** Returns the batches of the roll-out. They never change, and are computed once. */
  batches(rollout: Rollout, { cluster }: Look): readonly Batch[] {
    const isPartial = (unit: UnitName) => cluster.units.get(unit)?.next !== undefined;
    return this.#batches ??= batchesOf(rollout, optionsByHash(cluster.files), isPartial);
  }

  /**
   * Returns whether a unit is healthy for long enough, is still waited for, or has failed; with `machine`, whether it is so
   * there. `isReported`: false until that machine says itself that the unit has been healthy for long enough.
   */
  judge(unit: Unit, look: Look, machine?: MachineId, isReported = true): Verdict {
    const { now_ms, quietSince_ms } = look;
    const { healthyDeadline_ms, minHealthyTime_ms } = rolloutOptionsOf(unit.fleetOptions);
    const subject: Subject = machine === undefined
      ? { key: unit.name, version: unit.revision }
      : { key: `${unit.name} ${machine}`, version: unit.hash, machine };
    const deadline_ms = Math.max(this.#waitingSince(subject, now_ms), quietSince_ms) + healthyDeadline_ms;
    const late = (why: string): Verdict => ({
      kind: "failed",
      why: `unit ${unit.name} did not become healthy within ${healthyDeadline_ms / 1_000} s: it ${why}`,
    });
    const health = machine === undefined
      ? unhealthyBecauseUnplaced(unit, look) ?? healthOf(look.cluster, unit)
      : healthThere(unit, look.cluster, machine);
    if (health.kind === "unhealthy") return { kind: "failed", why: `unit ${unit.name} ${health.why}` };
    const crashing = this.#crashLoop(unit, subject, look.cluster);
    if (health.kind === "waiting") {
      this.#healthy.delete(subject.key);
      if (crashing) return crashing;
      return now_ms < deadline_ms ? { kind: "waiting", left_ms: deadline_ms - now_ms } : late(health.why);
    }
    const since_ms = Math.max(this.#healthySince(subject, health.start, now_ms), quietSince_ms);
    // A unit that is started again and again runs most of the time.
    if (since_ms > deadline_ms) return late(`did not stay up for ${minHealthyTime_ms / 1_000} s`);
    const left_ms = since_ms + minHealthyTime_ms - now_ms;
    if (left_ms > 0) return crashing ?? { kind: "waiting", left_ms };
    // A global unit may fail on a machine that is not back yet.
    if (machine === undefined && unit.requirements.global && look.isRejoining) {
      return { kind: "waiting", left_ms: Infinity };
    }
    const reportLeft_ms = deadline_ms + minHealthyTime_ms - now_ms;
    if (!isReported && reportLeft_ms > 0) return { kind: "waiting", left_ms: reportLeft_ms };
    if (!isReported) return late(`was not reported to stay up for ${minHealthyTime_ms / 1_000} s`);
    // If it fails later on, it gets a deadline again, and its restarts are counted from then.
    this.#waiting.delete(subject.key);
    this.#restarts.delete(subject.key);
    return { kind: "healthy" };
  }

  /** Ends the wait for a unit that is healthy at the moment: if it fails later on, it gets a deadline again. */
  isUp(unit: UnitName): void {
    this.#waiting.delete(unit);
  }

  /** Ends the wait for a unit on all machines but these: one that is waited for again later on gets a deadline again. */
  keepOnly(unit: UnitName, machines: ReadonlySet<MachineId>): void {
    for (const known of [this.#waiting, this.#restarts, this.#healthy]) {
      for (const key of known.keys()) {
        const [name, machine] = key.split(" ");
        if (name === unit && machine !== undefined && !machines.has(machine)) known.delete(key);
      }
    }
  }

  /** Returns the time that is left of `limit_ms` since the leader first saw the roll-out at this revision. */
  left_ms(revision: Revision, limit_ms: number, { now_ms, quietSince_ms }: Look): number {
    if (this.#seen?.revision !== revision) this.#seen = { revision, since_ms: now_ms };
    return Math.max(this.#seen.since_ms, quietSince_ms) + limit_ms - now_ms;
  }

  /** Returns the failure of a unit that systemd has started again too often since the leader first saw its new file. */
  #crashLoop({ name, hash }: Unit, { key, version, machine: only }: Subject, { states }: Cluster): Verdict | undefined {
    const running = [...states.get(name)?.values() ?? []]
      .filter((state) => state.hash === hash && (only === undefined || state.machine === only));
    const [most] = running.toSorted((a, b) => (b.restarts ?? 0) - (a.restarts ?? 0));
    if (!most) return undefined;
    const { restarts = 0 } = most;
    const known = this.#restarts.get(key);
    // Until systemd carries out the start, it reports the restarts of the run before.
    const least = known?.version === version ? Math.min(known.least, restarts) : restarts;
    this.#restarts.set(key, { version, least });
    if (restarts - least < maxRestarts) return undefined;
    return { kind: "failed", why: `unit ${name} ${crashText(most)}` };
  }

  #waitingSince({ key, version }: Subject, now_ms: number): number {
    const known = this.#waiting.get(key);
    if (known?.version === version) return known.since_ms;
    this.#waiting.set(key, { version, since_ms: now_ms });
    return now_ms;
  }

  #healthySince({ key }: Subject, start: string, now_ms: number): number {
    const known = this.#healthy.get(key);
    if (known?.start === start) return known.since_ms;
    this.#healthy.set(key, { start, since_ms: now_ms });
    return now_ms;
  }
}

/** Returns the health of a unit on one machine, which may be away. */
function healthThere(unit: Unit, cluster: Cluster, machine: MachineId): Health {
  if (cluster.machines.has(machine)) return healthOn(cluster, unit, machine);
  return { kind: "waiting", why: `is on machine ${machine.slice(0, 8)}, which is away` };
}

/** A unit that no machine takes is not waited for, unless there is no machine at all. */
function unhealthyBecauseUnplaced({ name }: Unit, { unplaced, cluster }: Look): Health | undefined {
  const reason = unplaced.get(name);
  if (!reason || cluster.machines.size === 0 || reason.refusals.size === 0) return undefined;
  return { kind: "unhealthy", why: `has no machine: ${reason.summary}` };
}
