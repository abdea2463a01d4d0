/**
 * The overview of a cluster: what an operator looks at first. Pure.
 *
 * @module
 */

import type {
  DecisionEvent,
  DrainEvent,
  LossEvent,
  MachineEntity,
  MachineEvent,
  RolloutEntity,
  RolloutEvent,
  StateEvent,
  UnitEntity,
  UnitEvent,
} from "../../daemon/api/v1/types.ts";
import { isTemplate } from "../../systemd/unit_name.ts";
import type { StreamEvent } from "../api/event_memory.ts";

/** A unit that fails on a machine, or whose health check does. */
export interface FailingUnit {
  readonly unit: string;
  readonly machineID: string;
  readonly why: string;
  /** Since when, milliseconds since the epoch. */
  readonly since?: number;
}

/** A unit that has no machine although it should. */
export interface WaitingUnit {
  readonly unit: string;
  readonly why: string;
  readonly reasons: readonly { readonly machines: number; readonly reason: string }[];
}

/** A roll-out with the number of its changes in the place of the changes themselves. */
export type RolloutSummary = Omit<RolloutEntity, "steps"> & { readonly changes: number; readonly healthy: number };

/** A machine that units are to leave. */
export interface DrainSummary {
  readonly machineID: string;
  /** `moving`, `stopping` or `done`. */
  readonly status: string;
  readonly by?: string;
  /** The number of units, without global ones, that are still placed on it. */
  readonly left: number;
}

/** The overview, as `--output=json` prints it. */
export interface Overview {
  readonly machines: readonly MachineEntity[];
  /** The ID of the machine whose engine leads. */
  readonly leader?: string;
  /** The store revision that the overview is true of. */
  readonly revision: number;
  /** Number of units by their state: systemd's, or `waiting`, `loaded`, `ended` or `inactive`. */
  readonly units: Readonly<Record<string, number>>;
  readonly waiting: readonly WaitingUnit[];
  /** The latest failure first. */
  readonly failed: readonly FailingUnit[];
  readonly unhealthy: readonly FailingUnit[];
  /** Roll-outs that are under way or have failed. */
  readonly rollouts: readonly RolloutSummary[];
  readonly drains: readonly DrainSummary[];
  /** Machines that were lost at once, for which the engine waits. */
  readonly loss?: LossEvent;
}

/** Collects the events with which a stream describes the present. */
export class OverviewCollector {
  readonly #units = new Map<string, UnitEntity>();
  readonly #states = new Map<string, StateEvent[]>();
  readonly #waiting = new Map<string, DecisionEvent>();
  readonly #machines: MachineEntity[] = [];
  readonly #rollouts: RolloutSummary[] = [];
  readonly #drains: Omit<DrainSummary, "left">[] = [];
  #loss: LossEvent | undefined;

  /** Takes the next event. Returns the overview once the events are complete. */
  take({ event, data }: StreamEvent): Overview | undefined {
    if (event === "" || event === "reset" || event === "partial") return undefined;
    const fields = JSON.parse(data);
    switch (event) {
      case "unit":
        this.#addUnit(fields);
        break;
      case "state":
        this.#addState(fields);
        break;
      case "decision":
        if ((fields as DecisionEvent).waiting) this.#waiting.set(fields.name, fields);
        break;
      case "machine":
        this.#addMachine(fields);
        break;
      case "rollout":
        this.#addRollout(fields);
        break;
      case "drain":
        this.#addDrain(fields);
        break;
      case "loss":
        if ((fields as LossEvent).missing) this.#loss = fields;
        break;
      case "synced":
        return this.#overview(fields);
    }
    return undefined;
  }

  #addUnit({ name, unit }: UnitEvent): void {
    if (unit && !isTemplate(name)) this.#units.set(name, unit);
  }

  #addState(event: StateEvent): void {
    this.#states.set(event.name, [...this.#states.get(event.name) ?? [], event]);
  }

  #addMachine({ machine }: MachineEvent): void {
    if (machine) this.#machines.push(machine);
  }

  #addRollout({ rollout }: RolloutEvent): void {
    if (!rollout || ["done", "rolled-back", "aborted"].includes(rollout.status)) return;
    const { steps = [], ...summary } = rollout;
    const healthy = steps.filter(({ state }) => state === "healthy").length;
    this.#rollouts.push({ ...summary, changes: steps.length, healthy });
  }

  #addDrain({ machineID, status, by }: DrainEvent): void {
    if (status !== undefined) this.#drains.push({ machineID, status, ...(by === undefined ? {} : { by }) });
  }

  #overview({ revision, leader }: { readonly revision: number; readonly leader?: string }): Overview {
    const counts = new Map<string, number>();
    const present = new Set(this.#machines.map(({ id }) => id));
    for (const unit of this.#units.values()) {
      const state = stateOf(unit, this.#states.get(unit.name) ?? [], present);
      counts.set(state, (counts.get(state) ?? 0) + 1);
    }
    const states = [...this.#states.values()].flat();
    return {
      machines: this.#machines,
      ...(leader === undefined ? {} : { leader }),
      revision,
      units: Object.fromEntries([...counts].sort(([, a], [, b]) => b - a)),
      waiting: [...this.#waiting.values()].map(({ name, why, reasons = [] }) => ({ unit: name, why, reasons })),
      failed: latestFirst(states.flatMap(failureOf)),
      unhealthy: latestFirst(states.flatMap(unhealthOf)),
      rollouts: this.#rollouts,
      drains: this.#drains.map((drain) => ({
        ...drain,
        left: [...this.#units.values()].filter(({ machineID }) => machineID === drain.machineID).length,
      })),
      ...(this.#loss ? { loss: this.#loss } : {}),
    };
  }
}

/** States of systemd in the order in which one on any machine counts for the unit. */
const byWeight = ["failed", "activating", "deactivating", "reloading", "refreshing", "maintenance"];

/** Returns the state of a unit in one word. `present`: the machines that are there. */
function stateOf(
  { desiredState = "inactive", currentState, machineID }: UnitEntity,
  states: StateEvent[],
  present: ReadonlySet<string>,
): string {
  const reported = states.map((report) =>
    failureOf(report).length > 0 ? "failed" : report.state?.systemdActiveState ?? ""
  );
  const worst = byWeight.find((state) => reported.includes(state));
  if (worst !== undefined) return worst;
  if (desiredState === "inactive") return "inactive";
  const isGlobal = currentState === undefined;
  if (!isGlobal && !(machineID && present.has(machineID))) return "waiting";
  if (desiredState === "loaded") return "loaded";
  if (reported.length === 0) return isGlobal ? "waiting" : "starting";
  return reported.every((state) => state === "active") ? "active" : "ended";
}

function failureOf({ name, machineID, state, since, error, result }: StateEvent): FailingUnit[] {
  const { systemdActiveState: active, systemdLoadState: load } = state ?? {};
  const isRefused = error !== undefined && error !== result && active !== "active";
  if (active !== "failed" && !isRefused) return [];
  const why = result ?? error ?? (load && load !== "loaded" ? load : "no reason is reported");
  return [{ unit: name, machineID, why, ...(since ? { since } : {}) }];
}

function unhealthOf({ name, machineID, state }: StateEvent): FailingUnit[] {
  if (state?.health !== "failing") return [];
  const { healthReason: why = "no reason is reported", healthSince: since } = state;
  return [{ unit: name, machineID, why, ...(since ? { since } : {}) }];
}

function latestFirst(units: readonly FailingUnit[]): FailingUnit[] {
  return units.toSorted((a, b) => (b.since ?? 0) - (a.since ?? 0) || (a.unit < b.unit ? -1 : 1));
}
