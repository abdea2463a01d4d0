/**
 * The events of the past: those that the page has seen, and those that the cluster still knew when the page asked. Pure.
 *
 * @module
 */

import type { ClusterEvent, PastEvent } from "./cluster.ts";

/** The events that a view shows. */
export interface PastFilter {
  readonly unit?: string;
  readonly machine?: string;
}

/** Returns true for an event that a filter lets pass. */
export function passes({ unit, machine }: PastFilter, { data }: ClusterEvent): boolean {
  if (unit !== undefined) return "name" in data && data.name === unit;
  if (machine === undefined || "id" in data) return machine === undefined || "id" in data && data.id === machine;
  return "machineID" in data && data.machineID === machine || "from" in data && data.from === machine;
}

/** The most that the times of one event differ which two daemons have seen: only some events have a time of their own. */
const tolerance_ms = 2_000;

/** The content of each event but its time, as text. */
const contents = new WeakMap<PastEvent, string>();

function contentOf(event: PastEvent): string {
  return contents.getOrInsertComputed(event, () => JSON.stringify([event.kind, { ...event.data, time: 0 }]));
}

/** Returns the events of both lists by time, newest first, without those of `earlier` that `seen` has too. */
export function mergePast(earlier: readonly PastEvent[], seen: readonly PastEvent[]): PastEvent[] {
  const times = new Map<string, number[]>();
  for (const event of seen) times.getOrInsertComputed(contentOf(event), () => []).push(event.at_ms);
  const isSeen = (event: PastEvent) =>
    times.get(contentOf(event))?.some((time_ms) => Math.abs(time_ms - event.at_ms) < tolerance_ms);
  return [...earlier.filter((event) => !isSeen(event)), ...seen]
    .sort((one, other) => other.at_ms - one.at_ms || other.number - one.number);
}
