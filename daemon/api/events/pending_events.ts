/**
 * Why units wait for a machine, as events of the API, on change only. Pure.
 *
 * @module
 */

import type { Cluster, UnitName } from "../../../registry/model.ts";
import { isUnplaced, WaitingList } from "../../engine/pending.ts";
import { type ApiEvent, type Names, placedEvent } from "./diff.ts";
import type { DecisionEvent } from "../v1/types.ts";

/** What was told of one unit. */
interface Told {
  readonly event: ApiEvent;
  /** It is placed, on a machine that is away. */
  readonly isPlaced: boolean;
}

/** See the head of this file. Serves one sequence of views of one cluster. */
export class WaitingUnits {
  readonly #list = new WaitingList();
  #told: ReadonlyMap<UnitName, Told> = new Map();

  /** What is news since it was last asked. */
  look(cluster: Cluster): ApiEvent[] {
    const before = this.#told;
    const now = new Map<UnitName, Told>();
    for (const [name, { why, reasons }] of this.#list.look(cluster)) {
      const data: DecisionEvent = { name, ...(reasons.length > 0 && { reasons }), waiting: true, why };
      const event: ApiEvent = { event: "decision", data: JSON.stringify(data), unit: name, machines: [] };
      now.set(name, { event, isPlaced: cluster.targets.has(name) });
    }
    this.#told = now;
    const events: ApiEvent[] = [];
    for (const [name, { event }] of now) if (before.get(name)?.event.data !== event.data) events.push(event);
    for (const [name, { isPlaced }] of before) {
      // Its machine is back: what was told of it when it was placed counts again.
      const target = isPlaced && !now.has(name) ? cluster.targets.get(name) : undefined;
      if (target) events.push(placedEvent(target));
    }
    return events;
  }

  /** What counts of what was told, as if it had just been. */
  *present(cluster: Cluster, names: Names): Generator<ApiEvent> {
    for (const name of names ?? this.#told.keys()) {
      const told = this.#told.get(name);
      if (told && isUnplaced(cluster, name)) yield told.event;
    }
  }
}
