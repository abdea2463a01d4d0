/**
 * Event ids, which are positions in the store's history: `117-454c34ef` is revision 117 of the store whose id begins with
 * `454c34ef`. Pure.
 *
 * @module
 */

import type { Cluster, Revision } from "../../../registry/model.ts";
import { parseTimeSpan_ms } from "../../../systemd/unit_time_span.ts";

/** See the head of this file. */
export interface EventId {
  readonly revision: Revision;
  /** The beginning of the store's id; left out where the client sent a revision alone. */
  readonly store?: string;
}

/** Reads an event id, or a revision alone, which counts for any store. Returns undefined for any other text. */
export function readEventId(text: string): EventId | undefined {
  const [, digits, store] = new RegExp(eventIdPattern).exec(text) ?? [];
  const revision = Number(digits);
  if (!Number.isSafeInteger(revision)) return undefined;
  return { revision, ...(store === undefined ? {} : { store }) };
}

/** The regular expression of an event id. */
export const eventIdPattern = "^(\\d{1,16})(?:-(\\w{1,8}))?$";

/** The regular expression of a span of time, such as `10m`. */
export const spanPattern = "^(\\d{1,9})(ms|s|m|h|d)$";

/** Reads a span of time, in milliseconds. Returns undefined for any other text. */
export function readSpan(text: string): number | undefined {
  return new RegExp(spanPattern).test(text) ? parseTimeSpan_ms(text) : undefined;
}

/** Writes the event id of a view. */
export function writeEventId({ id, revision }: Pick<Cluster, "id" | "revision">): string {
  return `${revision}-${id.slice(0, 8)}`;
}

/** True if an event id may come from the same store as a view. */
export function isOf({ store }: EventId, { id }: Pick<Cluster, "id">): boolean {
  return store === undefined || store === id.slice(0, 8);
}
