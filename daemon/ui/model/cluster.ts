/**
 * The cluster as the page knows it, made of the events of the stream. Pure.
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
  UnitEvent,
} from "../../api/v1/types.ts";
import type { UnitView } from "./condition.ts";

/** An event of the stream, decoded. Kinds that this page does not know are ignored. */
export type ClusterEvent =
  | { readonly kind: "unit"; readonly data: UnitEvent }
  | { readonly kind: "decision"; readonly data: DecisionEvent }
  | { readonly kind: "state"; readonly data: StateEvent }
  | { readonly kind: "machine"; readonly data: MachineEvent }
  | { readonly kind: "loss"; readonly data: LossEvent }
  | { readonly kind: "rollout"; readonly data: RolloutEvent }
  | { readonly kind: "drain"; readonly data: DrainEvent };

const kinds = new Set(["unit", "decision", "state", "machine", "loss", "rollout", "drain"]);

/** Returns an event of the stream; undefined for a kind that this page does not know. */
export function decodeEvent(kind: string, data: string): ClusterEvent | undefined {
  return kinds.has(kind) ? { kind, data: JSON.parse(data) } as ClusterEvent : undefined;
}

/** An event that happened while the page was open, or shortly before. */
export type PastEvent = ClusterEvent & { readonly at_ms: number; readonly number: number };

/** The number of events that the page remembers. */
export const maxPast = 2_000;

/** Decisions and states may come before their unit, so they are kept by name. */
interface Parts {
  event?: UnitEvent;
  decision?: DecisionEvent;
  readonly states: Map<string, StateEvent>;
  view?: UnitView | undefined;
}

/** The machines, the units and the latest events. Changes in place; every change is one call of {@link apply}. */
export class Cluster {
  readonly machines = new Map<string, MachineEntity>();
  /** The latest roll-out of each application. */
  readonly rollouts = new Map<string, RolloutEntity>();
  /** The drain of each machine that has one, by machine ID. */
  readonly drains = new Map<string, DrainEvent>();
  loss?: LossEvent | undefined;
  /** True once the stream has described the present. */
  isSynced = false;
  readonly #units = new Map<string, Parts>();
  /** The names of all units, in order; undefined after one was added or removed. */
  #names: readonly string[] | undefined;
  #counted = 0;

  constructor(readonly past: PastEvent[] = []) {}

  /** Returns a unit; undefined if it does not exist. */
  unit(name: string): UnitView | undefined {
    const parts = this.#units.get(name);
    const unit = parts?.event?.unit;
    if (!parts || !unit) return undefined;
    const { event, decision, states } = parts;
    return parts.view ??= {
      name,
      unit,
      ...event?.hash !== undefined && { hash: event.hash },
      ...event?.changed && { changed: event.changed },
      ...decision && { decision },
      states: new Map(states),
    };
  }

  /** Returns every unit, by name. */
  units(): UnitView[] {
    this.#names ??= [...this.#units.keys()].sort();
    return this.#names.flatMap((name) => this.unit(name) ?? []);
  }

  /** Returns a cluster with the past of this one, for a stream that describes the present again. */
  successor(): Cluster {
    const next = new Cluster(this.past);
    next.#counted = this.#counted;
    return next;
  }

  /** Applies an event. `at_ms`: when it came, for events that do not say when they happened. */
  apply(event: ClusterEvent, at_ms: number): void {
    if (this.isSynced) {
      this.past.push({ ...event, at_ms: event.data.time ?? at_ms, number: ++this.#counted });
      if (this.past.length > maxPast) this.past.splice(0, this.past.length - maxPast);
    }
    if (event.kind === "machine") {
      const { id, machine } = event.data;
      if (machine) this.machines.set(id, machine);
      else this.machines.delete(id);
    } else if (event.kind === "loss") this.loss = event.data;
    else if (event.kind === "rollout") this.#changeRollout(event.data);
    else if (event.kind === "drain") {
      if (event.data.status === undefined) this.drains.delete(event.data.machineID);
      else this.drains.set(event.data.machineID, event.data);
    } else this.#change(event);
  }

  /** An event has the steps that have changed, so the others are kept. */
  #changeRollout({ app, rollout }: RolloutEvent): void {
    if (!rollout) return void this.rollouts.delete(app);
    const before = this.rollouts.get(app);
    const changed = new Map(rollout.steps?.map((step) => [step.name, step]));
    const kept = before?.id === rollout.id ? before.steps ?? [] : [];
    const known = new Set(kept.map(({ name }) => name));
    const steps = [
      ...kept.map((step) => changed.get(step.name) ?? step),
      ...[...changed.values()].filter(({ name }) => !known.has(name)),
    ];
    this.rollouts.set(app, { ...rollout, steps });
  }

  #change(event: Exclude<ClusterEvent, { kind: "machine" | "loss" | "rollout" | "drain" }>): void {
    const known = this.#units.size;
    const parts = this.#units.getOrInsertComputed(event.data.name, () => ({ states: new Map() }));
    delete parts.view;
    if (event.kind === "decision") {
      // The decision on a unit that is destroyed comes after its end.
      if (event.data.machineID !== undefined || event.data.waiting) parts.decision = event.data;
      else delete parts.decision;
      if (!parts.decision && !parts.event && parts.states.size === 0) this.#units.delete(event.data.name);
    } else if (event.kind === "state") {
      if (event.data.state) parts.states.set(event.data.machineID, event.data);
      else parts.states.delete(event.data.machineID);
      if (parts.states.size === 0 && !parts.event) this.#units.delete(event.data.name);
    } else if (event.data.unit) {
      parts.event = event.data;
      // A unit that no machine is to have has no decision any more.
      if (event.data.unit.desiredState === "inactive") delete parts.decision;
    } else this.#units.delete(event.data.name);
    if (this.#units.size !== known) this.#names = undefined;
  }
}
