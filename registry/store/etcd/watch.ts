/**
 * One watch stream of etcd. An adapter: it sets a timer.
 *
 * A lost watch is not resumed: a store that was wiped in the meantime would accept a later revision and stay silent.
 *
 * @module
 */

import { messageOf } from "../../../runtime/log.ts";
import { onceAborted } from "../../../runtime/on_abort.ts";
import type { Revision } from "../../model.ts";
import { type Range, type WatchBatch, type WatchEvent, WatchLostError } from "../port.ts";
import type { EtcdConnection } from "./connection.ts";
import type { Messages, WatchResponse } from "./messages.ts";

/** See {@link import("../port.ts").Store.watch}. */
export async function* watchRanges(
  connection: EtcdConnection,
  messages: Messages,
  ranges: readonly Range[],
  after: Revision,
  signal: AbortSignal,
): AsyncIterable<WatchBatch> {
  if (signal.aborted) return;
  let cancel = () => {};
  let timer: ReturnType<typeof setTimeout> | undefined;
  const stopListening = onceAborted([signal], () => cancel());
  try {
    const stream = await connection.open<WatchResponse>("Watch", "watch");
    cancel = () => stream.cancel();
    if (signal.aborted) return;
    for (const range of ranges) {
      stream.write({
        create_request: { ...messages.range(range), start_revision: `${after + 1}`, fragment: true },
      });
    }
    timer = setTimeout(cancel, connection.requestTimeout_ms);
    const reader = new WatchReader(messages, ranges.length, after);
    for await (const response of stream) {
      const batches = reader.read(response);
      if (reader.complete) clearTimeout(timer);
      yield* batches;
    }
    throw new Error(reader.complete ? "etcd ended the stream" : "etcd did not create the watch in time");
  } catch (cause) {
    // An abort cancels the stream, which the stream reports as an error.
    if (signal.aborted) return;
    if (cause instanceof WatchLostError) throw cause;
    throw new WatchLostError(`the watch at ${connection.endpoints} was lost: ${messageOf(cause)}`, { cause });
  } finally {
    clearTimeout(timer);
    stopListening();
    cancel();
  }
}

/** Joins the fragments of a response and splits its events by revision. */
class WatchReader {
  readonly #fragments = new Map<string, WatchEvent[]>();
  #created = 0;

  constructor(
    private readonly messages: Messages,
    private readonly expected: number,
    private readonly after: Revision,
  ) {}

  /** True if every range is being watched. */
  get complete(): boolean {
    return this.#created === this.expected;
  }

  read(response: WatchResponse): readonly WatchBatch[] {
    if (response.canceled) {
      throw new WatchLostError(
        response.compact_revision === "0"
          ? `etcd canceled the watch: ${response.cancel_reason || "it gave no reason"}`
          : `the watch fell behind: history before revision ${response.compact_revision} was compacted`,
      );
    }
    if (response.created) {
      const revision = Number(response.header.revision);
      // The member lags or the store was wiped: a watch from a future revision would stay silent.
      if (revision < this.after) {
        throw new WatchLostError(
          `etcd is at revision ${revision}, before revision ${this.after} that was read from it`,
        );
      }
      this.#created++;
    }
    const events = this.#fragments.get(response.watch_id) ?? [];
    for (const event of response.events) events.push(this.messages.event(event));
    if (response.fragment) {
      this.#fragments.set(response.watch_id, events);
      return [];
    }
    this.#fragments.delete(response.watch_id);
    return byRevision(events);
  }
}

function byRevision(events: readonly WatchEvent[]): readonly WatchBatch[] {
  const batches: { readonly revision: Revision; readonly events: WatchEvent[] }[] = [];
  for (const event of events) {
    const revision = event.kind === "put" ? event.kv.modRevision : event.modRevision;
    const last = batches.at(-1);
    if (last?.revision === revision) last.events.push(event);
    else batches.push({ revision, events: [event] });
  }
  return batches;
}
