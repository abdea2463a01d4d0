/** `fleetctl journal` and `fleetctl logs`. */

import assert from "node:assert/strict";
import { clockTime } from "../output/time.ts";
import { FakeApi, refusal } from "../testing/fake_api.ts";
import { FakeHosts } from "../testing/fake_remote.ts";
import { FakeIo, fleetctl } from "../testing/fake_terminal.ts";

const id = "454c34ef00000000000000000000cafe";

function cluster(): FakeApi {
  const api = new FakeApi();
  api.add("a.service", "launched", "Service.ExecStart=/bin/true");
  api.add("b.service", "launched", "Service.ExecStart=/bin/true");
  return api;
}

Deno.test("logs: entries are merged by time, each with the name of its unit", async () => {
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

Deno.test("logs: journals come from the API or, where it has none, by SSH", async () => {
  const entry = (second: number, message: string) =>
    JSON.stringify({ __REALTIME_TIMESTAMP: `${Date.UTC(2026, 0, 1, 0, 0, second)}000`, MESSAGE: message }) + "\n";
  const api = cluster();
  // A piece may end within an entry.
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

Deno.test("a command on a machine has the name of a Quadlet file's service", async () => {
  const api = cluster();
  api.add("web.container", "launched", "Container.Image=web", "Container.ServiceName=front");
  api.add("data.volume", "launched", "Volume.Label=a=b");
  const hosts = new FakeHosts();
  for (const command of ["status --ssh", "journal --ssh", "logs --ssh"]) {
    await fleetctl(api, `${command} web.container`, new FakeIo(), hosts);
    await fleetctl(api, `${command} data.volume`, new FakeIo(), hosts);
  }
  const services = hosts.ran.map((line) => /"([^"]+\.(?:service|container|volume))"/.exec(line)?.[1]);
  assert.deepEqual(services, [1, 2, 3].flatMap(() => ["front.service", "data-volume.service"]));
});

Deno.test("logs: a journal that cannot be read is reported", async () => {
  const hosts = new FakeHosts();
  hosts.refusal = "why";
  const { status, stderr } = await fleetctl(cluster(), "logs a", new FakeIo(), hosts);
  assert.deepEqual([status, stderr], [1, "Unable to read the journal of a.service on 454c34ef...: why\n"]);
});

/** Answers the requests for the journal of a.service with the given answers in order, and refuses further requests. */
function journalOf(api: FakeApi, answers: readonly BodyInit[]): void {
  let served = 0;
  api.journals.set("a.service", () => answers[served++] as BodyInit);
  api.intercept = (_request, path) => {
    return path.endsWith("/journal") && served === answers.length ? refusal(404, "unit does not exist") : undefined;
  };
}

/** Returns a body that breaks off after its text. */
function broken(text: string): ReadableStream<Uint8Array<ArrayBuffer>> {
  const words = [new TextEncoder().encode(text)];
  return new ReadableStream({
    pull(controller) {
      const word = words.shift();
      word ? controller.enqueue(word) : controller.error(new TypeError("connection reset"));
    },
  });
}

Deno.test("journal -f: a journal that ends or breaks off is continued with new entries", async () => {
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

Deno.test("journal -f, logs -f: requests and warnings become rarer while the server ends an empty journal again and again", async () => {
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

Deno.test("journal -f, logs -f: the journal is continued on the machine that a unit has moved to", async () => {
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

Deno.test("journal -f: with --machine, the journal is not continued on another machine", async () => {
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

Deno.test("journal: without -f, the command ends with the journal, and a broken connection is an error", async () => {
  const api = cluster();
  api.journals.set("a.service", () => "one\n");
  assert.deepEqual(await fleetctl(api, "journal a"), { status: 0, stdout: "one\n", stderr: "" });
  api.journals.set("a.service", () => broken("one\n"));
  const { status, stdout, stderr } = await fleetctl(api, "journal a");
  assert.deepEqual([status, stdout], [1, "one\n"]);
  assert.match(stderr, /connection reset/);
});

Deno.test("logs: the server selects entries, and the newest one that it sends first is printed last", async () => {
  const entry = (second: number, message: string) =>
    JSON.stringify({ __REALTIME_TIMESTAMP: `${Date.UTC(2026, 0, 1, 0, 0, second)}000`, MESSAGE: message }) + "\n";
  const api = cluster();
  api.journals.set("a.service", () => entry(3, "second") + entry(1, "first"));
  const { stdout } = await fleetctl(api, "logs --since=1m --until=2026-01-01T00:00:05Z --grep=x|y a");
  assert.deepEqual(stdout.match(/first|second/g), ["first", "second"]);
  const [since_ms, until_ms] = [Date.UTC(2025, 11, 31, 23, 59, 7), Date.UTC(2026, 0, 1, 0, 0, 5)];
  const query = `?machineID=${id}&lines=100000&output=json&since=${since_ms}&until=${until_ms}&grep=x%7Cy`;
  assert.deepEqual(api.journalQueries, [query]);
  await fleetctl(api, "logs -n 3 --since=1m a");
  assert.match(api.journalQueries[1]!, /&lines=3&/);
});

Deno.test("logs: a server that cannot select entries is not asked for all of them", async () => {
  const api = cluster();
  api.selectsJournals = false;
  api.journals.set("a.service", () => "");
  const hosts = new FakeHosts();
  await fleetctl(api, "logs --grep=denied --since=2026-01-01T00:00:00Z a", new FakeIo(), hosts);
  const selection = `"-n" "100000" "--since=@1767225600.000" "--grep=denied"`;
  assert.deepEqual(hosts.ran.map((line) => line.slice(line.indexOf('"-n"'))), [selection]);
});

const wrongSelections: readonly [flags: string, message: RegExp][] = [
  ["--since=soon", /invalid value "soon" for --since: expected a time ago \(10m\)/],
  ["--since=1m --until=2m", /the time of --since is after that of --until/],
  ["--until=1m -f", /--follow cannot be combined with --until/],
  ["--grep=(", /invalid value "\(" for --grep: it is not a regular expression/],
];

for (const command of ["logs", "journal"]) {
  for (const [flags, message] of wrongSelections) {
    Deno.test(`${command} ${flags} is refused`, async () => {
      const { status, stderr } = await fleetctl(cluster(), `${command} ${flags} a`);
      assert.match(stderr, message);
      assert.equal(status, 2);
    });
  }
}
