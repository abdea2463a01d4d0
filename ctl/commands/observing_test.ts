import assert from "node:assert/strict";
import { FakeApi, refusal } from "../testing/fake_api.ts";
import { FakeHosts } from "../testing/fake_remote.ts";
import { FakeIo, fleetctl } from "../testing/fake_terminal.ts";
import { parseJournalEntry, TimeOrder } from "../journal/merge.ts";
import { aborted } from "../../runtime/on_abort.ts";
import { clockTime } from "../output/time.ts";
import { commands } from "./index.ts";

const id = "454c34ef00000000000000000000cafe";
const now = clockTime(Date.UTC(2026, 0, 1, 0, 0, 7));

function cluster(): FakeApi {
  const api = new FakeApi();
  api.add("a.service", "launched", "Service.ExecStart=/bin/true");
  api.add("b.service", "launched", "Service.ExecStart=/bin/true");
  return api;
}

Deno.test("events: a stream that ends is gone on with, from where it was", async () => {
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

Deno.test("machine label sets and removes in one request", async () => {
  const api = cluster();
  api.intercept = (request) => request.method === "PATCH" ? new Response(null, { status: 204 }) : undefined;
  let sent = "";
  const handle = api.handle.bind(api);
  api.handle = async (request) => {
    if (request.method === "PATCH") sent = await request.clone().text();
    return await handle(request);
  };
  const ran = await fleetctl(api, "machine label 454 disk=ssd=2 rack-");
  assert.deepEqual(JSON.parse(sent), [
    { op: "add", path: `/${id}/metadata/disk`, value: { value: "ssd=2" } },
    { op: "remove", path: `/${id}/metadata/rack` },
  ]);
  const machine = "Machine 454c34ef.../10.77.0.11";
  assert.deepEqual(ran, { status: 0, stdout: `${machine} disk=ssd=2\n${machine} rack removed\n`, stderr: "" });
});

const completions: [string, string[]][] = [
  ["complete -- st", ["start", "status", "stop"]],
  ["complete -- ver", ["verify", "version"]],
  ["complete -- start a", ["a.service"]],
  ["complete -- --tunnel x status --ssh-port 7 b", ["b.service"]],
  ["complete -- ssh 45", [id]],
  ["complete -- machine l", ["label"]],
  ["complete -- stop --no-b", ["--no-block"]],
  ["complete -- completion f", ["fish"]],
];

for (const [line, candidates] of completions) {
  Deno.test(`completion: ${line}`, async () => {
    assert.deepEqual((await fleetctl(cluster(), line)).stdout.split("\n").slice(0, -1), candidates);
  });
}

Deno.test("an abbreviation that meant an old command still does", async () => {
  const ran = await fleetctl(cluster(), "c a");
  assert.match(ran.stdout, /^\[Service\]/);
  assert.ok(commands.filter(({ name }) => name.startsWith("c")).length > 1);
});

Deno.test("logs: in the order of time, each with its unit's name", async () => {
  const hosts = new FakeHosts();
  const entry = (second: number, message: unknown) =>
    JSON.stringify({ __REALTIME_TIMESTAMP: `${Date.UTC(2026, 0, 1, 0, 0, second)}000`, MESSAGE: message });
  hosts.lines = (_place, command) =>
    command.includes("a.service") ? [entry(1, "one"), entry(3, [116, 104, 114])] : ["-- noise", entry(2, "two")];
  const ran = await fleetctl(cluster(), "logs --lines=5 --sudo a b", new FakeIo(), hosts);
  const at = (second: number) => clockTime(Date.UTC(2026, 0, 1, 0, 0, second));
  assert.equal(ran.stdout, `${at(1)} a.service one\n${at(2)} b.service two\n${at(3)} a.service thr\n`);
  assert.equal(
    hosts.ran[0],
    `10.77.0.11: sudo "journalctl" "--unit" "a.service" "--no-pager" "--quiet" "--output" "json" "-n" "5"`,
  );
});

Deno.test("logs: by the API where it can tell, by SSH otherwise, in the order of time", async () => {
  const entry = (second: number, message: string) =>
    JSON.stringify({ __REALTIME_TIMESTAMP: `${Date.UTC(2026, 0, 1, 0, 0, second)}000`, MESSAGE: message }) + "\n";
  const api = cluster();
  // Pieces end where they like.
  const pieces = [entry(1, "one").slice(0, 20), entry(1, "one").slice(20) + entry(3, "three").trim()];
  api.journals.set("a.service", () => ReadableStream.from(pieces).pipeThrough(new TextEncoderStream()));
  const hosts = new FakeHosts();
  hosts.lines = () => [entry(2, "two")];
  const { stdout, stderr } = await fleetctl(api, "logs --lines=5 a b", new FakeIo(), hosts);
  assert.deepEqual([stdout.match(/[ab]\.service \w+/g), stderr], [
    ["a.service one", "b.service two", "a.service three"],
    "",
  ]);
  assert.deepEqual(api.journalQueries, [`?machineID=${id}&lines=5&output=json`]);
  assert.deepEqual(hosts.ran.map((line) => line.includes('"b.service"')), [true]);
  const bySsh = new FakeHosts();
  await fleetctl(api, "logs --ssh a", new FakeIo(), bySsh);
  assert.equal(bySsh.ran.length, 1);
});

/** What a journal says each time it is asked for; the last answer refuses, which ends it. */
function journalOf(api: FakeApi, answers: readonly BodyInit[]): void {
  let asked = 0;
  api.journals.set("a.service", () => answers[asked++] as BodyInit);
  api.intercept = (_request, path) => {
    return path.endsWith("/journal") && asked === answers.length ? refusal(404, "unit does not exist") : undefined;
  };
}

function broken(text: string): ReadableStream<Uint8Array<ArrayBuffer>> {
  const words = [new TextEncoder().encode(text)];
  return new ReadableStream({
    pull(controller) {
      const word = words.shift();
      word ? controller.enqueue(word) : controller.error(new TypeError("connection reset"));
    },
  });
}

Deno.test("journal -f: a server that ends or breaks it is asked again for what is new", async () => {
  const api = cluster();
  journalOf(api, ["one\n", broken("two\n"), "three\n"]);
  const warning = "WARN unix:///fake.sock ended the journal of a.service; continuing with new entries\n";
  const { status, stdout, stderr } = await fleetctl(api, "journal -f --lines=3 a");
  assert.deepEqual([status, stdout], [1, "one\ntwo\nthree\n"]);
  assert.equal(stderr.replace(/^(?!WARN).*\n/gm, ""), warning.repeat(3));
  assert.match(stderr, /unit does not exist/);
  const query = `?machineID=${id}&lines=3&output=short&follow=true`;
  assert.deepEqual(api.journalQueries, [query, ...Array(2).fill(query.replace("lines=3", "lines=0"))]);
});

Deno.test("journal -f, logs -f: a server that ends an empty journal again and again is asked, and told of, less and less", async () => {
  for (const command of ["journal -f a", "logs -f a"]) {
    const api = cluster();
    journalOf(api, ["", "", "", "", "", ""]);
    const io = new FakeIo();
    const pauses_ms: number[] = [];
    const { sleep } = io;
    io.sleep = (ms, signal) => {
      if (ms > 500 && ms !== Infinity) pauses_ms.push(ms + 500);
      return sleep.call(io, ms, signal);
    };
    const { stderr } = await fleetctl(api, command, io);
    assert.equal(stderr.match(/^WARN .* ended the journal/gm)?.length, 6);
    assert.deepEqual(pauses_ms.filter((ms) => ms > 1_000), [2_000, 4_000, 8_000, 16_000, 32_000]);
  }
});

Deno.test("journal -f, logs -f: where the unit has moved when its machine has gone, and until then nowhere", async () => {
  const other = "454c99ff00000000000000000000cafe";
  const line = (text: string) => JSON.stringify({ MESSAGE: text, __REALTIME_TIMESTAMP: "1" }) + "\n";
  for (const command of ["journal -f --lines=3 --output=json a", "logs -f --lines=3 a"]) {
    const api = cluster();
    journalOf(api, [line("one"), line("two")]);
    const { intercept } = api;
    let looks = 0;
    api.intercept = (request, path) => {
      if (api.journalQueries.length === 1 && path === "/machines") {
        // The machine goes, then the unit moves.
        looks++;
        api.machines = [{ id: other, primaryIP: "10.77.0.12" }];
        if (looks === 3) api.units.get("a.service")!.machineID = other;
      }
      return intercept(request, path);
    };
    const { stdout, stderr } = await fleetctl(api, command);
    assert.match(stdout, /one[^]*two/);
    assert.match(stderr, /WARN a\.service is now on 454c99ff\.\.\.\n/);
    const query = `?machineID=${id}&lines=3&output=json&follow=true`;
    assert.deepEqual(api.journalQueries, [query, query.replace(id, other)]);
    assert.equal(looks, 4);
  }
});

Deno.test("journal -f: what was to be read on one machine is not looked for elsewhere", async () => {
  const api = cluster();
  journalOf(api, ["one\n"]);
  const { status, stderr } = await fleetctl(api, `journal -f --machine=${id} a`);
  assert.equal(status, 1);
  assert.match(stderr, /unit does not exist/);
  assert.equal(api.requests.filter((request) => request === "GET /units/a.service").length, 1);
});

Deno.test("journal -f: the journal of a unit that no longer exists ends", async () => {
  const api = cluster();
  api.journals.set("a.service", () => {
    api.units.delete("a.service");
    return "one\n";
  });
  const { status, stderr } = await fleetctl(api, "journal -f a");
  assert.equal(status, 1);
  assert.match(stderr, /unit a\.service no longer exists/);
});

Deno.test("journal: without -f an end is the end, and a break is told", async () => {
  const api = cluster();
  api.journals.set("a.service", () => "one\n");
  assert.deepEqual(await fleetctl(api, "journal a"), { status: 0, stdout: "one\n", stderr: "" });
  api.journals.set("a.service", () => broken("one\n"));
  const { status, stdout, stderr } = await fleetctl(api, "journal a");
  assert.deepEqual([status, stdout], [1, "one\n"]);
  assert.match(stderr, /connection reset/);
});

Deno.test("logs: what cannot be read is said, and the rest is printed", async () => {
  const hosts = new FakeHosts();
  hosts.refusal = "why";
  const { status, stderr } = await fleetctl(cluster(), "logs a", new FakeIo(), hosts);
  assert.deepEqual([status, stderr], [1, "Unable to read the journal of a.service on 454c34ef...: why\n"]);
});

Deno.test("merging: nothing is printed until every source has spoken, or has had its time", () => {
  const order = new TimeOrder(2, 0);
  const entry = (wall_ms: number) => ({ wall_ms, message: `${wall_ms}` });
  order.add(0, entry(500), 0);
  assert.deepEqual(order.take(1999), []);
  assert.deepEqual(order.take(2000).map(({ entry }) => entry.wall_ms), [500]);
  order.add(0, entry(900), 3000);
  order.add(1, entry(800), 3200);
  assert.deepEqual(order.take(3250), []);
  assert.deepEqual(order.take(3300).map(({ entry }) => entry.wall_ms), [800, 900]);
  order.add(1, entry(950), 3400);
  order.end(0);
  order.end(1);
  assert.deepEqual(order.take(3400).map(({ source }) => source), [1]);
});

Deno.test("merging: what is no entry is left out", () => {
  assert.equal(parseJournalEntry("no"), undefined);
  assert.equal(parseJournalEntry("{}"), undefined);
  assert.match(parseJournalEntry('{"__REALTIME_TIMESTAMP":"1000","MESSAGE":null}')?.message ?? "", /too long/);
});

/** A server whose event streams say this, one after the other. */
function telling(...streams: BodyInit[]): { api: FakeApi; queries: string[] } {
  const api = cluster();
  const queries: string[] = [];
  api.intercept = (request, path) => {
    if (path !== "/events") return undefined;
    queries.push(new URL(request.url).search);
    return new Response(streams[queries.length - 1], { headers: { "content-type": "text/event-stream" } });
  };
  return { api, queries };
}

Deno.test("events: a stream that falls silent is opened again where it ended", async () => {
  const silent = new ReadableStream({
    start: (controller) => controller.enqueue(new TextEncoder().encode("id: 7-454c\nevent: synced\ndata: {}\n\n")),
  });
  const { api, queries } = telling(silent, "event: synced\ndata: x\n\n");
  const io = new FakeIo();
  const sleep = io.sleep.bind(io);
  io.sleep = (ms, signal) => signal || queries.length < 2 ? sleep(ms, signal) : Promise.reject(new Error("enough"));
  await fleetctl(api, "events", io);
  assert.deepEqual(queries, ["", "?since=7-454c"]);
});

Deno.test("events: where nothing was missed, a stream that begins anew tells nothing", async () => {
  const present = 'event: machine\ndata: {"id":"454c","machine":{"id":"454c"}}\n\n';
  const synced = (revision: number) => `id: ${revision}-454c34ef\nevent: synced\ndata: {"revision":${revision}}\n\n`;
  const reset = 'event: reset\ndata: {"reason":"what has happened since is no longer known"}\n\n';
  const { api, queries } = telling(
    present + synced(7),
    reset + present + synced(9) + 'event: machine\ndata: {"id":"454c"}\n\n',
    "event: synced\ndata: x\n\n",
  );
  const io = new FakeIo();
  io.sleep = (_ms, signal) =>
    signal ? aborted(signal) : queries.length < 2 ? Promise.resolve() : Promise.reject(new Error("enough"));
  const { stdout } = await fleetctl(api, "events", io);
  assert.equal(stdout, `${now} machine 454c... is gone\n`);
});
