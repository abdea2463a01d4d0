/**
 * Places in the sequence of what happens, as ids of events tell them: `117-454c34ef` is revision 117 of the store whose
 * id begins so. Pure.
 *
 * @module
 */

import type { Cluster, Revision } from "../../../registry/model.ts";

/** See the head of this file. */
export interface EventId {
  readonly revision: Revision;
  /** The beginning of the store's id; left out where it is not told. */
  readonly store?: string;
}

/** The id that a text is; undefined if it is none. A bare revision is one of any store. */
export function readEventId(text: string): EventId | undefined {
  const [, digits, store] = new RegExp(eventIdPattern).exec(text) ?? [];
  const revision = Number(digits);
  if (!Number.isSafeInteger(revision)) return undefined;
  return { revision, ...(store === undefined ? {} : { store }) };
}

/** What {@link readEventId} reads, as a regular expression. */
export const eventIdPattern = "^(\\d{1,16})(?:-(\\w{1,8}))?$";

/** A span of time, such as `10m`, as a regular expression. */
export const spanPattern = "^(\\d{1,9})(ms|s|m|h|d)$";

/** Milliseconds of the units of time in a span. */
const unitsOfTime: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A span of time in milliseconds; undefined if it is none. */
export function readSpan(text: string): number | undefined {
  const [, count, unit = ""] = new RegExp(spanPattern).exec(text) ?? [];
  return count === undefined ? undefined : Number(count) * (unitsOfTime[unit] as number);
}

/** The id of a revision of a store. */
export function writeEventId({ id, revision }: Pick<Cluster, "id" | "revision">): string {
  return `${revision}-${id.slice(0, 8)}`;
}

/** Whether an id may be one of a store. */
export function isOf({ store }: EventId, { id }: Pick<Cluster, "id">): boolean {
  return store === undefined || store === id.slice(0, 8);
}
