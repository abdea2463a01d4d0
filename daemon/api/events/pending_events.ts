/**
 * Reports why units wait for a machine as events of the API, whenever the reason changes. Pure.
 *
 * @module
 */

import type { Cluster, UnitName } from "../../../registry/model.ts";
import { isUnplaced, PendingUnits } from "../../engine/pending.ts";
import { type ApiEvent, type Names, placedEvent } from "./diff.ts";
import type { DecisionEvent } from "../v1/types.ts";

/** The latest report about one unit. */
interface Report {
  readonly event: ApiEvent;
  /** True if the unit is placed on a machine that is missing. */
  readonly isPlaced: boolean;
}

/** See the head of this file. One instance serves one sequence of views of one cluster. */
export class PendingEvents {
  readonly #pending = new PendingUnits();
  #reports: ReadonlyMap<UnitName, Report> = new Map();

  /** Returns what has changed since the last call. */
  update(cluster: Cluster): ApiEvent[] {
    const before = this.#reports;
    const now = new Map<UnitName, Report>();
    for (const [name, { why, reasons }] of this.#pending.list(cluster)) {
      const data: DecisionEvent = { name, ...(reasons.length > 0 && { reasons }), waiting: true, why };
      const event: ApiEvent = { event: "decision", data: JSON.stringify(data), unit: name, machines: [] };
      now.set(name, { event, isPlaced: cluster.targets.has(name) });
    }
    this.#reports = now;
    const events: ApiEvent[] = [];
    for (const [name, { event }] of now) if (before.get(name)?.event.data !== event.data) events.push(event);
    for (const [name, { isPlaced }] of before) {
      // The unit's machine is back: the decision that placed the unit there is in force again.
      const target = isPlaced && !now.has(name) ? cluster.targets.get(name) : undefined;
      if (target) events.push(placedEvent(target));
    }
    return events;
  }

  /** Repeats the latest report about each unit that still waits. */
  *present(cluster: Cluster, names: Names): Generator<ApiEvent> {
    for (const name of names ?? this.#reports.keys()) {
      const report = this.#reports.get(name);
      if (report && isUnplaced(cluster, name)) yield report.event;
    }
  }
}
