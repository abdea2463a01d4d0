import assert from "node:assert/strict";
import { type ServerEvent, serverEvents } from "./sse.ts";

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
    name: "an event has a name, data and an id",
    chunks: ["id: 7\nevent: unit\ndata: {}\n\n"],
    expected: [{ event: "unit", data: "{}", id: "7" }],
  },
  {
    name: "an event may come in pieces, cut anywhere",
    chunks: ["eve", "nt: a\r", "\nda", "ta:x\r\n\r\nevent: b\ndata: y\n", "\n"],
    expected: [{ event: "a", data: "x", id: "" }, { event: "b", data: "y", id: "" }],
  },
  {
    name: "several data lines are one text",
    chunks: ["data: a\ndata:  b\n\n"],
    expected: [{ event: "message", data: "a\n b", id: "" }],
  },
  { name: "an event without data is none", chunks: ["event: a\n\n"], expected: [] },
  { name: "an event that was not finished is none", chunks: ["data: a\n"], expected: [] },
  {
    name: "a comment shows that the server is there",
    chunks: [": hello\n\n"],
    expected: [{ event: "", data: "", id: "" }],
  },
  {
    name: "an id stays until the next",
    chunks: ["id: 1\ndata: a\n\ndata: b\n\n"],
    expected: [{ event: "message", data: "a", id: "1" }, { event: "message", data: "b", id: "1" }],
  },
];

for (const { name, chunks, expected } of cases) {
  Deno.test(`server-sent events: ${name}`, async () => assert.deepEqual(await read(...chunks), expected));
}

Deno.test("server-sent events: an endless line is given up", async () => {
  await assert.rejects(read(...Array.from({ length: 5 }, () => "x".repeat(1024 * 1024))), /more than 4194304/);
});

Deno.test("server-sent events: an abort ends them while the next is awaited, and cancels the body", async () => {
  const cancelled = Promise.withResolvers<void>();
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start: (controller) => controller.enqueue(new TextEncoder().encode("data: a\n\n")),
    cancel: () => cancelled.resolve(),
  });
  const stop = new AbortController();
  const events = serverEvents(body, stop.signal);
  assert.equal((await events.next()).value?.data, "a");
  const next = events.next();
  stop.abort();
  assert.equal((await next).done, true);
  await cancelled.promise;
});

Deno.test("server-sent events: a reader that leaves cancels the body", async () => {
  const cancelled = Promise.withResolvers<void>();
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start: (controller) => controller.enqueue(new TextEncoder().encode("data: a\n\ndata: b\n\n")),
    cancel: () => cancelled.resolve(),
  });
  for await (const { data } of serverEvents(body)) if (data === "a") break;
  await cancelled.promise;
});
