import assert from "node:assert/strict";
import { ApiFixture, errorText } from "../../../tests/support/api_fixture.ts";
import { ManualClock } from "../../../tests/support/manual_clock.ts";
import type { Cluster } from "../../../registry/model.ts";
import { StoreUnavailableError } from "../../../registry/mod.ts";
import { maxStreams, SharedState } from "../shared_state.ts";
import { keepAlive_ms } from "./event_buffer.ts";

const path = "/fleet/v1/events";
const deadline_ms = 20_000;

/** A client of the event stream. */
class Client implements AsyncDisposable {
  readonly #closing = new AbortController();
  #reader!: ReadableStreamDefaultReader<Uint8Array>;
  readonly #decoder = new TextDecoder();
  #rest = "";
  headers!: Headers;
  /** The id that a browser would send as Last-Event-ID. */
  id = "";
  /** True if {@link event} keeps the times of events. */
  keepsTimes = false;

  static async open(api: ApiFixture, query = "", headers: Record<string, string> = {}): Promise<Client> {
    const client = new Client();
    const request = new Request("http://localhost/", { headers });
    const answer = await api.handler(request, { target: path + query, closing: client.#closing.signal });
    assert.equal(answer.status, 200);
    assert.ok(answer.body);
    client.headers = answer.headers;
    client.#reader = answer.body.getReader();
    return client;
  }

  /** The next block, without the blank line that ends it; undefined at the end. */
  async block(): Promise<string | undefined> {
    for (;;) {
      const end = this.#rest.indexOf("\n\n");
      if (end >= 0) {
        const block = this.#rest.slice(0, end);
        this.#rest = this.#rest.slice(end + 2);
        return block;
      }
      const late = Promise.withResolvers<never>();
      const timer = setTimeout(() => late.reject(new Error("no event in time")), deadline_ms);
      try {
        const { done, value } = await Promise.race([this.#reader.read(), late.promise]);
        if (done) return undefined;
        this.#rest += this.#decoder.decode(value, { stream: true });
      } finally {
        clearTimeout(timer);
      }
    }
  }

  /** The next event as `event data`, without comments; undefined at the end. */
  async event(): Promise<string | undefined> {
    for (;;) {
      const block = await this.block();
      if (block === undefined) return undefined;
      const match = /^(?:id: ([\w-]+)\n)?event: (\w+)\ndata: (.*)$/.exec(block);
      if (match) {
        this.id = match[1] ?? this.id;
        // Reports of waiting units come some time after their cause; they have tests of their own, as have times.
        if (match[3]!.includes('"waiting":true')) continue;
        return `${match[2]} ${this.keepsTimes ? match[3] : match[3]!.replace(/,"time":\d+\}$/, "}")}`;
      }
      assert.equal(block, ":");
    }
  }

  /** The events up to and including `synced`, whose revision is left out. */
  async present(): Promise<string[]> {
    const events: string[] = [];
    for (;;) {
      const event = await this.event();
      assert.ok(event !== undefined);
      if (!event.startsWith("synced")) events.push(event);
      else {
        assert.match(event, /^synced \{"revision":\d+\}$/);
        return [...events, "synced"];
      }
    }
  }

  /** The server closes. */
  close(): void {
    this.#closing.abort();
  }

  /** The client cancels. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader.cancel();
  }
}

const state = (name: string, machine: string, extra: { error?: string; result?: string; active?: string } = {}) =>
  `state {${extra.error ? `"error":"${extra.error}",` : ""}"machineID":"${machine}","name":"${name}","restart":0,` +
  `${extra.result ? `"result":"${extra.result}",` : ""}"since":1000,` +
  `"state":{"hash":"0123456789012345678901234567890123456789","machineID":"${machine}","name":"${name}",` +
  `"systemdActiveState":"${extra.active ?? "active"}","systemdLoadState":"loaded","systemdSubState":"running"}}`;

/** A unit event without `hash` and `restart`, which tests look at where they matter. */
const withoutHash = (event: string | undefined) =>
  event?.replace(/"hash":"[0-9a-f]{40}","name":("[^"]+"),"restart":0,"unit"/, '"name":$1,"unit"');

Deno.test("a stream begins with the present, then synced", async (test) => {
  await using api = await ApiFixture.open();
  await test.step("an empty cluster", async () => {
    await using client = await Client.open(api);
    assert.equal(client.headers.get("Content-Type"), "text/event-stream");
    assert.equal(client.headers.get("Server"), "fleetd/1.2.3");
    assert.deepEqual(await client.present(), ["synced"]);
  });
  await api.join("m1", "10.0.0.1");
  await api.put("a.service", "launched");
  await api.put("b.service");
  await api.put("g.service", "launched", "[X-Fleet]\nGlobal=true");
  await api.place("a.service", "m1");
  await api.report("m1", "a.service", {});
  await api.report("m1", "g.service", { active: "failed", result: "exit-code" });
  await api.report("m1", "gone.service", { error: "no such thing" });
  const machine = 'machine {"id":"m1","machine":{"id":"m1","primaryIP":"10.0.0.1"}}';
  const decision = (await api.registry.read()).targets.get("a.service");
  const placed = `decision {"machineID":"m1","name":"a.service","since":${decision?.since_ms},"why":"a test said so"}`;
  const a =
    'unit {"name":"a.service","unit":{"currentState":"launched","desiredState":"launched","machineID":"m1","name":"a.service"}}';
  await test.step("units, decisions, states and machines", async () => {
    await using client = await Client.open(api);
    assert.deepEqual(
      (await client.present()).map(withoutHash).sort(),
      [
        machine,
        placed,
        state("a.service", "m1"),
        state("g.service", "m1", { active: "failed", error: "exit-code", result: "exit-code" }),
        state("gone.service", "m1", { error: "no such thing" }),
        "synced",
        a,
        'unit {"name":"b.service","unit":{"currentState":"inactive","desiredState":"inactive","name":"b.service"}}',
        'unit {"name":"g.service","unit":{"desiredState":"launched","name":"g.service"}}',
      ].sort(),
    );
  });
  await test.step("some units only", async () => {
    await using client = await Client.open(api, "?unit=a.service&unit=gone.service&unit=never.service");
    assert.deepEqual((await client.present()).map(withoutHash), [
      a,
      placed,
      state("a.service", "m1"),
      state("gone.service", "m1", { error: "no such thing" }),
      machine,
      "synced",
    ]);
  });
  await test.step("a unit has its hash and restart", async () => {
    await using client = await Client.open(api, "?unit=b.service");
    const { unit } = await api.registry.unit("b.service");
    const [first] = await client.present();
    assert.ok(first?.startsWith(`unit {"hash":"${unit?.hash}","name":"b.service","restart":0,"unit":`));
  });
});

Deno.test("each change is an event", async (test) => {
  await using api = await ApiFixture.open();
  await using all = await Client.open(api);
  await using some = await Client.open(api, "?unit=a.service");
  await all.present();
  await some.present();
  const both = async () => {
    const event = withoutHash(await all.event());
    assert.equal(withoutHash(await some.event()), event);
    return event;
  };
  const unitEvent = (rest: string) => `unit {"name":"a.service","unit":{"currentState":${rest},"name":"a.service"}}`;

  await test.step("a unit is created", async () => {
    await api.put("a.service", "launched");
    assert.equal(await both(), unitEvent('"inactive","desiredState":"launched"'));
  });
  await test.step("a machine joins", async () => {
    await api.join("m1");
    assert.equal(await both(), 'machine {"id":"m1","machine":{"id":"m1"}}');
  });
  await test.step("the unit is placed", async () => {
    await api.place("a.service", "m1");
    assert.equal(await both(), unitEvent('"inactive","desiredState":"launched","machineID":"m1"'));
    assert.match(
      await both() ?? "",
      /^decision \{"machineID":"m1","name":"a.service","since":\d+,"why":"a test said so"\}$/,
    );
  });
  await test.step("the unit is started: its current state, and its state in systemd", async () => {
    await api.report("m1", "a.service", {});
    assert.equal(await both(), unitEvent('"launched","desiredState":"launched","machineID":"m1"'));
    assert.equal(await both(), state("a.service", "m1"));
  });
  await test.step("the unit fails", async () => {
    await api.report("m1", "a.service", { active: "failed", result: "signal" });
    assert.equal(await both(), state("a.service", "m1", { active: "failed", error: "signal", result: "signal" }));
  });
  await test.step("a change of another unit does not pass the filter", async () => {
    await api.put("b.service");
    assert.match(await all.event() ?? "", /^unit .*"b.service"/);
  });
  await test.step("a restart is requested and carried out", async () => {
    await api.send("POST", "/fleet/v1/units/a.service/restart");
    const { unit } = await api.registry.unit("a.service");
    assert.match(await both() ?? "", new RegExp(`^unit .*"restart":${unit?.restart},`));
    await api.report("m1", "a.service", { restart: unit?.restart ?? -1 });
    assert.match(await both() ?? "", new RegExp(`^state .*"restart":${unit?.restart},`));
  });
  await test.step("the unit's file is replaced", async () => {
    await api.put("a.service", "launched", "[Service]\nExecStart=/bin/false");
    assert.equal((await both())?.includes('"desiredState":"launched"'), true);
  });
  await test.step("a machine's metadata change", async () => {
    await api.send("PATCH", "/fleet/v1/machines", { body: [{ op: "add", path: "/m1/metadata/k", value: "v" }] });
    assert.equal(await both(), 'machine {"id":"m1","machine":{"id":"m1","metadata":{"k":"v"}}}');
  });
  await test.step("the unit is destroyed", async () => {
    await api.send("DELETE", "/fleet/v1/units/a.service");
    assert.equal(await both(), 'unit {"name":"a.service"}');
    assert.equal(await both(), 'decision {"from":"m1","name":"a.service","why":"the unit was destroyed"}');
  });
  await test.step("the unit's state is withdrawn", async () => {
    await api.report("m1", "a.service", undefined);
    assert.equal(await both(), 'state {"machineID":"m1","name":"a.service"}');
  });
  await test.step("the machine leaves", async () => {
    await api.leave("m1");
    assert.equal(await both(), 'machine {"id":"m1"}');
  });
});

/** Makes the API show the views that a test supplies, each after the one before has been taken. */
async function withViews(api: ApiFixture): Promise<{ readonly first: Cluster; show(cluster: Cluster): void }> {
  const first = await api.registry.read();
  let coming = Promise.withResolvers<Cluster>();
  const watch = async function* (signal: AbortSignal) {
    const left = new Promise<undefined>((resolve) => signal.addEventListener("abort", () => resolve(undefined)));
    yield first;
    for (;;) {
      const cluster = await Promise.race([coming.promise, left]);
      if (cluster === undefined) return;
      coming = Promise.withResolvers();
      yield cluster;
    }
  };
  api.handler = api.handlerOver(
    Object.create(api.registry, { watch: { value: watch }, read: { value: () => Promise.resolve(first) } }),
  );
  return { first, show: (cluster) => coming.resolve(cluster) };
}

/** A view with so many machines, whose addresses are the number of the view. */
const machines = (first: Cluster, number: number, count: number): Cluster => ({
  ...first,
  revision: first.revision + number,
  machines: new Map(Array.from({ length: count }, (_, index) => [`m${index}`, {
    ...{ id: `m${index}`, ip: `${number}`, incarnation: "", staticMetadata: {}, metadata: {}, version: "" },
    capabilities: { disableEngine: false },
  }])),
});

Deno.test("a slow reader keeps its position until the buffer has dropped its next batch", async () => {
  await using api = await ApiFixture.open();
  const { first, show } = await withViews(api);
  await using slow = await Client.open(api);
  await using fast = await Client.open(api);
  await slow.present();
  await fast.present();
  const change = async (number: number) => {
    show(machines(first, number, 4_000));
    for (let index = 0; index < 4_000; index++) await fast.event();
  };
  await change(1);
  await change(2);
  assert.equal(await slow.event(), 'machine {"id":"m0","machine":{"id":"m0","primaryIP":"1"}}');
  await change(3);
  await change(4);
  // The batch that it has begun is complete; the next one has been dropped.
  for (let index = 1; index < 4_000; index++) assert.match(await slow.event() ?? "", /"primaryIP":"1"/);
  assert.equal(
    await slow.event(),
    'reset {"reason":"the reader was too slow, and the events after this one are lost: connect again"}',
  );
  assert.equal(await slow.event(), undefined);
});

Deno.test("a client that resumes too slowly gets reset instead of synced", async () => {
  await using api = await ApiFixture.open();
  const { first, show } = await withViews(api);
  await using fast = await Client.open(api);
  await fast.present();
  const change = async (number: number) => {
    show(machines(first, number, 1_500));
    for (let index = 0; index < 1_500; index++) await fast.event();
  };
  for (let number = 1; number <= 5; number++) await change(number);
  await using slow = await Client.open(api, `?since=${first.revision}`);
  assert.match(await slow.event() ?? "", /"primaryIP":"1"/);
  for (let number = 6; number <= 9; number++) await change(number);
  for (let index = 1; index < 1_500; index++) assert.match(await slow.event() ?? "", /"primaryIP":"1"/);
  assert.equal(
    await slow.event(),
    'reset {"reason":"the reader was too slow, and the events after this one are lost: connect again"}',
  );
  assert.equal(await slow.event(), undefined);
});

Deno.test("a reader that keeps up gets a change that is larger than the buffer", async () => {
  await using api = await ApiFixture.open();
  const { first, show } = await withViews(api);
  await using client = await Client.open(api);
  await client.present();
  const count = 10_001;
  show(machines(first, 1, count));
  for (let index = 0; index < count; index++) assert.match(await client.event() ?? "", /"primaryIP":"1"/);
  show(machines(first, 2, count + 1));
  for (let index = 0; index <= count; index++) assert.match(await client.event() ?? "", /"primaryIP":"2"/);
});

Deno.test("a client that resumes gets the events that it missed", async (test) => {
  await using api = await ApiFixture.open();
  await api.put("a.service");
  const first = await Client.open(api);
  await first.present();
  await api.put("b.service");
  assert.match(await first.event() ?? "", /^unit .*"b.service"/);
  const { id } = first;
  const store = (await api.registry.read()).id;
  assert.equal(id, `${(await api.registry.read()).revision}-${store.slice(0, 8)}`);
  await first[Symbol.asyncDispose]();
  await api.put("c.service");
  await api.put("d.service");
  const names = async (client: Client) => (await client.present()).map((each) => /"name":"(.)/.exec(each)?.[1]);

  await test.step("by its URL", async () => {
    await using client = await Client.open(api, `?since=${id}`);
    assert.deepEqual(await names(client), ["c", "d", undefined]);
    await api.put("e.service");
    assert.match(await client.event() ?? "", /^unit .*"e.service"/);
  });
  await test.step("by a revision without a store", async () => {
    await using client = await Client.open(api, `?since=${parseInt(id)}`);
    assert.deepEqual(await names(client), ["c", "d", "e", undefined]);
  });
  await test.step("by the Last-Event-ID of a browser, which is newer than the URL", async () => {
    await using client = await Client.open(api, "?since=1", { "Last-Event-ID": id });
    assert.deepEqual(await names(client), ["c", "d", "e", undefined]);
  });
  await test.step("while others read", async () => {
    await using client = await Client.open(api);
    await client.present();
    await using late = await Client.open(api, `?since=${client.id}`);
    assert.deepEqual(await late.present(), ["synced"]);
  });
  await test.step("a revision that is too old: reset, then the present", async () => {
    await using client = await Client.open(api, "?since=0");
    assert.equal(
      await client.event(),
      'reset {"reason":"the changes since then are no longer known: the present follows"}',
    );
    assert.deepEqual(await names(client), ["a", "b", "c", "d", "e", undefined]);
  });
  const foreign = `${parseInt(id)}-${store[0] === "0" ? "1" : "0"}${store.slice(1, 8)}`;
  for (const unknown of ["999999", "not-a-revision", `${id}0`, foreign]) {
    await test.step(`an unknown id, ${unknown}: reset, then the present`, async () => {
      await using client = await Client.open(api, "", { "Last-Event-ID": unknown });
      assert.match(await client.event() ?? "", /^reset /);
      assert.equal((await client.present()).length, 6);
    });
  }
  for (const since of ["x", "-1", "1.5", "1e3", "99999999999999999999", "7-", "-454c34ef", "7-454c34ef0"]) {
    await test.step(`?since=${since} is no revision`, async () => {
      const { code, text } = await api.send("GET", `${path}?since=${since}`);
      const expected = "expect an event's id, such as 117-454c34ef, a revision, such as 117, or a time, such as 10m";
      assert.equal(text, errorText(400, `invalid since "${since}": ${expected}`));
      assert.equal(code, 400);
    });
  }
});

Deno.test("filters", async (test) => {
  await using api = await ApiFixture.open();
  await api.join("m1");
  await api.join("m2");
  for (const name of ["a.service", "b.service", "c.service"]) await api.put(name, "launched");
  await api.put("g.service", "launched", "[X-Fleet]\nGlobal=true");
  await api.place("a.service", "m1");
  await api.place("b.service", "m2");
  await api.report("m1", "a.service", {});
  await api.report("m2", "b.service", {});
  const cases: readonly (readonly [query: string, events: readonly string[]])[] = [
    ["?kind=machine", ["machine m1", "machine m2"]],
    ["?kind=decision&kind=machine", ["decision a", "decision b", "machine m1", "machine m2"]],
    ["?machine=m1", ["unit a", "unit g", "decision a", "state a", "machine m1"]],
    ["?machine=m1&kind=unit", ["unit a", "unit g"]],
    ["?machine=m1&unit=b.service", ["machine m1"]],
    ["?unit=b.service&kind=decision", ["decision b"]],
    ["?machine=never", ["unit g"]],
    ["?unit=&machine=&kind=state", ["state a", "state b"]],
  ];
  const short = (event: string | undefined) => {
    const [, kind, name] = /^(\w+) .*?"(?:name":"(?=.\.)|id":"(?=m))(m?.)/.exec(event ?? "") ?? [];
    return `${kind} ${name}`;
  };
  for (const [query, events] of cases) {
    await test.step(query, async () => {
      await using client = await Client.open(api, query);
      assert.deepEqual((await client.present()).slice(0, -1).map(short).sort(), [...events].sort());
    });
  }
  await test.step("a unit that moves is reported for the machine that it leaves, too", async () => {
    await using client = await Client.open(api, "?machine=m1&kind=decision");
    await client.present();
    await api.place("a.service", "m2");
    assert.match(await client.event() ?? "", /^decision \{"from":"m1","machineID":"m2","name":"a.service"/);
    await api.place("a.service", "m1");
    assert.match(await client.event() ?? "", /^decision \{"from":"m2","machineID":"m1","name":"a.service"/);
    await api.put("a.service", "inactive");
    assert.equal(
      await client.event(),
      'decision {"from":"m1","name":"a.service","why":"its desired state is inactive"}',
    );
  });
  await test.step("an unknown kind is refused", async () => {
    const { text } = await api.send("GET", `${path}?kind=units`);
    assert.equal(text, errorText(400, 'unknown kind "units": expect unit, decision, state, machine, loss'));
  });
});

Deno.test("the present of many units comes complete, in many pieces", async () => {
  await using api = await ApiFixture.open();
  const count = 1500;
  for (let index = 0; index < count; index++) await api.put(`unit-${index}.service`);
  await using client = await Client.open(api);
  const events = await client.present();
  assert.equal(new Set(events).size, count + 1);
});

Deno.test("a comment keeps a quiet stream alive", async () => {
  const clock = new ManualClock();
  await using api = await ApiFixture.open({ clock });
  await using client = await Client.open(api);
  assert.equal(await client.block(), ":", "at once: the client is connected");
  await client.present();
  for (let turn = 0; turn < 3; turn++) {
    const next = client.block();
    await ManualClock.settle();
    clock.advance(keepAlive_ms - 1);
    await ManualClock.settle();
    clock.advance(1);
    assert.equal(await next, ":");
  }
  await api.put("a.service");
  assert.match(await client.event() ?? "", /^unit /);
});

Deno.test("a comment keeps a stream alive whose filter leaves out every change of a busy cluster", async () => {
  const clock = new ManualClock();
  await using api = await ApiFixture.open({ clock });
  await using client = await Client.open(api, "?unit=a.service&kind=unit");
  assert.equal(await client.block(), ":");
  await client.present();
  const next = client.block();
  for (let turn = 0; turn < 5; turn++) {
    await api.put(`b${turn}.service`);
    await ManualClock.settle();
    clock.advance(keepAlive_ms / 5);
    await ManualClock.settle();
  }
  assert.equal(await next, ":");
});

Deno.test("ends of a stream", async (test) => {
  await using api = await ApiFixture.open();
  let watching = 0;
  api.handler = api.handlerOver(Object.create(api.registry, {
    watch: {
      async *value(signal: AbortSignal) {
        watching++;
        try {
          yield* api.registry.watch(signal);
        } finally {
          watching--;
        }
      },
    },
  }));
  await test.step("the client cancels: the watch ends", async () => {
    const client = await Client.open(api);
    await client.present();
    assert.equal(watching, 1);
    await client[Symbol.asyncDispose]();
    await ManualClock.settle();
    assert.equal(watching, 0);
  });
  await test.step("the client cancels while the stream waits", async () => {
    const client = await Client.open(api);
    await client.present();
    const waiting = client.event();
    await ManualClock.settle();
    await client[Symbol.asyncDispose]();
    assert.equal(await waiting, undefined);
    await ManualClock.settle();
    assert.equal(watching, 0);
  });
  await test.step("the server closes: the response is complete", async () => {
    const client = await Client.open(api);
    await client.present();
    client.close();
    assert.equal(await client.event(), undefined);
    await ManualClock.settle();
    assert.equal(watching, 0);
  });
  await test.step("a reload replaces the registry", async () => {
    const retired = new AbortController();
    const { handler } = api;
    api.handler = api.handlerOver(api.registry, { retired: retired.signal });
    const client = await Client.open(api);
    await client.present();
    retired.abort();
    assert.equal(await client.event(), undefined);
    api.handler = handler;
  });
  await test.step("the watch fails: it is logged", async () => {
    const failing = {
      async *value() {
        yield await api.registry.read();
        throw new StoreUnavailableError("gone");
      },
    };
    api.handler = api.handlerOver(Object.create(api.registry, { watch: failing }));
    const client = await Client.open(api);
    await client.present();
    assert.equal(await client.event(), undefined);
    assert.deepEqual(api.logged, ["event streams end: the watch has failed"]);
  });
  await test.step("the watch fails while the client takes nothing: the stream no longer counts", async () => {
    const lost = Promise.withResolvers<void>();
    const failing = {
      async *value() {
        yield await api.registry.read();
        await lost.promise;
        throw new StoreUnavailableError("gone");
      },
    };
    using sharedState = new SharedState();
    api.handler = api.handlerOver(Object.create(api.registry, { watch: failing }), { sharedState });
    const client = await Client.open(api);
    await client.present();
    lost.resolve();
    await ManualClock.settle();
    assert.ok(Array.from({ length: maxStreams }, () => sharedState.streams.take()).every((release) => release));
    assert.equal(await client.event(), undefined);
  });
});

Deno.test("open streams are limited, and an ended one no longer counts", async () => {
  await using api = await ApiFixture.open();
  const open: Client[] = [];
  for (let index = 0; index < maxStreams; index++) open.push(await Client.open(api));
  const refused = await api.send("GET", path);
  assert.equal(refused.text, errorText(429, `too many event streams are open (${maxStreams})`));
  for (const client of open) await client[Symbol.asyncDispose]();
  await using client = await Client.open(api);
  assert.deepEqual(await client.present(), ["synced"]);
});

Deno.test("streams that wait for the store count as well, and a failed one no longer does", async () => {
  await using api = await ApiFixture.open();
  let read = Promise.withResolvers<Cluster>();
  api.handler = api.handlerOver(Object.create(api.registry, { read: { value: () => read.promise } }));
  const ask = () =>
    api.handler(new Request("http://localhost/", { headers: { "Last-Event-ID": "1" } }), { target: path });
  const failing = Array.from({ length: maxStreams }, ask);
  assert.equal((await ask()).status, 429);
  read.reject(new StoreUnavailableError("gone"));
  for (const answer of await Promise.all(failing)) assert.equal(answer.status, 503);
  read = Promise.withResolvers();
  const opening = Array.from({ length: maxStreams }, ask);
  assert.equal((await ask()).status, 429);
  read.resolve(await api.registry.read());
  for (const answer of await Promise.all(opening)) {
    assert.equal(answer.status, 200);
    await answer.body!.cancel();
  }
});

Deno.test("a handler that replaces another shares its events and limits", async (test) => {
  await using api = await ApiFixture.open();
  using sharedState = new SharedState();
  api.handler = api.handlerOver(api.registry, { sharedState });
  const before = await Client.open(api);
  await before.present();
  await api.put("a.service");
  assert.match(await before.event() ?? "", /^unit .*"a.service"/);
  const { id } = before;
  await api.put("b.service");
  assert.match(await before.event() ?? "", /^unit .*"b.service"/);
  api.handler = api.handlerOver(api.registry, { sharedState, pageSize: 7 });
  await test.step("a client that resumes gets the events that it missed", async () => {
    await using after = await Client.open(api, `?since=${id}`);
    assert.match((await after.present()).join(), /^unit [^\n]*"b.service"[^\n]*,synced$/);
  });
  await test.step("open streams still count", async () => {
    const taken = Array.from({ length: maxStreams - 1 }, () => sharedState.streams.take()!);
    assert.equal((await api.send("GET", path)).code, 429);
    taken.forEach((release) => release());
    await before[Symbol.asyncDispose]();
    await using after = await Client.open(api);
    assert.match((await after.present()).join(), /synced$/);
  });
});

/** The events of a stream up to `synced`, parsed. */
async function timed(client: Client): Promise<{ event: string; data: Record<string, unknown> }[]> {
  client.keepsTimes = true;
  const events: { event: string; data: Record<string, unknown> }[] = [];
  for (;;) {
    const [, event = "", data = ""] = /^(\w+) (.*)$/s.exec(await client.event() ?? "") ?? [];
    if (event === "synced" || event === "") return events;
    events.push({ event, data: JSON.parse(data) });
  }
}

const byOps = { peer: { as: "ops", connection: { kind: "network", remote: "10.0.0.9:4711", hosts: [] } } } as const;
const unitFile = [{ section: "Service", name: "ExecStart", value: "/bin/true" }];

Deno.test("an event has its time and the author of the change, also when a unit is destroyed", async () => {
  await using api = await ApiFixture.open();
  await using client = await Client.open(api, "?kind=unit");
  await client.present();
  client.keepsTimes = true;
  const before = Date.now();
  const body = { desiredState: "launched", options: unitFile };
  await api.send("PUT", "/fleet/v1/units/a.service", { body, ...byOps });
  const [, created = ""] = /^unit (.*)$/.exec(await client.event() ?? "") ?? [];
  const { changed, time } = JSON.parse(created);
  assert.equal(changed.by, "ops from 10.0.0.9");
  assert.equal(changed.at, time);
  assert.ok(time >= before && time <= Date.now(), created);
  await api.send("DELETE", "/fleet/v1/units/a.service", byOps);
  const [, destroyed = ""] = /^unit (.*)$/.exec(await client.event() ?? "") ?? [];
  assert.equal(JSON.parse(destroyed).changed.by, "ops from 10.0.0.9");
});

Deno.test("?since=10m begins with the changes since then, as far as the buffer holds them", async () => {
  await using api = await ApiFixture.open();
  const body = { desiredState: "launched", options: unitFile };
  await api.send("PUT", "/fleet/v1/units/early.service", { body, ...byOps });
  await using reader = await Client.open(api);
  await reader.present();
  await api.send("PUT", "/fleet/v1/units/a.service", { body, ...byOps });
  await reader.event();
  await api.send("DELETE", "/fleet/v1/units/a.service", byOps);
  await reader.event();
  await using client = await Client.open(api, "?since=10m&kind=unit");
  const [early, partial, ...units] = await timed(client);
  assert.equal(early?.data["name"], "early.service");
  assert.equal(early?.data["time"], (early?.data["changed"] as { at: number }).at);
  assert.equal(partial?.event, "partial");
  assert.ok(Number(partial?.data["since"]) >= Number(early?.data["time"]));
  assert.deepEqual(units.map(({ data }) => [data["name"], data["unit"] !== undefined]), [
    ["a.service", true],
    ["a.service", false],
  ]);
  // The clock counts milliseconds: waits for the next one.
  for (const end = Date.now(); Date.now() === end;);
  await using late = await Client.open(api, "?since=0s&kind=unit");
  assert.deepEqual(await timed(late), []);
});
