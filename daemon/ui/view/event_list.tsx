/**
 * Lists of events.
 *
 * @module
 */

import type { PastEvent } from "../model/cluster.ts";
import { eventText, subjectOf } from "../model/event_text.ts";
import { MachineLink, machineName, RowList, Time } from "./parts.tsx";
import { appAddress, unitAddress } from "./route.ts";

/** One event as a row. */
const EventRow = ({ event }: { readonly event: PastEvent }) => {
  const subject = subjectOf(event);
  const name = event.kind === "machine" || event.kind === "drain"
    ? <MachineLink id={subject} />
    : event.kind === "rollout"
    ? <a href={appAddress(subject)}>{subject}</a>
    : event.kind === "loss"
    ? <span>{subject}</span>
    : <a href={unitAddress(subject)}>{subject}</a>;
  return (
    <>
      <Time at_ms={event.at_ms} />
      <span class="kind">{event.kind}</span>
      {name}
      <span class="why grow">{eventText(event, machineName)}</span>
    </>
  );
};

/** A list of events. `none`: the sentence in its place if there are none. */
export const EventList = ({ events, none }: { readonly events: readonly PastEvent[]; readonly none: string }) =>
  events.length === 0 ? <p class="empty">{none}</p> : (
    <RowList
      items={events}
      label="Events"
      keyOf={({ number }) => number}
      row={(event) => <EventRow event={event} />}
    />
  );
