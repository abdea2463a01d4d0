/** Journals and statuses of units, on this machine and forwarded to the machine that runs them. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { JournalQuery, LocalMachine } from "../../daemon/api/machine/port.ts";
import { SharedState } from "../../daemon/api/shared_state.ts";
import { openLocalMachine } from "../../daemon/api/machine/local_machine.ts";
import { answer_ms } from "../../daemon/api/machine/forwarding.ts";
import { systemClock } from "../../daemon/host/system_clock.ts";
import type { Log } from "../../runtime/log.ts";
import type { Cluster } from "../../registry/model.ts";
import { until } from "../lab/process.ts";
import { type Answer, ApiFixture, errorText } from "../support/api_fixture.ts";
import { writeProgram } from "../support/programs.ts";
import { ManualClock } from "../support/manual_clock.ts";
import { type AccessOptions, makeAuthority, readCredentials } from "./authority.ts";
import { connect, network, readUntil, ServerFixture, write } from "./server_fixture.ts";

/** A machine that records the queries that it gets, and answers with its name. */
class RecordingMachine implements LocalMachine {
  readonly queries: JournalQuery[] = [];
  /** The number of journals that are being read. */
  open = 0;

  constructor(
    private readonly name: string | undefined,
    readonly fetchPeer: LocalMachine["fetchPeer"] = () => Promise.reject(new Error("no peer exists")),
  ) {}

  id = () => this.name;

  usage = () => Promise.resolve({});

  journal(query: JournalQuery): ReadableStream<Uint8Array> {
    this.queries.push(query);
    this.open++;
    const text = new TextEncoder().encode(`${this.name} logs ${query.unit}\n`);
    return new ReadableStream({
      start: (controller) => {
        controller.enqueue(text);
        if (query.follow) return;
        this.open--;
        controller.close();
      },
      cancel: () => void this.open--,
    });
  }

  statusText: LocalMachine["statusText"] = (unit) => Promise.resolve(`${unit} on ${this.name}\n`);
  statusProperties: LocalMachine["statusProperties"] = (unit) => Promise.resolve({ Id: unit, ActiveState: "active" });
  verify: LocalMachine["verify"] = () => Promise.resolve(undefined);
}

async function populate(api: ApiFixture): Promise<void> {
  await api.join("m1", "10.0.0.1");
  await api.join("m2", "10.0.0.2");
  await api.put("a.service", "launched");
  await api.put("b.service", "launched");
  await api.put("lost.service", "launched");
  await api.put("g.service", "launched", "[X-Fleet]\nGlobal=true");
  await api.place("a.service", "m1");
  await api.place("b.service", "m2");
  for (const machine of ["m1", "m2"]) await api.report(machine, "g.service", {});
}

Deno.test("journals and statuses come from the unit's machine", async (test) => {
  const here = new RecordingMachine("m1");
  await using api = await ApiFixture.open({ localMachine: here });
  await populate(api);
  const cases: readonly (readonly [path: string, code: number, expected: string])[] = [
    ["a.service/journal", 200, "m1 logs a.service\n"],
    ["a.service/status", 200, "a.service on m1\n"],
    ["g.service/journal", 200, "m1 logs g.service\n"],
    ["g.service/journal?machineID=m1", 200, "m1 logs g.service\n"],
    ["none.service/journal", 404, errorText(404, "unit does not exist")],
    ["none.service/status", 404, errorText(404, "unit does not exist")],
    ["lost.service/journal", 409, errorText(409, 'unit "lost.service" is on no machine')],
    ["g.service/status?machineID=m9", 404, errorText(404, 'machine "m9" is not present')],
    ...["x", "-1", "1.5", "100001", "9999999", "1;ls", ""].map((lines) =>
      [
        `a.service/journal?lines=${lines}`,
        400,
        errorText(400, `invalid lines "${lines}": expect a whole number up to 100000`),
      ] as const
    ),
    ["a.service/journal?follow=perhaps", 400, errorText(400, "invalid follow: expect true or false")],
    [
      "a.service/journal?since=10m",
      400,
      errorText(400, 'invalid since "10m": expect milliseconds since the epoch'),
    ],
    [
      "a.service/journal?until=-1",
      400,
      errorText(400, 'invalid until "-1": expect milliseconds since the epoch'),
    ],
    [
      "a.service/journal?grep=a%0Ab",
      400,
      errorText(400, "invalid grep: expect a regular expression of at most 1000 characters on one line"),
    ],
  ];
  for (const [path, code, expected] of cases) {
    await test.step(path, async () => {
      const answer = await api.send("GET", `/fleet/v1/units/${path}`);
      assert.equal(answer.text, expected);
      assert.equal(answer.code, code);
    });
  }
  await test.step("an unknown output is refused", async () => {
    assert.equal((await api.send("GET", "/fleet/v1/units/a.service/journal?output=--all")).code, 400);
  });
  await test.step("the query reaches journalctl", async () => {
    await api.send("GET", "/fleet/v1/units/a.service/journal?lines=7&output=cat&follow=false");
    assert.deepEqual(here.queries.at(-1), { unit: "a.service", lines: 7, follow: false, output: "cat" });
  });
  await test.step("the selection of entries reaches journalctl, and the response says so", async () => {
    const query = "lines=7&since=1764360000123&until=1764360001000&grep=%5Eerror%7Cdenied";
    const request = new Request("http://localhost/");
    const answer = await api.handler(request, { target: `/fleet/v1/units/a.service/journal?${query}` });
    await answer.text();
    assert.equal(answer.headers.get("fleet-selected"), "true");
    const { since_ms, until_ms, grep } = here.queries.at(-1)!;
    assert.deepEqual([since_ms, until_ms, grep], [1764360000123, 1764360001000, "^error|denied"]);
  });
  await test.step("a status comes as JSON on request", async () => {
    const request = new Request("http://localhost/", {
      headers: { Accept: "text/html, Application/JSON;q=0.9, */*;q=0.8" },
    });
    const answer = await api.handler(request, { target: "/fleet/v1/units/a.service/status" });
    assert.equal(
      await answer.text(),
      '{"machineID":"m1","name":"a.service","properties":{"Id":"a.service","ActiveState":"active"}}',
    );
  });
  await test.step("a machine whose API is closed to other machines is named in the refusal", async () => {
    const answer = await api.send("GET", "/fleet/v1/units/b.service/journal");
    assert.equal(answer.code, 501);
    assert.match(answer.text, /machine m2 \(10\.0\.0\.2\) runs the unit, and its API is closed to other machines/);
  });
  await test.step("a request that was forwarded to the wrong machine is refused", async () => {
    const request = new Request("http://localhost/", { headers: { "Fleet-Passed-On": "m2" } });
    const answer = await api.handler(request, { target: "/fleet/v1/units/b.service/journal" });
    assert.equal(await answer.text(), errorText(421, "this is machine m1"));
  });
  await test.step("a server outside of the cluster refuses", async () => {
    api.handler = api.handlerOver(api.registry, { localMachine: undefined as never });
    assert.equal((await api.send("GET", "/fleet/v1/units/a.service/journal")).code, 501);
  });
});

Deno.test("a followed journal ends when its reader leaves, and when the server closes", async () => {
  const here = new RecordingMachine("m1");
  await using api = await ApiFixture.open({ localMachine: here });
  await populate(api);
  const follow = async (closing?: AbortSignal) => {
    const target = "/fleet/v1/units/a.service/journal?follow=true";
    const answer = await api.handler(new Request("http://localhost/"), { target, ...(closing ? { closing } : {}) });
    const reader = answer.body!.getReader();
    await reader.read();
    return reader;
  };
  const left = await follow();
  assert.equal(here.open, 1);
  await left.cancel();
  assert.equal(here.open, 0);
  const [closing, retired] = [new AbortController(), new AbortController()];
  api.handler = api.handlerOver(api.registry, { retired: retired.signal });
  for (const over of [closing, retired]) {
    const cut = await follow(over === closing ? closing.signal : new AbortController().signal);
    assert.equal(here.open, 1);
    over.abort();
    assert.deepEqual(await cut.read(), { done: true, value: undefined });
    assert.equal(here.open, 0);
  }
});

/** The machine m1, on which systemctl does not answer before its signal aborts. */
class SilentMachine extends RecordingMachine {
  /** The number of statuses that are being read. */
  pending = 0;

  constructor() {
    super("m1");
  }

  #never(signal: AbortSignal): Promise<never> {
    this.pending++;
    return new Promise((_, reject) =>
      signal.addEventListener("abort", () => {
        this.pending--;
        reject(signal.reason);
      })
    );
  }

  override statusText = (_unit: string, signal: AbortSignal) => this.#never(signal);
  override statusProperties = (_unit: string, signal: AbortSignal) => this.#never(signal);
}

Deno.test("journals and statuses in progress are limited, even if all requests come at once", async () => {
  const clock = new ManualClock();
  const here = new SilentMachine();
  await using api = await ApiFixture.open({ localMachine: here, clock });
  await populate(api);
  const ask = (path: string) =>
    api.handler(new Request("http://localhost/"), { target: `/fleet/v1/units/a.service/${path}` });
  const journals = await Promise.all(Array.from({ length: 60 }, () => ask("journal?follow=true")));
  const statuses = Array.from({ length: 100 }, () => ask("status"));
  const refused = (await Promise.all(statuses.slice(4))).map(({ status }) => status);
  assert.deepEqual(refused, Array(96).fill(429));
  assert.deepEqual([here.open, here.pending], [60, 4]);
  assert.equal(
    (await api.send("GET", "/fleet/v1/units/a.service/journal")).text,
    errorText(429, "too many journals and statuses are being read (64)"),
  );
  clock.advance(answer_ms);
  for (const answer of await Promise.all(statuses.slice(0, 4))) assert.equal(answer.status, 502);
  for (const answer of journals) await answer.body!.cancel();
  assert.deepEqual([here.open, here.pending], [0, 0]);
  const again = await Promise.all(Array.from({ length: 65 }, () => ask("journal?follow=true")));
  assert.deepEqual(again.map(({ status }) => status), [...Array(64).fill(200), 429]);
  for (const answer of again) await answer.body!.cancel();
  // A request that is refused for another reason does not count.
  for (let index = 0; index < 65; index++) assert.equal((await ask("status?machineID=m9")).status, 404);
  assert.deepEqual(api.logged, []);
});

Deno.test("a status request ends", async (test) => {
  const clock = new ManualClock();
  const here = new SilentMachine();
  await using api = await ApiFixture.open({ localMachine: here, clock });
  await populate(api);
  await test.step("after a time limit, with 502", async () => {
    for (const headers of [{ Accept: "text/plain" }, { Accept: "application/json" }]) {
      const asked = api.send("GET", "/fleet/v1/units/a.service/status", { headers });
      await ManualClock.settle();
      clock.advance(answer_ms - 1);
      await ManualClock.settle();
      assert.equal(here.pending, 1);
      clock.advance(1);
      const message = "systemctl on machine m1 does not answer: no answer within 10 seconds";
      assert.equal((await asked).text, errorText(502, message));
    }
  });
  await test.step("when the client leaves", async () => {
    await using servers = new ServerFixture();
    const server = await servers.serve(api.handler, servers.unix(), undefined, { close_ms: 1 });
    using connection = await connect(server.addresses[0]!);
    await write(connection, "GET /fleet/v1/units/a.service/status HTTP/1.1\r\nHost: x\r\n\r\n");
    await until("systemctl runs", () => here.pending > 0);
    await server.close();
    await until("systemctl has ended", () => here.pending === 0);
  });
  assert.deepEqual(api.logged, []);
});

/** Calls `work` while systemctl, or another program, is a shell script in a temporary directory (that of `$0`). */
async function withSystemctl(
  script: string,
  work: (machine: LocalMachine, directory: string) => Promise<void>,
  { program = "systemctl", log = () => {} }: { readonly program?: string; readonly log?: Log } = {},
): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "fleet-systemctl-" });
  const path = Deno.env.get("PATH") ?? "";
  await writeProgram(`${directory}/${program}`, `#!/bin/sh\n${script}`);
  Deno.env.set("PATH", `${directory}:${path}`);
  try {
    const peer = { apiPeerCertfile: "", apiPeerKeyfile: "", apiPeerCafile: "", apiPeerTokenFile: "" };
    await work(
      openLocalMachine({
        id: () => "m1",
        config: { systemdUser: false, unitsDirectory: "/nowhere/units/", ...peer },
        log,
      }),
      directory,
    );
  } finally {
    Deno.env.set("PATH", path);
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("aborting a status request ends systemctl", async () => {
  const script = 'cd "${0%/*}"\necho $$ >pid.new\nmv pid.new pid\nexec sleep 600\n';
  await withSystemctl(script, async (machine, directory) => {
    const over = new AbortController();
    const asked = machine.statusText("a.service", over.signal);
    let pid = "";
    await until("systemctl runs", async () => {
      pid = await Deno.readTextFile(`${directory}/pid`).catch(() => "");
      return pid !== "";
    });
    over.abort(new Error("enough"));
    await assert.rejects(asked, /enough/);
    assert.throws(() => Deno.kill(Number(pid), "SIGCONT"), Deno.errors.NotFound);
  });
});

Deno.test("a journal that cannot be followed is logged with journalctl's reason, and a used-up inotify limit with advice", async () => {
  const cases: readonly (readonly [script: string, logged: RegExp | undefined])[] = [
    ["echo one", undefined],
    [
      "echo 'Failed to get journal fd: Too many open files' >&2; exit 1",
      /failed .*Too many open files; .*max_user_inst/,
    ],
    [
      "echo 'Insufficient watch descriptors available. Reverting to -n.' >&2",
      /printed a warning .*Reverting.*max_user_watches/,
    ],
    ["echo 'Failed to open files: No such file' >&2; exit 1", /failed .*No such file$/],
    ["exit 1", /failed .*journalctl gave no reason$/],
  ];
  for (const [script, expected] of cases) {
    const logged: string[] = [];
    const log: Log = (_level, message, fields) =>
      void logged.push(`${message} ${Object.values(fields ?? {}).join(" ")}`);
    await withSystemctl(`${script}\n`, async (machine) => {
      const query = { unit: "a.service", lines: 1, follow: true, output: "cat" } as const;
      await Array.fromAsync(machine.journal(query));
      if (expected) await until("the log line", () => logged.length > 0);
    }, { program: "journalctl", log });
    assert.equal(logged.length, expected ? 1 : 0, logged.join());
    if (expected) assert.match(logged[0]!, expected);
  }
});

Deno.test("a failure of systemctl has a message, even if systemctl printed none", async () => {
  for (const [script, message] of [["echo broken >&2; exit 5", "broken"], ["exit 5", "no error message"]]) {
    await withSystemctl(`${script}\n`, async (machine) => {
      await assert.rejects(machine.statusText("a.service", new AbortController().signal), {
        message: `systemctl status --no-pager --full --lines=10 -- a.service exited with status 5: ${message}`,
      });
    });
  }
});

Deno.test("a property that systemctl prints several times keeps all its values", async () => {
  const printed = "Id=a.service\nExecStartPre={ path=/bin/a ; a=b }\nEnvironment=\nExecStartPre={ path=/bin/b }\n";
  await withSystemctl(`cat <<'end'\n${printed}end\n`, async (machine) => {
    assert.deepEqual(await machine.statusProperties("a.service", new AbortController().signal), {
      Id: "a.service",
      ExecStartPre: "{ path=/bin/a ; a=b }\n{ path=/bin/b }",
      Environment: "",
    });
  });
});

Deno.test("requests are forwarded to the machine that runs the unit", async (test) => {
  await using servers = new ServerFixture();
  const authority = await makeAuthority();
  const { directory } = authority;
  const credentials = { apiPeerCertfile: "", apiPeerKeyfile: "", apiPeerCafile: "", apiPeerTokenFile: "" };
  const peer = { systemdUser: false, unitsDirectory: "/nowhere/units/", ...credentials };
  const tls = { apiCertfile: `${directory}/server.crt`, apiKeyfile: `${directory}/server.key` };
  const trusted = { apiPeerCertfile: `${directory}/trusted.crt`, apiPeerKeyfile: `${directory}/trusted.key` };
  await Deno.writeTextFile(`${directory}/token`, "do\n");
  const hash = (token: string) => createHash("sha256").update(token).digest("hex");
  await Deno.writeTextFile(`${directory}/tokens`, `read m1 sha256:${hash("other")}\n`);
  await Deno.writeTextFile(`${directory}/good`, `read m1 sha256:${hash("do")}\n`);
  const settings: readonly (readonly [string, AccessOptions, Partial<typeof peer>, number, RegExp])[] = [
    ["in plain text", { apiInsecure: true }, {}, 200, /^m2 logs b\.service\n$/],
    [
      "with a certificate",
      { ...tls, apiClientCafile: `${directory}/ours.crt` },
      { ...trusted, apiPeerCafile: `${directory}/ours.crt` },
      200,
      /^m2 logs b\.service\n$/,
    ],
    [
      "without the certificate: 502",
      { ...tls, apiClientCafile: `${directory}/ours.crt` },
      { apiPeerCafile: `${directory}/ours.crt` },
      502,
      /refuses to answer at https:.*: a client certificate is required/,
    ],
    [
      "to an untrusted server: 502",
      { ...tls, apiInsecure: true },
      {},
      502,
      /does not answer at https:.*certificate/i,
    ],
    [
      "with an unknown token: 502",
      { apiTokensFile: `${directory}/tokens` },
      { apiPeerTokenFile: `${directory}/token` },
      502,
      /refuses to answer at http:.*: the bearer token is not known/,
    ],
    [
      "with a token",
      { apiTokensFile: `${directory}/good` },
      { apiPeerTokenFile: `${directory}/token` },
      200,
      /^m2 logs b\.service\n$/,
    ],
    ...["do\n# of m2", "# of m2\ndo\n", "", "d\u00f6"].map((text, index) => {
      const apiPeerTokenFile = `${directory}/odd-${index}`;
      Deno.writeTextFileSync(apiPeerTokenFile, text);
      const expected =
        /^machine m2 \(127\.0\.0\.1\) does not answer at [^ ]+: [^ ]+\/odd-\d, the file that api_peer_token_file names, must hold one token and nothing else$/;
      return [
        `with a file that holds no token: 502, ${index}`,
        { apiInsecure: true },
        { apiPeerTokenFile },
        502,
        expected,
      ] as const;
    }),
    [
      "with an unreadable token file: 502",
      { apiInsecure: true },
      { apiPeerTokenFile: "/nowhere" },
      502,
      /api_peer_token_file/,
    ],
  ];
  try {
    for (const [name, there, here, code, expected] of settings) {
      await test.step(name, async () => {
        await using api = await ApiFixture.open();
        await populate(api);
        const far = new RecordingMachine("m2");
        const server = await servers.serve(
          api.handlerOver(api.registry, { localMachine: far }),
          network,
          await readCredentials(there),
        );
        await api.leave("m2");
        await api.join("m2", "127.0.0.1", {}, server.urlFor("127.0.0.1"));
        await api.place("b.service", "m2");
        const { fetchPeer } = openLocalMachine({ id: () => "m1", config: { ...peer, ...here }, log: () => {} });
        api.handler = api.handlerOver(api.registry, { localMachine: new RecordingMachine("m1", fetchPeer) });
        const answer: Answer = await api.send("GET", "/v1-alpha/units/b.service/journal?lines=3");
        assert.match(code === 200 ? answer.text : JSON.parse(answer.text).error.message, expected);
        assert.equal(answer.code, code);
        if (code === 200) {
          assert.equal(far.queries[0]?.lines, 3);
          await api.put("a\\x2d@b.service", "launched");
          await api.place("a\\x2d@b.service", "m2");
          const odd = await api.send("GET", "/fleet/v1/units/a\\x2d@b.service/journal?lines=4&output=cat");
          assert.equal(odd.text, "m2 logs a\\x2d@b.service\n");
          assert.deepEqual([far.queries[1]?.lines, far.queries[1]?.output], [4, "cat"]);
        }
        await server.close();
      });
    }
    await test.step("to a machine that does not answer: 502 says why", async () => {
      await using api = await ApiFixture.open();
      await populate(api);
      const gone = await servers.serve(api.handler, network, { policy: { insecure: true } });
      await gone.close();
      await api.leave("m2");
      await api.join("m2", "127.0.0.1", {}, gone.urlFor("127.0.0.1"));
      await api.place("b.service", "m2");
      const { fetchPeer } = openLocalMachine({ id: () => "m1", config: peer, log: () => {} });
      api.handler = api.handlerOver(api.registry, { localMachine: new RecordingMachine("m1", fetchPeer) });
      const answer = await api.send("GET", "/fleet/v1/units/b.service/status");
      assert.equal(answer.code, 502);
      assert.match(answer.text, /machine m2 \(127\.0\.0\.1\) does not answer at http:\/\/127\.0\.0\.1:\d+: .*refused/i);
    });
    await test.step("to an address that is no HTTP URL: 502, and no file of this machine is read", async () => {
      await using api = await ApiFixture.open();
      await populate(api);
      const { fetchPeer } = openLocalMachine({ id: () => "m1", config: peer, log: () => {} });
      api.handler = api.handlerOver(api.registry, { localMachine: new RecordingMachine("m1", fetchPeer) });
      for (const address of ["file:///etc/hostname#", "data:text/plain,secret#", "http://127.0.0.1:1#", "http://u@h"]) {
        await api.leave("m2");
        await api.join("m2", "127.0.0.1", {}, address);
        await api.place("b.service", "m2");
        const answer = await api.send("GET", "/fleet/v1/units/b.service/journal");
        assert.equal(answer.code, 502, address);
        assert.match(answer.text, /: expected http:\/\/HOST:PORT or https:\/\/HOST:PORT/);
      }
    });
    await test.step("a followed journal ends on the other machine when its reader leaves", async () => {
      await using api = await ApiFixture.open();
      await populate(api);
      const far = new RecordingMachine("m2");
      const server = await servers.serve(api.handlerOver(api.registry, { localMachine: far }), network, {
        policy: { insecure: true },
      });
      await api.leave("m2");
      await api.join("m2", "127.0.0.1", {}, server.urlFor("127.0.0.1"));
      await api.place("b.service", "m2");
      const { fetchPeer } = openLocalMachine({ id: () => "m1", config: peer, log: () => {} });
      const near = await servers.serve(
        api.handlerOver(api.registry, { localMachine: new RecordingMachine("m1", fetchPeer) }),
        servers.unix(),
      );
      const reader = await connect(near.addresses[0]!);
      await write(reader, "GET /fleet/v1/units/b.service/journal?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n");
      await readUntil(reader, (text) => text.includes("m2 logs b.service"));
      assert.equal(far.open, 1);
      reader.close();
      await until("the other machine's journal to end", () => far.open === 0);
      await near.close();
      await server.close();
    });
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

/** A registry watch that shows views of the cluster on demand. */
class Views {
  #changed = Promise.withResolvers<void>();

  constructor(private cluster: Cluster) {}

  show(cluster: Cluster): void {
    this.cluster = cluster;
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  watch = async function* (this: Views, signal: AbortSignal): AsyncGenerator<Cluster> {
    const aborted = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    for (;;) {
      const changed = this.#changed.promise;
      yield this.cluster;
      await Promise.race([changed, aborted]);
      if (signal.aborted) return;
    }
  }.bind(this);
}

Deno.test("a forwarded response ends when its machine leaves the cluster", async (test) => {
  let open = 0;
  const fetchPeer: LocalMachine["fetchPeer"] = () => {
    open++;
    const body = new ReadableStream({
      start: (controller) => controller.enqueue(new TextEncoder().encode("far\n")),
      cancel: () => void open--,
    });
    return Promise.resolve(new Response(body));
  };
  await using api = await ApiFixture.open({ localMachine: new RecordingMachine("m1", fetchPeer) });
  await populate(api);
  await api.leave("m2");
  await api.join("m2", "10.0.0.2", {}, "http://10.0.0.2:49153");
  const found = await api.registry.read();
  const later = (by: number, m2?: { incarnation: string }): Cluster => {
    const machines = new Map(found.machines);
    if (m2) machines.set("m2", { ...machines.get("m2")!, ...m2 });
    else machines.delete("m2");
    return { ...found, revision: found.revision + by, machines };
  };
  const same = { incarnation: found.machines.get("m2")!.incarnation };
  /** Requests the journal of b.service, and waits for its first line. */
  const begin = async (views: Views, query: string) => {
    const registry = Object.create(api.registry, {
      watch: { value: views.watch },
      read: { value: () => Promise.resolve(found) },
    });
    using sharedState = new SharedState();
    const target = `/fleet/v1/units/b.service/journal${query}`;
    const answer = await api.handlerOver(registry, { sharedState })(new Request("http://localhost/"), {
      target,
    });
    assert.equal(answer.status, 200);
    const reader = answer.body!.getReader();
    await reader.read();
    const readers = () => sharedState.events(registry, systemClock, () => {}).readers;
    assert.deepEqual([open, readers()], [1, 1]);
    return { reader, readers };
  };
  for (
    const [what, last] of [["has gone", later(3)], ["has rebooted", later(3, { incarnation: "other" })]] as const
  ) {
    await test.step(`a followed journal ends when the machine ${what}`, async () => {
      const views = new Views(later(-1));
      const { reader, readers } = await begin(views, "?follow=1");
      let isOver = false;
      const next = reader.read().finally(() => isOver = true);
      for (const view of [later(-1), later(1, same), later(2, same)]) {
        views.show(view);
        await ManualClock.settle();
        assert.equal(isOver, false, "an old view or another change does not end it");
      }
      views.show(last);
      assert.deepEqual(await next, { done: true, value: undefined });
      assert.deepEqual([open, readers()], [0, 0]);
    });
  }
  await test.step("any other response fails", async () => {
    const views = new Views(found);
    const { reader, readers } = await begin(views, "");
    const next = assert.rejects(reader.read(), /machine m2 left the cluster before its response ended/);
    await ManualClock.settle();
    views.show(later(1));
    await next;
    assert.deepEqual([open, readers()], [0, 0]);
  });
  await test.step("the watch for it ends with the response", async () => {
    const { reader, readers } = await begin(new Views(found), "?follow=1");
    await reader.cancel();
    assert.deepEqual([open, readers()], [0, 0]);
  });
});
