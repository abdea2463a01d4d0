/**
 * Asks for the events of the past.
 *
 * @module
 */

import { createParser } from "eventsource-parser";
import { decodeEvent, maxPast, type PastEvent } from "../model/cluster.ts";
import type { PastFilter } from "../model/past.ts";
import { send } from "./client.ts";

/** The events of a period, oldest first. */
export interface Past {
  readonly events: readonly PastEvent[];
  /** The time from which on every event is known; before, only the latest of each unit. Undefined if that is always. */
  readonly complete_ms?: number;
}

/** Returns the latest events of the last `span`, such as `30d`, that the cluster still knows. */
export async function readPast({ unit, machine }: PastFilter, span: string): Promise<Past> {
  const query = new URLSearchParams({
    ...{ since: span, follow: "false", limit: `${maxPast}` },
    ...unit !== undefined && { unit },
    ...machine !== undefined && { machine },
  });
  const answer = await send(`/fleet/v1/events?${query}`);
  const events: PastEvent[] = [];
  let complete_ms: number | undefined;
  const parser = createParser({
    onEvent: ({ event: kind = "", data }) => {
      if (kind === "partial") complete_ms = JSON.parse(data).since;
      const event = decodeEvent(kind, data);
      // Numbers below those of the events that the page has seen itself.
      if (event) events.push({ ...event, at_ms: event.data.time ?? 0, number: events.length - 2 * maxPast });
    },
  });
  const decoder = new TextDecoder();
  for await (const chunk of answer.body!) parser.feed(decoder.decode(chunk, { stream: true }));
  return { events, ...complete_ms !== undefined && { complete_ms } };
}
