/**
 * Server-sent events (HTML standard, section 9.2), read from a response body.
 *
 * @module
 */

import { createParser } from "eventsource-parser";
import { onceAborted } from "../../runtime/on_abort.ts";

/** One event. */
export interface ServerEvent {
  /** The event's name: `message` if the server sent none, "" for a comment, which only shows that the server is alive. */
  readonly event: string;
  readonly data: string;
  /** The last event ID; "" if none was sent. */
  readonly id: string;
}

/** Longest event that is accepted, in characters; the API sends far shorter ones. */
const maxEvent = 4 * 1024 * 1024;

/** Time without an event after which a connection counts as lost, milliseconds; the API sends comments more often. */
const silence_ms = 30_000;

/**
 * Yields each event of a body until the body ends or `signal` aborts, which cancels the body. Throws an error of reading
 * the body, or if an event is longer than {@link maxEvent}.
 */
export async function* serverEvents(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  signal?: AbortSignal,
): AsyncGenerator<ServerEvent> {
  const events: ServerEvent[] = [];
  let id = "";
  const parser = createParser({
    maxBufferSize: maxEvent,
    onId: (latest) => id = latest,
    onEvent: ({ event = "message", data }) => events.push({ event, data, id }),
    onComment: () => events.push({ event: "", data: "", id }),
    onError: ({ type }) => {
      if (type !== "max-buffer-size-exceeded") return;
      throw new Error(`the server sent an event of more than ${maxEvent} characters`);
    },
  });
  const decoder = new TextDecoder();
  const reader = body.getReader();
  // Canceled here because a fetch's own signal does not always reach a body that is being read. The rejection is ignored:
  // it repeats the error that read() throws.
  const cancel = () => void reader.cancel().catch(() => {});
  const stopListening = onceAborted([signal], cancel);
  try {
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
      parser.feed(decoder.decode(chunk.value, { stream: true }));
      yield* events.splice(0);
    }
  } finally {
    stopListening();
    cancel();
  }
}

/** Yields the events of a stream, and calls `stop` to end it if {@link silence_ms} pass without an event. */
export async function* stopWhenSilent(
  events: AsyncIterable<ServerEvent>,
  sleep: (duration_ms: number, signal: AbortSignal) => Promise<void>,
  stop: () => void,
): AsyncGenerator<ServerEvent> {
  let timer = new AbortController();
  const start = () => {
    timer = new AbortController();
    const { signal } = timer;
    void sleep(silence_ms, signal).then(() => signal.aborted || stop());
  };
  try {
    start();
    for await (const event of events) {
      timer.abort();
      yield event;
      start();
    }
  } finally {
    timer.abort();
  }
}
