/**
 * What has happened in the cluster.
 *
 * @module
 */

import { signal } from "@preact/signals";
import { eventText, subjectOf } from "../model/event_text.ts";
import { EventList } from "./event_list.tsx";
import { containsWords, Filter } from "./filter.tsx";
import { machineName } from "./parts.tsx";
import { PastNote, usePast } from "./past.tsx";

const kind = signal("");
const words = signal("");
const kinds = ["unit", "decision", "state", "machine", "loss", "rollout", "drain"];

/** The view of all events, newest first. */
export function Events() {
  const past = usePast({});
  const events = past.events.filter((event) =>
    (kind.value === "" || event.kind === kind.value) &&
    containsWords(`${subjectOf(event)} ${eventText(event, machineName)}`, words)
  );
  return (
    <>
      <h1>Events</h1>
      <Filter
        words={words}
        label="Kind"
        choice={kind}
        choices={kinds}
        count={`${events.length} of ${past.events.length}`}
      />
      <EventList
        events={events}
        none={past.events.length === 0 ? "Nothing is known to have happened." : "No event matches the filter."}
      />
      <PastNote past={past} />
    </>
  );
}
