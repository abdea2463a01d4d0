import assert from "node:assert/strict";
import { FakeApi, refusal } from "../testing/fake_api.ts";
import { FakeHosts } from "../testing/fake_remote.ts";
import { FakeIo, fleetctl, usageOf } from "../testing/fake_terminal.ts";
import { parseJournalEntry, TimeOrder } from "../journal/merge.ts";
import { clockTime } from "../output/time.ts";
import { version } from "../version.ts";
import { commands } from "./index.ts";

const id = "454c34ef00000000000000000000cafe";
const now = clockTime(Date.UTC(2026, 0, 1, 0, 0, 7));

function cluster(): FakeApi {
  const api = new FakeApi();
  api.add("a.service", "launched", "Service.ExecStart=/bin/true");
  api.add("b.service", "launched", "Service.ExecStart=/bin/true");
  return api;
}

Deno.test("events: what is there, then the end of it", async () => {
  const ran = await fleetctl(cluster(), "events --present --no-follow a");
  assert.deepEqual(ran, {
    status: 0,
    stdout: `${now} machine 454c34ef.../10.77.0.11 is present\n` +
      `${now} unit a.service is wanted launched on 454c34ef.../10.77.0.11\n` +
      `${now} state a.service is active (running) on 454c34ef.../10.77.0.11\n`,
    stderr: "",
  });
  assert.equal((await fleetctl(cluster(), "events --no-follow")).stdout, "");
});

Deno.test("events: decisions", async () => {
  const api = cluster();
  const decisions = [
    { machineID: id, name: "a.service", since: Date.UTC(2026, 0, 1, 0, 0, 5), why: "least loaded" },
    { from: id, name: "a.service", why: "the unit was destroyed" },
    { name: "b.service", waiting: true, why: "there are no machines" },
    {
      name: "b.service",
      reasons: [{ machines: 2, reason: "no disk" }, { machines: 1, reason: "no tape" }],
      waiting: true,
      why: "none of 3 machines will take it",
    },
  ];
  const text = decisions.map((data) => `event: decision\ndata: ${JSON.stringify(data)}\n\n`).join("");
  api.intercept = (_request, path) =>
    path === "/events"
      ? new Response(`${text}event: synced\ndata: {"revision":9}\n\n`, {
        headers: { "content-type": "text/event-stream" },
      })
      : undefined;
  const ran = await fleetctl(api, "events --present --no-follow");
  assert.deepEqual(ran.stdout.trim().split("\n"), [
    `${clockTime(Date.UTC(2026, 0, 1, 0, 0, 5))} decision a.service belongs on 454c34ef...: least loaded`,
    `${now} decision a.service has no machine: the unit was destroyed`,
    `${now} decision b.service waits: there are no machines`,
    `${now} decision b.service waits: none of 3 machines will take it; no disk (2 times); no tape`,
  ]);
});

Deno.test("events: as objects, one a line", async () => {
  const { stdout } = await fleetctl(cluster(), "events --present --no-follow --output=json a");
  const lines = stdout.trim().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(lines.map(({ event, name }) => [event, name]), [
    ["machine", undefined],
    ["unit", "a.service"],
    ["state", "a.service"],
    ["synced", undefined],
  ]);
  assert.equal(lines[0].time, "2026-01-01T00:00:07.000Z");
});

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
  assert.match(ran.stderr, /^WARN unix:\/\/\/fake\.sock ended the stream; going on\n$/);
  assert.equal(ran.status, 0);
});

const refused: { line: string; status: number; stderr: string }[] = [
  {
    line: "events --since=x",
    status: 2,
    stderr: `Invalid --since "x": expected a time (10m), a revision of the store (117) or an event's id\n` +
      usageOf("events"),
  },
  {
    line: "events --output=x",
    status: 2,
    stderr: 'Invalid output "x": expected "text" or "json"\n' + usageOf("events"),
  },
  { line: "machine", status: 2, stderr: "Provide a machine and at least one KEY=VALUE or KEY-\n" + usageOf("machine") },
  {
    line: "machine lable 4 a=b",
    status: 2,
    stderr: 'unknown command "lable" for "fleetctl machine"\n' + usageOf("machine"),
  },
  {
    line: "machine label",
    status: 2,
    stderr: "Provide a machine and at least one KEY=VALUE or KEY-\n" +
      "Usage: fleetctl machine label MACHINE KEY=VALUE|KEY-... (fleetctl help machine says more)\n",
  },
  { line: "machine label 4 disk", status: 2, stderr: '"disk" is neither KEY=VALUE nor KEY-\n' + usageOf("machine") },
  {
    line: "machine label 9 a=b",
    status: 1,
    stderr: 'Unable to label machine 9: machine does not exist: no ID begins with "9"\n',
  },
  { line: "completion", status: 2, stderr: 'Name one shell: "bash", "zsh" or "fish"\n' + usageOf("completion") },
  {
    line: "completion toString",
    status: 2,
    stderr: 'Name one shell: "bash", "zsh" or "fish"\n' + usageOf("completion"),
  },
  { line: "logs nosuch", status: 1, stderr: "Unit nosuch.service is not in the cluster\n" },
];

for (const { line, status, stderr } of refused) {
  Deno.test(`refused: ${line}`, async () => {
    assert.deepEqual(await fleetctl(cluster(), line), { status, stdout: "", stderr });
  });
}

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
  const warning = "WARN unix:///fake.sock ended the journal of a.service; going on with what comes from now on\n";
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

Deno.test("journal -f: a unit that does not exist any more has nothing more to say", async () => {
  const api = cluster();
  api.journals.set("a.service", () => {
    api.units.delete("a.service");
    return "one\n";
  });
  const { status, stderr } = await fleetctl(api, "journal -f a");
  assert.equal(status, 1);
  assert.match(stderr, /unit a\.service does not exist any more/);
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

Deno.test("doctor: all is well", async () => {
  const api = cluster();
  const hosts = new FakeHosts();
  hosts.captured = () => "a line\n";
  api.intercept = (request) =>
    new URL(request.url).pathname === "/readyz"
      ? new Response("ok", { headers: { server: `fleetd/${version}`, date: "Thu, 01 Jan 2026 00:00:06 GMT" } })
      : undefined;
  assert.deepEqual(await fleetctl(api, "doctor", new FakeIo(), hosts), {
    status: 0,
    stdout: `ok     endpoint: unix:///fake.sock answers
ok     version: fleetctl and fleetd are both ${version}
ok     clock: the server's agrees with ours
ok     store: the server can answer for the cluster
ok     machines: 1 present
ok     ssh: 454c34ef.../10.77.0.11 lets us in, and shows its journal
`,
    stderr: "",
  });
});

Deno.test("doctor: what is wrong, and what to do", async () => {
  const api = cluster();
  api.intercept = (request) =>
    new URL(request.url).pathname === "/readyz"
      ? new Response("the store is away", {
        status: 503,
        headers: { server: "fleetd/1.9", date: "Thu, 01 Jan 2026 00:01:00 GMT" },
      })
      : undefined;
  const { status, stdout } = await fleetctl(api, "doctor");
  assert.equal(status, 1);
  assert.match(stdout, /^warn {3}version: fleetctl is .*, fleetd is 1\.9\n {7}Use the fleetctl/m);
  assert.match(stdout, /^warn {3}clock: the server's is 53 seconds ahead of ours\n/m);
  assert.match(stdout, /^FAIL {3}store: the store is away\n {7}Look at the journal/m);
});

Deno.test("doctor: a fleet 1.0, which does not tell whether it is ready, has not failed", async () => {
  const api = cluster();
  const hosts = new FakeHosts();
  hosts.captured = () => "a line\n";
  api.intercept = (request) =>
    new URL(request.url).pathname === "/readyz" ? new Response("404 page not found\n", { status: 404 }) : undefined;
  const { status, stdout } = await fleetctl(api, "doctor", new FakeIo(), hosts);
  assert.equal(status, 0);
  assert.match(stdout, /^warn {3}store: the server does not tell its state, as an older fleet does not$/m);
  assert.match(stdout, /^ok {5}machines: 1 present$/m);
});

Deno.test("doctor: a refusal without a reason is named by its HTTP status", async () => {
  const api = cluster();
  api.intercept = (request) =>
    new URL(request.url).pathname === "/readyz" ? new Response("", { status: 500 }) : undefined;
  const { status, stdout } = await fleetctl(api, "doctor");
  assert.equal(status, 1);
  assert.match(stdout, /^FAIL {3}store: the server answers HTTP 500 without a reason$/m);
});

Deno.test("events: a unit that is not in the cluster is named, and may come", async () => {
  const api = cluster();
  const { status, stderr } = await fleetctl(api, "events --no-follow a.servce nosuch");
  assert.equal(status, 0);
  assert.equal(
    stderr,
    "Unit a.servce.service is not in the cluster\nUnit nosuch.service is not in the cluster\n",
  );
});

Deno.test("events: a machine that does not exist is an error, one that may be away is waited for", async () => {
  const api = cluster();
  const wrong = await fleetctl(api, "events --no-follow --machine=9");
  assert.deepEqual([wrong.status, wrong.stderr], [1, 'machine does not exist: no ID begins with "9"\n']);
  const away = await fleetctl(api, `events --no-follow --machine=${"9".repeat(32)}`);
  assert.deepEqual([away.status, away.stderr], [0, `Machine ${"9".repeat(32)} is not in the cluster now\n`]);
});

Deno.test("events: a pattern means every unit that matches, also those that come", async () => {
  const api = cluster();
  api.add("web@1.service", "launched", "Service.ExecStart=/bin/true");
  const { status, stdout, stderr } = await fleetctl(api, "events --present --no-follow --kind=unit web@*");
  assert.deepEqual([status, stderr], [0, ""]);
  const units = stdout.match(/ unit \S+/g);
  assert.deepEqual(units, [" unit web@1.service"]);
});

for (const command of ["journal a", "status a", "logs a"]) {
  Deno.test(`${command}: where the API cannot tell and SSH fails, both reasons are given`, async () => {
    const api = cluster();
    api.intercept = (_request, path) =>
      /\/(journal|status)$/.test(path) ? refusal(502, "m2 refuses: no token") : undefined;
    const hosts = new FakeHosts();
    hosts.refusal = "SSH_AUTH_SOCK is not set";
    const { status, stderr } = await fleetctl(api, command, new FakeIo(), hosts);
    assert.notEqual(status, 0);
    assert.match(
      stderr,
      /unix:\/\/\/fake\.sock cannot tell it: googleapi: Error 502: m2 refuses: no token[^]*SSH_AUTH_SOCK is not set/,
    );
  });
}

Deno.test("events: a server that bears no more followers says so", async () => {
  const api = cluster();
  api.intercept = (_request, path) => path === "/events" ? refusal(429, "too many follow already") : undefined;
  const { status, stderr } = await fleetctl(api, "events --no-follow");
  assert.equal(status, 1);
  assert.match(stderr, /Error 429: too many follow already/);
});

/** A server whose event streams say this, one after the other. */
function telling(...streams: string[]): { api: FakeApi; queries: string[] } {
  const api = cluster();
  const queries: string[] = [];
  api.intercept = (request, path) => {
    if (path !== "/events") return undefined;
    queries.push(new URL(request.url).search);
    return new Response(streams[queries.length - 1], { headers: { "content-type": "text/event-stream" } });
  };
  return { api, queries };
}

Deno.test("events: a line says when it happened, and who asked for it", async () => {
  const at = Date.UTC(2026, 0, 1, 0, 0, 3);
  const unit = (time: number) =>
    `event: unit\ndata: ${
      JSON.stringify({
        ...{ name: "a.service", unit: { desiredState: "launched" }, changed: { at, by: "ops from 10.0.0.9" }, time },
      })
    }\n\n`;
  const partial = `event: partial\ndata: {"reason":"only the latest","since":${at}}\n\n`;
  const { api, queries } = telling(`${partial}${unit(at)}${unit(at + 1000)}event: synced\ndata: {"revision":7}\n\n`);
  const { stdout } = await fleetctl(api, "events --since=10m --no-follow");
  assert.deepEqual(queries, ["?since=10m"]);
  assert.equal(
    stdout,
    `${clockTime(at)} everything from here on is known; only the latest\n` +
      `${clockTime(at)} unit a.service is wanted launched, by ops from 10.0.0.9\n` +
      `${clockTime(at + 1000)} unit a.service is wanted launched\n`,
  );
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
  io.sleep = () => queries.length < 2 ? Promise.resolve() : Promise.reject(new Error("enough"));
  const { stdout } = await fleetctl(api, "events", io);
  assert.equal(stdout, `${now} machine 454c... is gone\n`);
});
