/**
 * Server-sent events, as the HTML standard defines them (section 9.2), read from a response body.
 *
 * @module
 */

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

/** Yields each event of a body. Throws what reading the body throws, or when an event is absurdly long. */
export async function* serverEvents(body: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<ServerEvent> {
  let rest = "";
  let event = "";
  let data: string[] = [];
  let id = "";
  for await (const chunk of body.pipeThrough(new TextDecoderStream())) {
    rest += chunk;
    if (rest.length > maxEvent) throw new Error(`the server sent an event of more than ${maxEvent} characters`);
    const lines = rest.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() as string;
    for (const line of lines) {
      if (line === "") {
        if (data.length > 0) yield { event: event || "message", data: data.join("\n"), id };
        event = "";
        data = [];
        continue;
      }
      if (line.startsWith(":")) {
        yield { event: "", data: "", id };
        continue;
      }
      const { field, value } = splitField(line);
      if (field === "event") event = value;
      else if (field === "data") data.push(value);
      else if (field === "id") id = value;
    }
  }
}

function splitField(line: string): { field: string; value: string } {
  const colon = line.indexOf(":");
  if (colon < 0) return { field: line, value: "" };
  return { field: line.slice(0, colon), value: line.slice(colon + 1).replace(/^ /, "") };
}
