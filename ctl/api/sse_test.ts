import assert from "node:assert/strict";
import { type ServerEvent, serverEvents, stopWhenSilent } from "./sse.ts";

async function read(...chunks: string[]): Promise<ServerEvent[]> {
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(encoder.encode(chunk));
      controller.close();
    },
  });
  return await Array.fromAsync(serverEvents(body));
}

const cases: { name: string; chunks: string[]; expected: ServerEvent[] }[] = [
  {
    name: "an event has a name, data and an ID",
    chunks: ["id: 7\nevent: unit\ndata: {}\n\n"],
    expected: [{ event: "unit", data: "{}", id: "7" }],
  },
  {
    name: "an event is put together from chunks that are cut anywhere",
    chunks: ["eve", "nt: a\r", "\nda", "ta:x\r\n\r\nevent: b\ndata: y\n", "\n"],
    expected: [{ event: "a", data: "x", id: "" }, { event: "b", data: "y", id: "" }],
  },
  {
    name: "several data lines are one text",
    chunks: ["data: a\ndata:  b\n\n"],
    expected: [{ event: "message", data: "a\n b", id: "" }],
  },
  { name: "an event without data is skipped", chunks: ["event: a\n\n"], expected: [] },
  { name: "an event that was cut off is skipped", chunks: ["data: a\n"], expected: [] },
  {
    name: "a comment is yielded as an event without a name",
    chunks: [": hello\n\n"],
    expected: [{ event: "", data: "", id: "" }],
  },
  {
    name: "an ID holds until the next one",
    chunks: ["id: 1\ndata: a\n\ndata: b\n\n"],
    expected: [{ event: "message", data: "a", id: "1" }, { event: "message", data: "b", id: "1" }],
  },
  {
    name: "an ID without data holds too",
    chunks: ["id: 1\n\n", "data: a\n\n"],
    expected: [{ event: "message", data: "a", id: "1" }],
  },
];

for (const { name, chunks, expected } of cases) {
  Deno.test(`server-sent events: ${name}`, async () => assert.deepEqual(await read(...chunks), expected));
}

const mebibyte = "x".repeat(1024 * 1024);
const endless: Readonly<Record<string, string[]>> = {
  "an endless line": ["data: ", ...Array(5).fill(mebibyte)],
  "an endless comment": [": ", ...Array(5).fill(mebibyte)],
  "an event of endless lines": Array(5).fill(`data: ${mebibyte}\n`),
};

for (const [name, chunks] of Object.entries(endless)) {
  Deno.test(`server-sent events: ${name} is refused`, async () => {
    await assert.rejects(read(...chunks), /more than 4194304/);
  });
}

Deno.test("server-sent events: an abort ends the stream while its next event is awaited, and cancels the body", async () => {
  const canceled = Promise.withResolvers<void>();
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start: (controller) => controller.enqueue(new TextEncoder().encode("data: a\n\n")),
    cancel: () => canceled.resolve(),
  });
  const stop = new AbortController();
  const events = serverEvents(body, stop.signal);
  assert.equal((await events.next()).value?.data, "a");
  const next = events.next();
  stop.abort();
  assert.equal((await next).done, true);
  await canceled.promise;
});

Deno.test("server-sent events: a reader that stops early cancels the body", async () => {
  const canceled = Promise.withResolvers<void>();
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start: (controller) => controller.enqueue(new TextEncoder().encode("data: a\n\ndata: b\n\n")),
    cancel: () => canceled.resolve(),
  });
  for await (const { data } of serverEvents(body)) if (data === "a") break;
  await canceled.promise;
});

Deno.test("server-sent events: a silent stream is stopped, and a slow reader does not count as silence", async () => {
  const stop = new AbortController();
  const sleeps: { end: () => void; signal: AbortSignal }[] = [];
  const sleep = (_ms: number, signal: AbortSignal) => new Promise<void>((end) => sleeps.push({ end, signal }));
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start: (controller) => controller.enqueue(new TextEncoder().encode("data: a\n\n")),
  });
  const events = stopWhenSilent(serverEvents(body, stop.signal), sleep, () => stop.abort());
  assert.equal((await events.next()).value?.data, "a");
  assert.deepEqual(sleeps.map(({ signal }) => signal.aborted), [true]);
  const next = events.next();
  assert.deepEqual(sleeps.map(({ signal }) => signal.aborted), [true, false]);
  sleeps[1]!.end();
  assert.equal((await next).done, true);
});
