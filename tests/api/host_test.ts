/** Journals and states of units, here and passed on to the machine that has them. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { Host, JournalQuery } from "../../daemon/api/machine/port.ts";
import { SharedState } from "../../daemon/api/shared_state.ts";
import { openHost } from "../../daemon/api/machine/host_programs.ts";
import { answer_ms } from "../../daemon/api/routes/journal_status.ts";
import { readCredentials } from "../../daemon/api/auth/credentials.ts";
import { systemClock } from "../../daemon/host/system_clock.ts";
import type { Log } from "../../runtime/log.ts";
import type { Cluster } from "../../registry/model.ts";
import { type Answer, ApiFixture, errorText } from "../support/api_fixture.ts";
import { ManualClock } from "../support/manual_clock.ts";
import { makeAuthority } from "./authority.ts";
import { connect, network, readUntil, Stage, write } from "./stage.ts";

/** A machine that says what it is asked. */
class Recorder implements Host {
  readonly asked: JournalQuery[] = [];
  /** Journals that are being read. */
  open = 0;

  constructor(
    private readonly id: string | undefined,
    readonly ask: Host["ask"] = () => Promise.reject(new Error("no")),
  ) {}

  machine = () => this.id;

  journal(query: JournalQuery): ReadableStream<Uint8Array> {
    this.asked.push(query);
    this.open++;
    const text = new TextEncoder().encode(`${this.id} logs ${query.unit}\n`);
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

  statusText: Host["statusText"] = (unit) => Promise.resolve(`${unit} on ${this.id}\n`);
  statusProperties: Host["statusProperties"] = (unit) => Promise.resolve({ Id: unit, ActiveState: "active" });
}

async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (let turn = 0; !await isSo(); turn++) {
    assert.ok(turn < 1000, what);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
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

Deno.test("what is asked of a unit's machine", async (test) => {
  const here = new Recorder("m1");
  await using api = await ApiFixture.open({ host: here });
  await populate(api);
  const cases: readonly (readonly [path: string, code: number, says: string])[] = [
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
  ];
  for (const [path, code, says] of cases) {
    await test.step(path, async () => {
      const answer = await api.send("GET", `/fleet/v1/units/${path}`);
      assert.equal(answer.text, says);
      assert.equal(answer.code, code);
    });
  }
  await test.step("an output that is none", async () => {
    assert.equal((await api.send("GET", "/fleet/v1/units/a.service/journal?output=--all")).code, 400);
  });
  await test.step("how journalctl is asked", async () => {
    await api.send("GET", "/fleet/v1/units/a.service/journal?lines=7&output=cat&follow=false");
    assert.deepEqual(here.asked.at(-1), { unit: "a.service", lines: 7, follow: false, output: "cat" });
  });
  await test.step("a state as JSON", async () => {
    const request = new Request("http://localhost/", {
      headers: { Accept: "text/html, Application/JSON;q=0.9, */*;q=0.8" },
    });
    const answer = await api.handler(request, { target: "/fleet/v1/units/a.service/status" });
    assert.equal(
      await answer.text(),
      '{"machineID":"m1","name":"a.service","properties":{"Id":"a.service","ActiveState":"active"}}',
    );
  });
  await test.step("another machine whose API is not open", async () => {
    const answer = await api.send("GET", "/fleet/v1/units/b.service/journal");
    assert.equal(answer.code, 501);
    assert.match(answer.text, /machine m2 \(10\.0\.0\.2\) runs the unit, and its API is not open to other machines/);
  });
  await test.step("one that was passed on to the wrong machine", async () => {
    const request = new Request("http://localhost/", { headers: { "Fleet-Passed-On": "m2" } });
    const answer = await api.handler(request, { target: "/fleet/v1/units/b.service/journal" });
    assert.equal(await answer.text(), errorText(421, "this is machine m1"));
  });
  await test.step("a server on no machine", async () => {
    api.handler = api.handlerOver(api.registry, { host: undefined as never });
    assert.equal((await api.send("GET", "/fleet/v1/units/a.service/journal")).code, 501);
  });
});

Deno.test("a journal that is followed ends with its reader, and when the server closes", async () => {
  const here = new Recorder("m1");
  await using api = await ApiFixture.open({ host: here });
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

/** A machine m1 on which nothing is answered before its signal aborts. */
class Silent extends Recorder {
  /** Questions about states that wait for an answer. */
  asking = 0;

  constructor() {
    super("m1");
  }

  #never(signal: AbortSignal): Promise<never> {
    this.asking++;
    return new Promise((_, reject) =>
      signal.addEventListener("abort", () => {
        this.asking--;
        reject(signal.reason);
      })
    );
  }

  override statusText = (_unit: string, signal: AbortSignal) => this.#never(signal);
  override statusProperties = (_unit: string, signal: AbortSignal) => this.#never(signal);
}

Deno.test("journals and states are limited, also when all are asked for at once", async () => {
  const clock = new ManualClock();
  const here = new Silent();
  await using api = await ApiFixture.open({ host: here, clock });
  await populate(api);
  const ask = (path: string) =>
    api.handler(new Request("http://localhost/"), { target: `/fleet/v1/units/a.service/${path}` });
  const journals = await Promise.all(Array.from({ length: 60 }, () => ask("journal?follow=true")));
  const states = Array.from({ length: 100 }, () => ask("status"));
  const refused = (await Promise.all(states.slice(4))).map(({ status }) => status);
  assert.deepEqual(refused, Array(96).fill(429));
  assert.deepEqual([here.open, here.asking], [60, 4]);
  assert.equal(
    (await api.send("GET", "/fleet/v1/units/a.service/journal")).text,
    errorText(429, "too many journals and states are being read (64)"),
  );
  clock.advance(answer_ms);
  for (const answer of await Promise.all(states.slice(0, 4))) assert.equal(answer.status, 502);
  for (const answer of journals) await answer.body!.cancel();
  assert.deepEqual([here.open, here.asking], [0, 0]);
  const again = await Promise.all(Array.from({ length: 65 }, () => ask("journal?follow=true")));
  assert.deepEqual(again.map(({ status }) => status), [...Array(64).fill(200), 429]);
  for (const answer of again) await answer.body!.cancel();
  // What is refused for another reason keeps no place.
  for (let index = 0; index < 65; index++) assert.equal((await ask("status?machineID=m9")).status, 404);
  assert.deepEqual(api.logged, []);
});

Deno.test("a state is not waited for for ever", async (test) => {
  const clock = new ManualClock();
  const here = new Silent();
  await using api = await ApiFixture.open({ host: here, clock });
  await populate(api);
  await test.step("it comes in time, or the answer says that it did not", async () => {
    for (const headers of [{ Accept: "text/plain" }, { Accept: "application/json" }]) {
      const asked = api.send("GET", "/fleet/v1/units/a.service/status", { headers });
      await ManualClock.settle();
      clock.advance(answer_ms - 1);
      await ManualClock.settle();
      assert.equal(here.asking, 1);
      clock.advance(1);
      const says = "systemctl on machine m1 does not answer: no answer within 10 seconds";
      assert.equal((await asked).text, errorText(502, says));
    }
  });
  await test.step("nor when nobody waits for it", async () => {
    await using stage = new Stage();
    const server = await stage.serve(api.handler, stage.unix(), undefined, { close_ms: 1 });
    using connection = await connect(server.addresses[0]!);
    await write(connection, "GET /fleet/v1/units/a.service/status HTTP/1.1\r\nHost: x\r\n\r\n");
    await until("systemctl is asked", () => here.asking > 0);
    await server.close();
    await until("systemctl is left", () => here.asking === 0);
  });
  assert.deepEqual(api.logged, []);
});

/** Works with another systemctl, or another program, a shell script that knows its directory as `$0`'s. */
async function withSystemctl(
  script: string,
  work: (host: Host, directory: string) => Promise<void>,
  { program = "systemctl", log = () => {} }: { readonly program?: string; readonly log?: Log } = {},
): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "fleet-systemctl-" });
  const path = Deno.env.get("PATH") ?? "";
  await Deno.writeTextFile(`${directory}/${program}`, `#!/bin/sh\n${script}`, { mode: 0o755 });
  Deno.env.set("PATH", `${directory}:${path}`);
  try {
    const peer = { apiPeerCertfile: "", apiPeerKeyfile: "", apiPeerCafile: "", apiPeerTokenFile: "" };
    await work(openHost({ machine: () => "m1", config: { systemdUser: false, ...peer }, log }), directory);
  } finally {
    Deno.env.set("PATH", path);
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("systemctl is ended when its answer is not wanted any more", async () => {
  const script = 'cd "${0%/*}"\necho $$ >pid.new\nmv pid.new pid\nexec sleep 600\n';
  await withSystemctl(script, async (host, directory) => {
    const over = new AbortController();
    const asked = host.statusText("a.service", over.signal);
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
      /complained .*Reverting.*max_user_watches/,
    ],
    ["echo 'Failed to open files: No such file' >&2; exit 1", /failed .*No such file$/],
    ["exit 1", /failed .*it gave no reason$/],
  ];
  for (const [script, expected] of cases) {
    const logged: string[] = [];
    const log: Log = (_level, message, fields) =>
      void logged.push(`${message} ${Object.values(fields ?? {}).join(" ")}`);
    await withSystemctl(`${script}\n`, async (host) => {
      const query = { unit: "a.service", lines: 1, follow: true, output: "cat" } as const;
      await Array.fromAsync(host.journal(query));
      if (expected) await until("the log line", () => logged.length > 0);
    }, { program: "journalctl", log });
    assert.equal(logged.length, expected ? 1 : 0, logged.join());
    if (expected) assert.match(logged[0]!, expected);
  }
});

Deno.test("a property that systemctl tells several times keeps all its values", async () => {
  const told = "Id=a.service\nExecStartPre={ path=/bin/a ; a=b }\nEnvironment=\nExecStartPre={ path=/bin/b }\n";
  await withSystemctl(`cat <<'end'\n${told}end\n`, async (host) => {
    assert.deepEqual(await host.statusProperties("a.service", new AbortController().signal), {
      Id: "a.service",
      ExecStartPre: "{ path=/bin/a ; a=b }\n{ path=/bin/b }",
      Environment: "",
    });
  });
});

Deno.test("questions are passed on to the machine that has the unit", async (test) => {
  await using stage = new Stage();
  const authority = await makeAuthority();
  const { directory } = authority;
  const own = { apiCertfile: "", apiKeyfile: "", apiClientCafile: "", apiTokensFile: "", apiInsecure: false };
  const peer = { systemdUser: false, apiPeerCertfile: "", apiPeerKeyfile: "", apiPeerCafile: "", apiPeerTokenFile: "" };
  const tls = { apiCertfile: `${directory}/server.crt`, apiKeyfile: `${directory}/server.key` };
  const friend = { apiPeerCertfile: `${directory}/friend.crt`, apiPeerKeyfile: `${directory}/friend.key` };
  await Deno.writeTextFile(`${directory}/token`, "do\n");
  const hash = (token: string) => createHash("sha256").update(token).digest("hex");
  await Deno.writeTextFile(`${directory}/tokens`, `read m1 sha256:${hash("other")}\n`);
  await Deno.writeTextFile(`${directory}/good`, `read m1 sha256:${hash("do")}\n`);
  const settings: readonly (readonly [string, Partial<typeof own>, Partial<typeof peer>, number, RegExp])[] = [
    ["in plain text", { apiInsecure: true }, {}, 200, /^m2 logs b\.service\n$/],
    [
      "with a certificate",
      { ...tls, apiClientCafile: `${directory}/ours.crt` },
      { ...friend, apiPeerCafile: `${directory}/ours.crt` },
      200,
      /^m2 logs b\.service\n$/,
    ],
    [
      "without the certificate",
      { ...tls, apiClientCafile: `${directory}/ours.crt` },
      { apiPeerCafile: `${directory}/ours.crt` },
      502,
      /refuses to answer at https:.*: a client certificate is required/,
    ],
    [
      "to a server that is not trusted",
      { ...tls, apiInsecure: true },
      {},
      502,
      /does not answer at https:.*certificate/i,
    ],
    [
      "with a token that is not known there",
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
      const says =
        /^machine m2 \(127\.0\.0\.1\) does not answer at [^ ]+: [^ ]+\/odd-\d, the file that api_peer_token_file names, must hold one token and nothing else$/;
      return [
        `with a file that is no token, ${index}`,
        { apiInsecure: true },
        { apiPeerTokenFile },
        502,
        says,
      ] as const;
    }),
    [
      "with a token that cannot be read",
      { apiInsecure: true },
      { apiPeerTokenFile: "/nowhere" },
      502,
      /api_peer_token_file/,
    ],
  ];
  try {
    for (const [name, there, here, code, says] of settings) {
      await test.step(name, async () => {
        await using api = await ApiFixture.open();
        await populate(api);
        const far = new Recorder("m2");
        const server = await stage.serve(
          api.handlerOver(api.registry, { host: far }),
          network,
          await readCredentials({ ...own, ...there }),
        );
        await api.leave("m2");
        await api.join("m2", "127.0.0.1", {}, server.urlFor("127.0.0.1"));
        await api.place("b.service", "m2");
        const { ask } = openHost({ machine: () => "m1", config: { ...peer, ...here }, log: () => {} });
        api.handler = api.handlerOver(api.registry, { host: new Recorder("m1", ask) });
        const answer: Answer = await api.send("GET", "/v1-alpha/units/b.service/journal?lines=3");
        assert.match(code === 200 ? answer.text : JSON.parse(answer.text).error.message, says);
        assert.equal(answer.code, code);
        if (code === 200) {
          assert.equal(far.asked[0]?.lines, 3);
          await api.put("a\\x2d@b.service", "launched");
          await api.place("a\\x2d@b.service", "m2");
          const odd = await api.send("GET", "/fleet/v1/units/a\\x2d@b.service/journal?lines=4&output=cat");
          assert.equal(odd.text, "m2 logs a\\x2d@b.service\n");
          assert.deepEqual([far.asked[1]?.lines, far.asked[1]?.output], [4, "cat"]);
        }
        await server.close();
      });
    }
    await test.step("a machine that is not there", async () => {
      await using api = await ApiFixture.open();
      await populate(api);
      const gone = await stage.serve(api.handler, network, { policy: { insecure: true } });
      await gone.close();
      await api.leave("m2");
      await api.join("m2", "127.0.0.1", {}, gone.urlFor("127.0.0.1"));
      await api.place("b.service", "m2");
      const { ask } = openHost({ machine: () => "m1", config: peer, log: () => {} });
      api.handler = api.handlerOver(api.registry, { host: new Recorder("m1", ask) });
      const answer = await api.send("GET", "/fleet/v1/units/b.service/status");
      assert.equal(answer.code, 502);
      assert.match(answer.text, /machine m2 \(127\.0\.0\.1\) does not answer at http:\/\/127\.0\.0\.1:\d+: .*refused/i);
    });
    await test.step("a journal that is followed, until its reader leaves", async () => {
      await using api = await ApiFixture.open();
      await populate(api);
      const far = new Recorder("m2");
      const server = await stage.serve(api.handlerOver(api.registry, { host: far }), network, {
        policy: { insecure: true },
      });
      await api.leave("m2");
      await api.join("m2", "127.0.0.1", {}, server.urlFor("127.0.0.1"));
      await api.place("b.service", "m2");
      const { ask: far_ask } = openHost({ machine: () => "m1", config: peer, log: () => {} });
      const near = await stage.serve(
        api.handlerOver(api.registry, { host: new Recorder("m1", far_ask) }),
        stage.unix(),
      );
      const reader = await connect(near.addresses[0]!);
      await write(reader, "GET /fleet/v1/units/b.service/journal?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n");
      await readUntil(reader, (text) => text.includes("m2 logs b.service"));
      assert.equal(far.open, 1);
      reader.close();
      await until("the far journal is left, too", () => far.open === 0);
      await near.close();
      await server.close();
    });
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

/** Views of the cluster, shown one after the other. */
class Views {
  #changed = Promise.withResolvers<void>();

  constructor(private cluster: Cluster) {}

  show(cluster: Cluster): void {
    this.cluster = cluster;
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  watch = async function* (this: Views, signal: AbortSignal): AsyncGenerator<Cluster> {
    const left = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    for (;;) {
      const changed = this.#changed.promise;
      yield this.cluster;
      await Promise.race([changed, left]);
      if (signal.aborted) return;
    }
  }.bind(this);
}

Deno.test("an answer that is passed on does not outlive the machine that gives it", async (test) => {
  let open = 0;
  const ask: Host["ask"] = () => {
    open++;
    const body = new ReadableStream({
      start: (controller) => controller.enqueue(new TextEncoder().encode("far\n")),
      cancel: () => void open--,
    });
    return Promise.resolve(new Response(body));
  };
  await using api = await ApiFixture.open({ host: new Recorder("m1", ask) });
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
  /** Asks for b.service's journal, whose first line has come. */
  const begin = async (views: Views, query: string) => {
    const registry = Object.create(api.registry, {
      watch: { value: views.watch },
      read: { value: () => Promise.resolve(found) },
    });
    using continuity = new SharedState();
    const target = `/fleet/v1/units/b.service/journal${query}`;
    const answer = await api.handlerOver(registry, { sharedState: continuity })(new Request("http://localhost/"), {
      target,
    });
    assert.equal(answer.status, 200);
    const reader = answer.body!.getReader();
    await reader.read();
    const readers = () => continuity.events(registry, systemClock, () => {}).readers;
    assert.deepEqual([open, readers()], [1, 1]);
    return { reader, readers };
  };
  for (
    const [what, last] of [["has gone", later(3)], ["has booted anew", later(3, { incarnation: "other" })]] as const
  ) {
    await test.step(`one that ${what} ends what is followed`, async () => {
      const views = new Views(later(-1));
      const { reader, readers } = await begin(views, "?follow=1");
      let isOver = false;
      const next = reader.read().finally(() => isOver = true);
      for (const view of [later(-1), later(1, same), later(2, same)]) {
        views.show(view);
        await ManualClock.settle();
        assert.equal(isOver, false, "neither an old view nor another change does");
      }
      views.show(last);
      assert.deepEqual(await next, { done: true, value: undefined });
      assert.deepEqual([open, readers()], [0, 0]);
    });
  }
  await test.step("what has an end breaks off", async () => {
    const views = new Views(found);
    const { reader, readers } = await begin(views, "");
    const next = assert.rejects(reader.read(), /machine m2 has gone while it answered/);
    await ManualClock.settle();
    views.show(later(1));
    await next;
    assert.deepEqual([open, readers()], [0, 0]);
  });
  await test.step("nor does it look any longer than it is read", async () => {
    const { reader, readers } = await begin(new Views(found), "?follow=1");
    await reader.cancel();
    assert.deepEqual([open, readers()], [0, 0]);
  });
});
