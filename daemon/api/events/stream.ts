/**
 * `/events`: changes of the cluster as server-sent events (HTML standard, section 9.2).
 *
 * @module
 */

import type { Cluster, Revision } from "../../../registry/model.ts";
import { type ApiEvent, type EventKind, eventKinds, type Names, present, withTime } from "./diff.ts";
import type { Api, Call } from "../context.ts";
import { maxStreams } from "../shared_state.ts";
import { type EventId, readEventId, readSpan, writeEventId } from "./event_id.ts";
import type { EventBuffer, Wake, WakeReason } from "./event_buffer.ts";
import { pastHeader, pastOfLeader } from "./past.ts";
import { onceAborted } from "../../../runtime/on_abort.ts";
import { errorReply } from "../http/responses.ts";

/** Events are written in pieces of about this many characters. */
const pieceLength = 64 * 1024;

/** The events that a client has asked for; undefined: all of them. */
interface Filter {
  readonly units: Names;
  readonly machines: ReadonlySet<string> | undefined;
  readonly kinds: ReadonlySet<string> | undefined;
}

/** Opens event streams. */
export class EventStreams {
  constructor(private readonly api: Api) {}

  /**
   * GET `/events`. The stream ends when its reader cancels it, or when `peer.closing` or the API's `retired` aborts; with
   * `follow=false` after the events of the period.
   */
  async open(call: Call): Promise<Response> {
    const { request, query, peer } = call;
    const kinds = setOf(query, "kind");
    for (const kind of kinds ?? []) {
      if (eventKinds.includes(kind as EventKind)) continue;
      return errorReply(400, `unknown kind ${JSON.stringify(kind)}: expect ${eventKinds.join(", ")}`);
    }
    const since = query.get("since") ?? undefined;
    const span_ms = since === undefined ? undefined : readSpan(since);
    if (since !== undefined && readEventId(since) === undefined && span_ms === undefined) {
      const expected = "expect an event's id, such as 117-454c34ef, a revision, such as 117, or a time, such as 10m";
      return errorReply(400, `invalid since ${JSON.stringify(since)}: ${expected}`);
    }
    const limit = limitOf(query, span_ms);
    if (typeof limit === "string") return errorReply(400, limit);
    const { registry, clock, log, sharedState, retired } = this.api;
    // Taken before the first await: requests that wait for the store count as well.
    const release = sharedState.streams.take();
    if (!release) return errorReply(429, `too many event streams are open (${maxStreams})`);
    try {
      const buffer = sharedState.events(registry, clock, log);
      const recorded = limit === undefined ? undefined : await pastOfLeader(this.api, call, buffer.complete_ms);
      if (recorded) {
        release();
        return recorded;
      }
      // The header that an EventSource sends when it reconnects is newer than the `since` of its URL.
      const resumed = request.headers.get("last-event-id") ?? since;
      // The client may have seen a newer view through another daemon: an older one would look like a restored store.
      const resumePoint = resumed === undefined ? undefined : {
        ...{ seen: readEventId(resumed), minRevision: (await registry.read()).revision },
        ...(resumed === since && span_ms !== undefined ? { since_ms: clock.now_ms() - span_ms } : {}),
        ...limit !== undefined && { limit },
      };
      const filter = { units: setOf(query, "unit"), machines: setOf(query, "machine"), kinds };
      let callOff = () => {};
      const reader = new Reader(buffer, filter, resumePoint, () => {
        callOff();
        release();
      });
      callOff = onceAborted([peer.closing, retired], () => reader.end());
      return new Response(streamOf(reader), {
        status: 200,
        headers: {
          ...{ "Content-Type": "text/event-stream", "Cache-Control": "no-store" },
          ...limit !== undefined && { [pastHeader]: "true" },
        },
      });
    } catch (error) {
      release();
      throw error;
    }
  }
}

function streamOf(reader: Reader): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let isCancelled = false;
  return new ReadableStream({
    pull: async (controller) => {
      const text = await reader.next();
      if (text !== undefined) controller.enqueue(encoder.encode(text));
      else if (!isCancelled) controller.close();
    },
    cancel: () => {
      isCancelled = true;
      reader.end();
    },
  }, { highWaterMark: 0 });
}

/** The most events of `follow=false` by default, and that can be asked for. */
const pastLimit = { usual: 2_000, most: 10_000 } as const;

/** Returns how many events a request of `follow=false` gets, undefined for a request without an end, or why it is refused. */
function limitOf(query: URLSearchParams, span_ms: number | undefined): number | string | undefined {
  const [follow, limit] = [query.get("follow") ?? "true", query.get("limit")];
  if (follow !== "true" && follow !== "false") {
    return `invalid follow ${JSON.stringify(follow)}: expect true or false`;
  }
  if (follow === "true") return limit === null ? undefined : "limit needs follow=false";
  if (span_ms === undefined) return "follow=false needs a period, such as since=1h";
  const count = limit === null ? pastLimit.usual : /^\d{1,5}$/.test(limit) ? Number(limit) : NaN;
  return count <= pastLimit.most
    ? count
    : `invalid limit ${JSON.stringify(limit)}: expect a number up to ${pastLimit.most}`;
}

function setOf(query: URLSearchParams, name: string): ReadonlySet<string> | undefined {
  const values = query.getAll(name).filter((value) => value !== "");
  return values.length > 0 ? new Set(values) : undefined;
}

/** The beginning of a resumed stream. */
interface ResumePoint {
  /** The last event that the client has seen; undefined if its id is unknown. */
  readonly seen: EventId | undefined;
  /** The stream waits for a view of this revision or a later one. */
  readonly minRevision: Revision;
  /** The stream begins with the changes since this time of the wall clock, instead of those after {@link seen}. */
  readonly since_ms?: number;
  /** The stream ends after the latest `limit` changes since {@link since_ms}. */
  readonly limit?: number;
}

/** One reader's position in the event buffer. It reads on only when its client does (backpressure): it queues nothing. */
class Reader {
  #state: "new" | "waiting" | "reading" | "ended" = "new";
  /** The number of the next batch. */
  #next = 0;
  #pieces: Iterator<string, unknown> | undefined;
  #wakeUp: ((why: WakeReason) => void) | undefined;

  constructor(
    private readonly buffer: EventBuffer,
    private readonly filter: Filter,
    private readonly resumePoint: ResumePoint | undefined,
    /** Called when the stream has ended, once or more. */
    private readonly ended: () => void,
  ) {}

  /** The next piece of the stream; undefined at its end. */
  async next(): Promise<string | undefined> {
    for (;;) {
      if (this.#state === "ended") return undefined;
      const piece = this.#pieces?.next();
      if (piece && !piece.done) return piece.value;
      this.#pieces = undefined;
      if (this.#state === "new") {
        this.#state = "waiting";
        this.buffer.join(this.#wake);
        // A comment shows the client that it is connected, even if the first view takes a while.
        return ":\n\n";
      }
      const { latest } = this.buffer;
      if (this.#state === "waiting" && latest && latest.revision >= (this.resumePoint?.minRevision ?? 0)) {
        this.#pieces = this.#begin(latest);
        this.#state = "reading";
        continue;
      }
      if (this.#state === "reading" && this.resumePoint?.limit !== undefined) {
        this.end();
        return undefined;
      }
      const batch = this.#state === "reading" ? this.buffer.batch(this.#next) : undefined;
      if (batch === "lost") {
        this.end();
        return 'event: reset\ndata: {"reason":"the reader was too slow, and the events after this one are lost: connect again"}\n\n';
      }
      if (batch) {
        this.#next++;
        this.#pieces = serialized(this.#filtered(batch.events), batch.id);
        continue;
      }
      const why = await new Promise<WakeReason>((resolve) => this.#wakeUp = resolve);
      this.#wakeUp = undefined;
      if (why === "keep-alive") return ":\n\n";
    }
  }

  /** Ends the stream; a pending {@link next} resolves. */
  end(): void {
    this.#state = "ended";
    this.buffer.leave(this.#wake);
    this.ended();
    this.#wakeUp?.("end");
  }

  /** The end comes once, and must not be missed by a reader whose client takes nothing just then. */
  readonly #wake: Wake = (why) => why === "end" ? this.end() : this.#wakeUp?.(why);

  /** Yields the missed events, or the present; then `synced`. */
  *#begin(cluster: Cluster): Generator<string> {
    const { resumePoint, buffer } = this;
    if (resumePoint?.since_ms !== undefined && resumePoint.limit !== undefined) {
      return yield* this.#past(cluster, resumePoint.since_ms, resumePoint.limit);
    }
    const newest = buffer.nextNumber;
    const first = resumePoint?.since_ms === undefined
      ? resumePoint?.seen && buffer.resume(resumePoint.seen)
      : buffer.resumeAt(resumePoint.since_ms).number;
    this.#next = first ?? newest;
    if (resumePoint?.since_ms !== undefined) yield* this.#beforeBuffer(cluster, resumePoint.since_ms);
    if (first !== undefined) {
      for (; this.#next < newest; this.#next++) {
        const batch = buffer.batch(this.#next);
        // The buffer has dropped the batch while the client read earlier ones: next() ends the stream.
        if (typeof batch !== "object") return;
        yield* serialized(this.#filtered(batch.events), batch.id);
      }
    } else {
      if (resumePoint) {
        yield 'event: reset\ndata: {"reason":"the changes since then are no longer known: the present follows"}\n\n';
      }
      yield* serialized(this.#filtered(present(cluster, this.filter.units)), undefined);
    }
    // These events have no revision of their own: a client that resumes may have missed them.
    yield* serialized(this.#filtered(buffer.pending.present(cluster, this.filter.units)), undefined);
    yield synced(cluster);
  }

  /** Yields the latest `limit` changes of a period; then `partial`, if some of its changes are unknown, and `synced`. */
  *#past(cluster: Cluster, since_ms: number, limit: number): Generator<string> {
    const { buffer } = this;
    const { known_ms, number } = buffer.resumeAt(since_ms);
    const events = [...this.#filtered(this.#latestBefore(cluster, since_ms))];
    for (let next = number; next < buffer.nextNumber; next++) {
      const batch = buffer.batch(next);
      if (typeof batch === "object") events.push(...this.#filtered(batch.events));
    }
    yield* serialized(events.slice(Math.max(0, events.length - limit)), undefined);
    if (known_ms > since_ms) yield partial(known_ms);
    yield synced(cluster);
  }

  /** Yields what is known of the time between `since_ms` and the time from which on the buffer holds every change. */
  *#beforeBuffer(cluster: Cluster, since_ms: number): Generator<string> {
    const { known_ms } = this.buffer.resumeAt(since_ms);
    if (known_ms <= since_ms) return;
    yield* serialized(this.#filtered(this.#latestBefore(cluster, since_ms)), undefined);
    yield partial(known_ms);
  }

  /** Returns the latest change of each unit since `since_ms`, unless the buffer holds it. */
  #latestBefore(cluster: Cluster, since_ms: number): ApiEvent[] {
    const { number } = this.buffer.resumeAt(since_ms);
    // Subjects that have changed again since are left to the buffered batches.
    const later = new Set<string>();
    for (let next = number; next < this.buffer.nextNumber; next++) {
      const batch = this.buffer.batch(next);
      if (typeof batch === "object") { for (const event of batch.events) later.add(subjectOf(event)); }
    }
    return [...present(cluster, this.filter.units)].filter((event) => {
      return event.at_ms !== undefined && event.at_ms >= since_ms && !later.has(subjectOf(event));
    }).sort((one, other) => (one.at_ms as number) - (other.at_ms as number))
      .map((event) => ({ ...event, data: withTime(event.data, event.at_ms as number) }));
  }

  *#filtered(events: Iterable<ApiEvent>): Generator<ApiEvent> {
    const { units, machines, kinds } = this.filter;
    for (const event of events) {
      if (kinds && !kinds.has(event.event)) continue;
      if (units && event.unit !== undefined && !units.has(event.unit)) continue;
      if (machines && event.machines && !event.machines.some((machine) => machines.has(machine))) continue;
      yield event;
    }
  }
}

function synced(cluster: Cluster): string {
  const { revision, leader } = cluster;
  const data = { revision, ...(leader?.machine ? { leader: leader.machine } : {}) };
  return `id: ${writeEventId(cluster)}\nevent: synced\ndata: ${JSON.stringify(data)}\n\n`;
}

function partial(known_ms: number): string {
  const reason = "only the latest change of each unit is known from before this time";
  return `event: partial\ndata: ${JSON.stringify({ reason, since: known_ms })}\n\n`;
}

/** Identifies what an event is about. */
function subjectOf({ event, unit = "", machines = [] }: ApiEvent): string {
  return `${event} ${unit} ${event === "state" ? machines[0] : ""}`;
}

/** Serializes events in pieces. Only the last event has the id: a client that has read it has read the whole batch. */
function* serialized(events: Iterable<ApiEvent>, id: string | undefined): Generator<string> {
  let text = "";
  let last: string | undefined;
  for (const { event, data } of events) {
    if (last !== undefined) text += last;
    last = `event: ${event}\ndata: ${data}\n\n`;
    if (text.length < pieceLength) continue;
    yield text;
    text = "";
  }
  if (last !== undefined) text += (id === undefined ? "" : `id: ${id}\n`) + last;
  if (text !== "") yield text;
}
