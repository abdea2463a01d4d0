/**
 * `/events`: what happens in the cluster, as server-sent events (HTML standard, section 9.2).
 *
 * @module
 */

import type { Cluster, Revision } from "../../../registry/model.ts";
import { type ApiEvent, type EventKind, eventKinds, type Names, present, withTime } from "./diff.ts";
import type { Api, Call } from "../context.ts";
import { maxStreams } from "../shared_state.ts";
import { type EventId, readEventId, readSpan, writeEventId } from "./event_id.ts";
import type { EventBuffer, Wake } from "./event_buffer.ts";
import { onceAborted } from "../../../runtime/on_abort.ts";
import { errorReply } from "../http/responses.ts";

export { keepAlive_ms } from "./event_buffer.ts";

/** Events are handed on in pieces of about this many characters. */
const piece = 64 * 1024;

/** What a reader wants to hear of; undefined: everything. */
interface Filter {
  readonly units: Names;
  readonly machines: ReadonlySet<string> | undefined;
  readonly kinds: ReadonlySet<string> | undefined;
}

/** Opens event streams. */
export class EventStreams {
  constructor(private readonly api: Api) {}

  /** GET `/events`. The stream ends when its reader cancels it, when `peer.closing` aborts, or the API's `retired`. */
  async open({ request, query, peer }: Call): Promise<Response> {
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
    const { registry, clock, log, sharedState, retired } = this.api;
    // Taken before anything is waited for, or any number would come in meanwhile.
    const release = sharedState.streams.take();
    if (!release) return errorReply(429, `too many event streams are open (${maxStreams})`);
    try {
      // What an EventSource sends when it connects again is newer than what its URL says.
      const resumed = request.headers.get("last-event-id") ?? since;
      // A view older than what the client has seen through another daemon would look as if the store had gone back.
      const past = resumed === undefined ? undefined : {
        ...{ seen: readEventId(resumed), least: (await registry.read()).revision },
        ...(resumed === since && span_ms !== undefined ? { since_ms: clock.now_ms() - span_ms } : {}),
      };
      const filter = { units: setOf(query, "unit"), machines: setOf(query, "machine"), kinds };
      let callOff = () => {};
      const reader = new Reader(sharedState.feed(registry, clock, log), filter, past, () => {
        callOff();
        release();
      });
      callOff = onceAborted([peer.closing, retired], () => reader.end());
      return new Response(streamOf(reader), {
        status: 200,
        headers: { "Content-Type": "text/event-stream", "Cache-Control": "no-store" },
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

function setOf(query: URLSearchParams, name: string): ReadonlySet<string> | undefined {
  const values = query.getAll(name).filter((value) => value !== "");
  return values.length > 0 ? new Set(values) : undefined;
}

/** What a client has seen already. */
interface Past {
  /** Up to where it has seen everything; undefined: nobody knows. */
  readonly seen: EventId | undefined;
  /** The oldest view to begin with. */
  readonly least: Revision;
  /** What has happened since this time of the wall clock is to be told, instead of what was not seen. */
  readonly since_ms?: number;
}

/** One reader's place in the feed. It only asks for more when its client wants more, so nothing piles up for it. */
class Reader {
  #state: "new" | "waiting" | "reading" | "ended" = "new";
  /** Number of the batch to be told next. */
  #next = 0;
  #pieces: Iterator<string, unknown> | undefined;
  #wakeUp: ((why: "batch" | "silence" | "end") => void) | undefined;

  constructor(
    private readonly buffer: EventBuffer,
    private readonly filter: Filter,
    private readonly past: Past | undefined,
    /** Called when it has ended, for whatever reason; perhaps more than once. */
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
        // Nothing may be known for a while: the client shall know that it is connected.
        return ":\n\n";
      }
      const { latest } = this.buffer;
      if (this.#state === "waiting" && latest && latest.revision >= (this.past?.least ?? 0)) {
        this.#pieces = this.#begin(latest);
        this.#state = "reading";
        continue;
      }
      const batch = this.#state === "reading" ? this.buffer.batch(this.#next) : undefined;
      if (batch === "lost") {
        this.end();
        return 'event: reset\ndata: {"reason":"what comes next is no longer known: connect again"}\n\n';
      }
      if (batch) {
        this.#next++;
        this.#pieces = written(this.#chosen(batch.events), batch.id);
        continue;
      }
      const why = await new Promise<"batch" | "silence" | "end">((resolve) => this.#wakeUp = resolve);
      this.#wakeUp = undefined;
      if (why === "silence") return ":\n\n";
    }
  }

  /** Ends the stream, also for whoever waits for its next piece. */
  end(): void {
    this.#state = "ended";
    this.buffer.leave(this.#wake);
    this.ended();
    this.#wakeUp?.("end");
  }

  /** An end is told once, also to who is not listening just now because its client takes nothing. */
  readonly #wake: Wake = (why) => why === "end" ? this.end() : this.#wakeUp?.(why);

  /** What was missed, or the present; then `synced`. */
  *#begin(cluster: Cluster): Generator<string> {
    const { past, buffer } = this;
    const newest = buffer.nextNumber;
    const first = past?.since_ms === undefined
      ? past?.seen && buffer.resume(past.seen)
      : buffer.resumeAt(past.since_ms).number;
    this.#next = first ?? newest;
    if (past?.since_ms !== undefined) yield* this.#before(cluster, past.since_ms);
    if (first !== undefined) {
      for (; this.#next < newest; this.#next++) {
        const batch = buffer.batch(this.#next);
        // Forgotten while earlier ones were taken: next() comes upon it, too.
        if (typeof batch !== "object") return;
        yield* written(this.#chosen(batch.events), batch.id);
      }
    } else {
      if (past) yield 'event: reset\ndata: {"reason":"what has happened since is no longer known"}\n\n';
      yield* written(this.#chosen(present(cluster, this.filter.units)), undefined);
    }
    // It has no revision of its own: whoever comes back may have missed it.
    yield* written(this.#chosen(buffer.waiting.present(cluster, this.filter.units)), undefined);
    yield `id: ${writeEventId(cluster)}\nevent: synced\ndata: {"revision":${cluster.revision}}\n\n`;
  }

  /** What has happened between a time and that from which on everything is known: the latest of each unit. */
  *#before(cluster: Cluster, since_ms: number): Generator<string> {
    const { known_ms, number } = this.buffer.resumeAt(since_ms);
    if (known_ms <= since_ms) return;
    // What has changed again is told with the other changes.
    const later = new Set<string>();
    for (let next = number; next < this.buffer.nextNumber; next++) {
      const batch = this.buffer.batch(next);
      if (typeof batch === "object") { for (const event of batch.events) later.add(subjectOf(event)); }
    }
    const events = [...present(cluster, this.filter.units)].filter((event) => {
      return event.at_ms !== undefined && event.at_ms >= since_ms && !later.has(subjectOf(event));
    }).sort((one, other) => (one.at_ms as number) - (other.at_ms as number))
      .map((event) => ({ ...event, data: withTime(event.data, event.at_ms as number) }));
    yield* written(this.#chosen(events), undefined);
    const reason = "of the time before, only the latest change of each unit is known";
    yield `event: partial\ndata: ${JSON.stringify({ reason, since: known_ms })}\n\n`;
  }

  *#chosen(events: Iterable<ApiEvent>): Generator<ApiEvent> {
    const { units, machines, kinds } = this.filter;
    for (const event of events) {
      if (kinds && !kinds.has(event.event)) continue;
      if (units && event.unit !== undefined && !units.has(event.unit)) continue;
      if (machines && event.machines && !event.machines.some((machine) => machines.has(machine))) continue;
      yield event;
    }
  }
}

/** What an event is about. */
function subjectOf({ event, unit = "", machines = [] }: ApiEvent): string {
  return `${event} ${unit} ${event === "state" ? machines[0] : ""}`;
}

/** Events as text, several at a time. The last alone has the id: who has read that far has read all of it. */
function* written(events: Iterable<ApiEvent>, id: string | undefined): Generator<string> {
  let text = "";
  let last: string | undefined;
  for (const { event, data } of events) {
    if (last !== undefined) text += last;
    last = `event: ${event}\ndata: ${data}\n\n`;
    if (text.length < piece) continue;
    yield text;
    text = "";
  }
  if (last !== undefined) text += (id === undefined ? "" : `id: ${id}\n`) + last;
  if (text !== "") yield text;
}
