/**
 * What has happened: before the page was opened, as far as the cluster knows, and since.
 *
 * @module
 */

import { readPast } from "../api/past.ts";
import { present } from "../api/stream.ts";
import type { PastEvent } from "../model/cluster.ts";
import { mergePast, passes, type PastFilter } from "../model/past.ts";
import { EventList } from "./event_list.tsx";
import { Failure, Time } from "./parts.tsx";
import { useRequest } from "./unit/request.ts";

/** The events that pass a filter, and what is not known of the time before. */
export interface Past {
  /** Newest first. */
  readonly events: readonly PastEvent[];
  readonly complete_ms: number | undefined;
  readonly error: string | undefined;
}

/** Returns the last `span`, such as `1h`, of the cluster, of a unit or of a machine. It is asked for when the component appears. */
export function usePast(filter: PastFilter, span = "30d"): Past {
  const { value, error } = useRequest(() => readPast(filter, span), JSON.stringify(filter));
  const isShown = (event: PastEvent) => passes(filter, event);
  return {
    events: mergePast(value?.events.filter(isShown) ?? [], present().past.filter(isShown)),
    complete_ms: value?.complete_ms,
    error,
  };
}

/** The past of a unit or a machine. */
export function PastList({ filter, none }: { readonly filter: PastFilter; readonly none: string }) {
  const past = usePast(filter);
  return (
    <>
      <EventList events={past.events} none={none} />
      <PastNote past={past} />
    </>
  );
}

/** Says from when on the past is complete. */
export const PastNote = ({ past: { complete_ms, error } }: { readonly past: Past }) => (
  <>
    <Failure error={error === undefined ? undefined : `The time before this page was opened is missing: ${error}`} />
    {complete_ms !== undefined && (
      <p class="note">
        The cluster remembers every event since <Time at_ms={complete_ms} />, and before that the latest of each unit.
      </p>
    )}
  </>
);
