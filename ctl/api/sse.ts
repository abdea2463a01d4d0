/**
 * Server-sent events, as the HTML standard defines them (section 9.2), read from a response body.
 *
 * @module
 */

import { onceAborted } from "../../runtime/on_abort.ts";

/** One event. */
export interface ServerEvent {
  /** Its name; `message` where the server gave none, "" for a comment, which only says that the server is there. */
  readonly event: string;
  readonly data: string;
  /** The last event id; "" if none was sent. */
  readonly id: string;
}

/** Longest event understood, in characters: nothing the API sends comes near it. */
const maxEvent = 4 * 1024 * 1024;

/**
 * Yields each event of a body, until the body ends or `signal` aborts: then the body is cancelled. Throws what reading
 * the body throws, or when an event is absurdly long.
 */
export async function* serverEvents(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  signal?: AbortSignal,
): AsyncGenerator<ServerEvent> {
  const lines = new Lines();
  const events = new Events();
  const reader = body.getReader();
  // Cancelled here, not left to fetch: its own signal has been seen not to reach a body that is being read.
  // What it rejects with is why the body has failed already, which read() says.
  const stop = () => void reader.cancel().catch(() => {});
  const callOff = onceAborted([signal], stop);
  try {
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
      for (const line of lines.take(chunk.value)) {
        const event = events.take(line);
        if (event) yield event;
      }
    }
  } finally {
    callOff();
    stop();
  }
}

/** Cuts bytes into lines, which end in a carriage return, a line feed, or both. */
class Lines {
  readonly #decoder = new TextDecoder();
  #rest = "";

  take(bytes: Uint8Array): string[] {
    this.#rest += this.#decoder.decode(bytes, { stream: true });
    if (this.#rest.length > maxEvent) throw new Error(`the server sent an event of more than ${maxEvent} characters`);
    const lines = this.#rest.split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() as string;
    return lines;
  }
}

/** Puts lines together to events. */
class Events {
  #event = "";
  #data: string[] = [];
  #id = "";

  take(line: string): ServerEvent | undefined {
    if (line === "") return this.#finish();
    if (line.startsWith(":")) return { event: "", data: "", id: this.#id };
    const { field, value } = splitField(line);
    if (field === "event") this.#event = value;
    else if (field === "data") this.#data.push(value);
    else if (field === "id") this.#id = value;
    return undefined;
  }

  #finish(): ServerEvent | undefined {
    const event = { event: this.#event || "message", data: this.#data.join("\n"), id: this.#id };
    const isEmpty = this.#data.length === 0;
    this.#event = "";
    this.#data = [];
    return isEmpty ? undefined : event;
  }
}

function splitField(line: string): { field: string; value: string } {
  const colon = line.indexOf(":");
  if (colon < 0) return { field: line, value: "" };
  return { field: line.slice(0, colon), value: line.slice(colon + 1).replace(/^ /, "") };
}
