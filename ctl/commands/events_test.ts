import assert from "node:assert/strict";
import { aborted } from "../../runtime/on_abort.ts";
import { clockTime } from "../output/time.ts";
import { FakeApi } from "../testing/fake_api.ts";
import { FakeIo, fleetctl } from "../testing/fake_terminal.ts";

function cluster(): FakeApi {
  const api = new FakeApi();
  api.add("a.service", "launched", "Service.ExecStart=/bin/true");
  api.add("b.service", "launched", "Service.ExecStart=/bin/true");
  return api;
}

/** Returns a server that answers with these event streams one after the other, and the queries of the requests. */
function streaming(...streams: BodyInit[]): { api: FakeApi; queries: string[] } {
  const api = cluster();
  const queries: string[] = [];
  api.intercept = (request, path) => {
    if (path !== "/events") return undefined;
    queries.push(new URL(request.url).search);
    return new Response(streams[queries.length - 1], { headers: { "content-type": "text/event-stream" } });
  };
  return { api, queries };
}

Deno.test("events: a stream that ends is continued where it ended", async () => {
  const api = cluster();
  const queries: string[] = [];
  const io = new FakeIo();
  api.intercept = (request, path) => {
    if (path !== "/events") return undefined;
    queries.push(new URL(request.url).search);
    return queries.length === 1
      ? new Response('id: 7-454c34ef\nevent: machine\ndata: {"id":"454c"}\n\n', {
        headers: { "content-type": "text/event-stream" },
      })
      : undefined;
  };
  const ran = await fleetctl(api, "events --no-follow --kind=state,unit --since=3 --output=json", io);
  assert.deepEqual(queries, ["?kind=state&kind=unit&since=3", "?kind=state&kind=unit&since=7-454c34ef"]);
  assert.equal(JSON.parse(ran.stdout.split("\n")[0]!).revision, 7);
  assert.match(ran.stderr, /^WARN unix:\/\/\/fake\.sock ended the stream; continuing\n$/);
  assert.equal(ran.status, 0);
});

Deno.test("events: a stream that falls silent is opened again where it ended", async () => {
  const silent = new ReadableStream({
    start: (controller) => controller.enqueue(new TextEncoder().encode("id: 7-454c\nevent: synced\ndata: {}\n\n")),
  });
  const { api, queries } = streaming(silent, "event: synced\ndata: x\n\n");
  const io = new FakeIo();
  const sleep = io.sleep.bind(io);
  io.sleep = (ms, signal) => signal || queries.length < 2 ? sleep(ms, signal) : Promise.reject(new Error("enough"));
  await fleetctl(api, "events", io);
  assert.deepEqual(queries, ["", "?since=7-454c"]);
});

Deno.test("events: a stream that starts over without missed events prints nothing", async () => {
  const present = 'event: machine\ndata: {"id":"454c","machine":{"id":"454c"}}\n\n';
  const synced = (revision: number) => `id: ${revision}-454c34ef\nevent: synced\ndata: {"revision":${revision}}\n\n`;
  const reset = 'event: reset\ndata: {"reason":"what has happened since is no longer known"}\n\n';
  const { api, queries } = streaming(
    present + synced(7),
    reset + present + synced(9) + 'event: machine\ndata: {"id":"454c"}\n\n',
    "event: synced\ndata: x\n\n",
  );
  const io = new FakeIo();
  io.sleep = (_ms, signal) =>
    signal ? aborted(signal) : queries.length < 2 ? Promise.resolve() : Promise.reject(new Error("enough"));
  const { stdout } = await fleetctl(api, "events", io);
  assert.equal(stdout, `${clockTime(io.wall_ms())} machine 454c... is gone\n`);
});
