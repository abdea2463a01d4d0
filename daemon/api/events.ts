/**
 * `/events`: the present, then every change, as server-sent events (HTML standard, section 9.2).
 *
 * @module
 */

import type { Clock } from "../../registry/clock.ts";
import { messageOf } from "../../registry/log.ts";
import type { Cluster } from "../../registry/model.ts";
import { type ApiEvent, changes, type Filter, present } from "./changes.ts";
import type { Api, Call } from "./context.ts";
import { errorReply } from "./replies.ts";

/** A comment is sent after this long without an event, so that either side notices when the other is gone. */
export const keepAlive_ms = 15_000;

/** Streams open at once; each costs a comparison of the whole cluster a change. */
const maxStreams = 500;

/** Events are handed on in pieces of about this many characters. */
const piece = 64 * 1024;

/** Opens event streams and counts them. */
export class EventStreams {
  #open = 0;

  constructor(private readonly api: Api) {}

  /** GET `/events`. The stream ends when its reader cancels it, or when `peer.closing` aborts. */
  open({ query, peer }: Call): Response {
    if (this.#open >= maxStreams) return errorReply(429, `too many event streams are open (${maxStreams})`);
    const units = query.getAll("unit").filter((name) => name !== "");
    const body = this.#stream(units.length > 0 ? new Set(units) : undefined, peer.closing);
    return new Response(body, {
      status: 200,
      headers: { "Content-Type": "text/event-stream", "Cache-Control": "no-store" },
    });
  }

  #stream(filter: Filter, closing: AbortSignal | undefined): ReadableStream<Uint8Array> {
    const stop = new AbortController();
    const abort = () => stop.abort();
    closing?.addEventListener("abort", abort, { once: true, signal: stop.signal });
    if (closing?.aborted) abort();
    const encoder = new TextEncoder();
    const text = this.#text(filter, stop.signal);
    let isCancelled = false;
    this.#open++;
    const end = () => {
      stop.abort();
      this.#open--;
    };
    return new ReadableStream({
      pull: async (controller) => {
        const { done, value } = await text.next();
        if (isCancelled) return;
        if (!done) return controller.enqueue(encoder.encode(value));
        end();
        controller.close();
      },
      cancel: async () => {
        isCancelled = true;
        end();
        await text.return();
      },
    }, { highWaterMark: 0 });
  }

  /** Only asks for a newer view when the reader wants more: however slow it is, no more than one view waits for it. */
  async *#text(filter: Filter, signal: AbortSignal): AsyncGenerator<string, void> {
    const { registry, log, clock } = this.api;
    const end = new AbortController();
    const ended = AbortSignal.any([signal, end.signal]);
    const views = registry.watch(ended)[Symbol.asyncIterator]();
    let next: Promise<IteratorResult<Cluster>> | undefined;
    let before: Cluster | undefined;
    try {
      // Nothing may be known for a while: the reader shall know that it is connected.
      yield ":\n\n";
      while (!signal.aborted) {
        next ??= views.next();
        const result = await withinSilence(next, clock, ended);
        if (result === undefined) {
          if (!signal.aborted) yield ":\n\n";
          continue;
        }
        next = undefined;
        if (result.done) return;
        const after: Cluster = result.value;
        yield* pieces(before ? changes(before, after, filter) : withSynced(after, filter), after.revision);
        before = after;
      }
    } catch (error) {
      log("warn", "an event stream ends", { error: messageOf(error) });
    } finally {
      end.abort();
      await next?.catch((error: unknown) => log("debug", "an event stream had ended", { error: messageOf(error) }));
      await views.return?.();
    }
  }
}

/** What `next` gives, or undefined if it has given nothing for {@link keepAlive_ms} or `signal` aborts. */
async function withinSilence<T>(
  next: Promise<T>,
  clock: Clock,
  signal: AbortSignal,
): Promise<T | undefined> {
  const timer = new AbortController();
  try {
    return await Promise.race([
      next,
      clock.sleep(keepAlive_ms, AbortSignal.any([signal, timer.signal])).then(() => undefined),
    ]);
  } finally {
    timer.abort();
  }
}

function* withSynced(cluster: Cluster, filter: Filter): Generator<ApiEvent> {
  yield* present(cluster, filter);
  yield { event: "synced", data: JSON.stringify({ revision: cluster.revision }) };
}

/** Events as text, several at a time. */
function* pieces(events: Iterable<ApiEvent>, revision: number): Generator<string> {
  let text = "";
  for (const { event, data } of events) {
    text += `id: ${revision}\nevent: ${event}\ndata: ${data}\n\n`;
    if (text.length < piece) continue;
    yield text;
    text = "";
  }
  if (text !== "") yield text;
}
