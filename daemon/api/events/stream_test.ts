import assert from "node:assert/strict";
import { ApiFixture, errorText } from "../../../tests/support/api_fixture.ts";
import { ManualClock } from "../../../tests/support/manual_clock.ts";
import type { Cluster } from "../../../registry/model.ts";
import { StoreUnavailableError } from "../../../registry/mod.ts";
import { maxStreams, SharedState } from "../shared_state.ts";
import { keepAlive_ms } from "./stream.ts";

const path = "/fleet/v1/events";
const deadline_ms = 20_000;

/** A client of the event stream. */
class Listener implements AsyncDisposable {
  readonly #closing = new AbortController();
  #reader!: ReadableStreamDefaultReader<Uint8Array>;
  readonly #decoder = new TextDecoder();
  #rest = "";
  headers!: Headers;
  /** What a browser would send as Last-Event-ID. */
  id = "";
  /** Whether times are told. */
  hearsTimes = false;
  /** Whether decisions that a unit has to wait count. */
  hearsWaiting = false;

  static async open(api: ApiFixture, query = "", headers: Record<string, string> = {}): Promise<Listener> {
    const listener = new Listener();
    const request = new Request("http://localhost/", { headers });
    const answer = await api.handler(request, { target: path + query, closing: listener.#closing.signal });
    assert.equal(answer.status, 200);
    assert.ok(answer.body);
    listener.headers = answer.headers;
    listener.#reader = answer.body.getReader();
    return listener;
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

  /** The next event as `event data`, comments passed over; undefined at the end. */
  async event(): Promise<string | undefined> {
    for (;;) {
      const block = await this.block();
      if (block === undefined) return undefined;
      const match = /^(?:id: ([\w-]+)\n)?event: (\w+)\ndata: (.*)$/.exec(block);
      if (match) {
        this.id = match[1] ?? this.id;
        // They come a moment later than what they follow from; they have tests of their own.
        if (!this.hearsWaiting && match[3]!.includes('"waiting":true')) continue;
        // When they happened has tests of its own.
        return `${match[2]} ${this.hearsTimes ? match[3] : match[3]!.replace(/,"time":\d+\}$/, "}")}`;
      }
      assert.equal(block, ":");
    }
  }

  /** Events up to and with `synced`, which is given without its revision. */
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

  /** The client leaves. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader.cancel();
  }
}

const state = (name: string, machine: string, extra: { error?: string; result?: string; active?: string } = {}) =>
  `state {${extra.error ? `"error":"${extra.error}",` : ""}"machineID":"${machine}","name":"${name}","restart":0,` +
  `${extra.result ? `"result":"${extra.result}",` : ""}"since":1000,` +
  `"state":{"hash":"0123456789012345678901234567890123456789","machineID":"${machine}","name":"${name}",` +
  `"systemdActiveState":"${extra.active ?? "active"}","systemdLoadState":"loaded","systemdSubState":"running"}}`;

/** Units are told with their hash and restart: taken out here, and looked at where they matter. */
const withoutHash = (event: string | undefined) =>
  event?.replace(/"hash":"[0-9a-f]{40}","name":("[^"]+"),"restart":0,"unit"/, '"name":$1,"unit"');

Deno.test("the present, then synced", async (test) => {
  await using api = await ApiFixture.open();
  await test.step("of an empty cluster", async () => {
    await using listener = await Listener.open(api);
    assert.equal(listener.headers.get("Content-Type"), "text/event-stream");
    assert.equal(listener.headers.get("Server"), "fleetd/1.2.3");
    assert.deepEqual(await listener.present(), ["synced"]);
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
    await using listener = await Listener.open(api);
    assert.deepEqual(
      (await listener.present()).map(withoutHash).sort(),
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
  await test.step("of some units only", async () => {
    await using listener = await Listener.open(api, "?unit=a.service&unit=gone.service&unit=never.service");
    assert.deepEqual((await listener.present()).map(withoutHash), [
      a,
      placed,
      state("a.service", "m1"),
      state("gone.service", "m1", { error: "no such thing" }),
      machine,
      "synced",
    ]);
  });
  await test.step("hash and restart of a unit are told", async () => {
    await using listener = await Listener.open(api, "?unit=b.service");
    const { unit } = await api.registry.unit("b.service");
    const [first] = await listener.present();
    assert.ok(first?.startsWith(`unit {"hash":"${unit?.hash}","name":"b.service","restart":0,"unit":`));
  });
});

Deno.test("each change", async (test) => {
  await using api = await ApiFixture.open();
  await using all = await Listener.open(api);
  await using some = await Listener.open(api, "?unit=a.service");
  await all.present();
  await some.present();
  const both = async () => {
    const event = withoutHash(await all.event());
    assert.equal(withoutHash(await some.event()), event);
    return event;
  };
  const told = (rest: string) => `unit {"name":"a.service","unit":{"currentState":${rest},"name":"a.service"}}`;

  await test.step("a unit comes", async () => {
    await api.put("a.service", "launched");
    assert.equal(await both(), told('"inactive","desiredState":"launched"'));
  });
  await test.step("a machine comes", async () => {
    await api.join("m1");
    assert.equal(await both(), 'machine {"id":"m1","machine":{"id":"m1"}}');
  });
  await test.step("the unit is placed", async () => {
    await api.place("a.service", "m1");
    assert.equal(await both(), told('"inactive","desiredState":"launched","machineID":"m1"'));
    assert.match(
      await both() ?? "",
      /^decision \{"machineID":"m1","name":"a.service","since":\d+,"why":"a test said so"\}$/,
    );
  });
  await test.step("the unit is started: its current state, and what systemd says", async () => {
    await api.report("m1", "a.service", {});
    assert.equal(await both(), told('"launched","desiredState":"launched","machineID":"m1"'));
    assert.equal(await both(), state("a.service", "m1"));
  });
  await test.step("the unit fails", async () => {
    await api.report("m1", "a.service", { active: "failed", result: "signal" });
    assert.equal(await both(), state("a.service", "m1", { active: "failed", error: "signal", result: "signal" }));
  });
  await test.step("another unit is told only to those who asked", async () => {
    await api.put("b.service");
    assert.match(await all.event() ?? "", /^unit .*"b.service"/);
  });
  await test.step("a restart is asked for, and carried out", async () => {
    await api.send("POST", "/fleet/v1/units/a.service/restart");
    const { unit } = await api.registry.unit("a.service");
    assert.match(await both() ?? "", new RegExp(`^unit .*"restart":${unit?.restart},`));
    await api.report("m1", "a.service", { restart: unit?.restart ?? -1 });
    assert.match(await both() ?? "", new RegExp(`^state .*"restart":${unit?.restart},`));
  });
  await test.step("a new version of the file", async () => {
    await api.put("a.service", "launched", "[Service]\nExecStart=/bin/false");
    assert.equal((await both())?.includes('"desiredState":"launched"'), true);
  });
  await test.step("metadata of a machine", async () => {
    await api.send("PATCH", "/fleet/v1/machines", { body: [{ op: "add", path: "/m1/metadata/k", value: "v" }] });
    assert.equal(await both(), 'machine {"id":"m1","machine":{"id":"m1","metadata":{"k":"v"}}}');
  });
  await test.step("the unit goes", async () => {
    await api.send("DELETE", "/fleet/v1/units/a.service");
    assert.equal(await both(), 'unit {"name":"a.service"}');
    assert.equal(await both(), 'decision {"from":"m1","name":"a.service","why":"the unit was destroyed"}');
  });
  await test.step("its state goes", async () => {
    await api.report("m1", "a.service", undefined);
    assert.equal(await both(), 'state {"machineID":"m1","name":"a.service"}');
  });
  await test.step("the machine goes", async () => {
    await api.leave("m1");
    assert.equal(await both(), 'machine {"id":"m1"}');
  });
});

/** Lets the API show the views that it is given, each once the one before has been taken. */
async function staged(api: ApiFixture): Promise<{ readonly first: Cluster; show(cluster: Cluster): void }> {
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

/** So many machines, whose address says which view it is. */
const machines = (first: Cluster, number: number, count: number): Cluster => ({
  ...first,
  revision: first.revision + number,
  machines: new Map(Array.from({ length: count }, (_, index) => [`m${index}`, {
    ...{ id: `m${index}`, ip: `${number}`, incarnation: "", staticMetadata: {}, metadata: {}, version: "" },
    capabilities: { disableEngine: false },
  }])),
});

Deno.test("a slow reader keeps its place, until what it has not heard is forgotten", async () => {
  await using api = await ApiFixture.open();
  const { first, show } = await staged(api);
  await using slow = await Listener.open(api);
  await using fast = await Listener.open(api);
  await slow.present();
  await fast.present();
  const tell = async (number: number) => {
    show(machines(first, number, 4_000));
    for (let index = 0; index < 4_000; index++) await fast.event();
  };
  await tell(1);
  await tell(2);
  assert.equal(await slow.event(), 'machine {"id":"m0","machine":{"id":"m0","primaryIP":"1"}}');
  await tell(3);
  await tell(4);
  // What it has begun with is whole; what came next is not there any more.
  for (let index = 1; index < 4_000; index++) assert.match(await slow.event() ?? "", /"primaryIP":"1"/);
  assert.equal(await slow.event(), 'reset {"reason":"what comes next is no longer known: connect again"}');
  assert.equal(await slow.event(), undefined);
});

Deno.test("who comes back and takes what was missed too slowly is told so, and not that it knows all", async () => {
  await using api = await ApiFixture.open();
  const { first, show } = await staged(api);
  await using fast = await Listener.open(api);
  await fast.present();
  const tell = async (number: number) => {
    show(machines(first, number, 1_500));
    for (let index = 0; index < 1_500; index++) await fast.event();
  };
  for (let number = 1; number <= 5; number++) await tell(number);
  await using slow = await Listener.open(api, `?since=${first.revision}`);
  assert.match(await slow.event() ?? "", /"primaryIP":"1"/);
  for (let number = 6; number <= 9; number++) await tell(number);
  for (let index = 1; index < 1_500; index++) assert.match(await slow.event() ?? "", /"primaryIP":"1"/);
  assert.equal(await slow.event(), 'reset {"reason":"what comes next is no longer known: connect again"}');
  assert.equal(await slow.event(), undefined);
});

Deno.test("a change of more than is remembered is told to those who read along", async () => {
  await using api = await ApiFixture.open();
  const { first, show } = await staged(api);
  await using listener = await Listener.open(api);
  await listener.present();
  const count = 10_001;
  show(machines(first, 1, count));
  for (let index = 0; index < count; index++) assert.match(await listener.event() ?? "", /"primaryIP":"1"/);
  show(machines(first, 2, count + 1));
  for (let index = 0; index <= count; index++) assert.match(await listener.event() ?? "", /"primaryIP":"2"/);
});

Deno.test("a client that comes back is told what it missed", async (test) => {
  await using api = await ApiFixture.open();
  await api.put("a.service");
  const first = await Listener.open(api);
  await first.present();
  await api.put("b.service");
  assert.match(await first.event() ?? "", /^unit .*"b.service"/);
  const { id } = first;
  const store = (await api.registry.read()).id;
  assert.equal(id, `${(await api.registry.read()).revision}-${store.slice(0, 8)}`);
  await first[Symbol.asyncDispose]();
  await api.put("c.service");
  await api.put("d.service");
  const names = async (listener: Listener) => (await listener.present()).map((each) => /"name":"(.)/.exec(each)?.[1]);

  await test.step("by its URL", async () => {
    await using listener = await Listener.open(api, `?since=${id}`);
    assert.deepEqual(await names(listener), ["c", "d", undefined]);
    await api.put("e.service");
    assert.match(await listener.event() ?? "", /^unit .*"e.service"/);
  });
  await test.step("by a revision alone", async () => {
    await using listener = await Listener.open(api, `?since=${parseInt(id)}`);
    assert.deepEqual(await names(listener), ["c", "d", "e", undefined]);
  });
  await test.step("by what a browser remembers, which is newer than the URL", async () => {
    await using listener = await Listener.open(api, "?since=1", { "Last-Event-ID": id });
    assert.deepEqual(await names(listener), ["c", "d", "e", undefined]);
  });
  await test.step("while others read on", async () => {
    await using listener = await Listener.open(api);
    await listener.present();
    await using late = await Listener.open(api, `?since=${listener.id}`);
    assert.deepEqual(await late.present(), ["synced"]);
  });
  await test.step("or to start over, with the present, when that is too long ago", async () => {
    await using listener = await Listener.open(api, "?since=0");
    assert.equal(await listener.event(), 'reset {"reason":"what has happened since is no longer known"}');
    assert.deepEqual(await names(listener), ["a", "b", "c", "d", "e", undefined]);
  });
  const foreign = `${parseInt(id)}-${store[0] === "0" ? "1" : "0"}${store.slice(1, 8)}`;
  for (const unknown of ["999999", "not-a-revision", `${id}0`, foreign]) {
    await test.step(`or when nobody knows ${unknown}`, async () => {
      await using listener = await Listener.open(api, "", { "Last-Event-ID": unknown });
      assert.match(await listener.event() ?? "", /^reset /);
      assert.equal((await listener.present()).length, 6);
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

Deno.test("what is told can be narrowed", async (test) => {
  await using api = await ApiFixture.open();
  await api.join("m1");
  await api.join("m2");
  for (const name of ["a.service", "b.service", "c.service"]) await api.put(name, "launched");
  await api.put("g.service", "launched", "[X-Fleet]\nGlobal=true");
  await api.place("a.service", "m1");
  await api.place("b.service", "m2");
  await api.report("m1", "a.service", {});
  await api.report("m2", "b.service", {});
  const cases: readonly (readonly [query: string, told: readonly string[]])[] = [
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
  for (const [query, told] of cases) {
    await test.step(query, async () => {
      await using listener = await Listener.open(api, query);
      assert.deepEqual((await listener.present()).slice(0, -1).map(short).sort(), [...told].sort());
    });
  }
  await test.step("a unit that moves is told for the machine it leaves, too", async () => {
    await using listener = await Listener.open(api, "?machine=m1&kind=decision");
    await listener.present();
    await api.place("a.service", "m2");
    assert.match(await listener.event() ?? "", /^decision \{"from":"m1","machineID":"m2","name":"a.service"/);
    await api.place("a.service", "m1");
    assert.match(await listener.event() ?? "", /^decision \{"from":"m2","machineID":"m1","name":"a.service"/);
    await api.put("a.service", "inactive");
    assert.equal(
      await listener.event(),
      'decision {"from":"m1","name":"a.service","why":"its desired state is inactive"}',
    );
  });
  await test.step("an unknown kind is refused", async () => {
    const { text } = await api.send("GET", `${path}?kind=units`);
    assert.equal(text, errorText(400, 'unknown kind "units": expect unit, decision, state, machine'));
  });
});

Deno.test("the present of many units comes in many pieces, whole", async () => {
  await using api = await ApiFixture.open();
  const count = 1500;
  for (let index = 0; index < count; index++) await api.put(`unit-${index}.service`);
  await using listener = await Listener.open(api);
  const events = await listener.present();
  assert.equal(new Set(events).size, count + 1);
});

Deno.test("a comment is sent when nothing else is", async () => {
  const clock = new ManualClock();
  await using api = await ApiFixture.open({ clock });
  await using listener = await Listener.open(api);
  assert.equal(await listener.block(), ":", "at once, so that the client knows it is connected");
  await listener.present();
  for (let turn = 0; turn < 3; turn++) {
    const next = listener.block();
    await ManualClock.settle();
    clock.advance(keepAlive_ms - 1);
    await ManualClock.settle();
    clock.advance(1);
    assert.equal(await next, ":");
  }
  await api.put("a.service");
  assert.match(await listener.event() ?? "", /^unit /);
});

Deno.test("how a stream ends", async (test) => {
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
  await test.step("when the client leaves, the watch is given up", async () => {
    const listener = await Listener.open(api);
    await listener.present();
    assert.equal(watching, 1);
    await listener[Symbol.asyncDispose]();
    await ManualClock.settle();
    assert.equal(watching, 0);
  });
  await test.step("when the client leaves while the stream waits", async () => {
    const listener = await Listener.open(api);
    await listener.present();
    const waiting = listener.event();
    await ManualClock.settle();
    await listener[Symbol.asyncDispose]();
    assert.equal(await waiting, undefined);
    await ManualClock.settle();
    assert.equal(watching, 0);
  });
  await test.step("when the server closes, it ends like any answer", async () => {
    const listener = await Listener.open(api);
    await listener.present();
    listener.close();
    assert.equal(await listener.event(), undefined);
    await ManualClock.settle();
    assert.equal(watching, 0);
  });
  await test.step("when another registry takes the place of its own", async () => {
    const retired = new AbortController();
    const { handler } = api;
    api.handler = api.handlerOver(api.registry, { retired: retired.signal });
    const listener = await Listener.open(api);
    await listener.present();
    retired.abort();
    assert.equal(await listener.event(), undefined);
    api.handler = handler;
  });
  await test.step("when the view is lost for good, it ends and says so in the log", async () => {
    const failing = {
      async *value() {
        yield await api.registry.read();
        throw new StoreUnavailableError("gone");
      },
    };
    api.handler = api.handlerOver(Object.create(api.registry, { watch: failing }));
    const listener = await Listener.open(api);
    await listener.present();
    assert.equal(await listener.event(), undefined);
    assert.deepEqual(api.logged, ["event streams end"]);
  });
  await test.step("also while its client takes nothing, and its place is free", async () => {
    const lost = Promise.withResolvers<void>();
    const failing = {
      async *value() {
        yield await api.registry.read();
        await lost.promise;
        throw new StoreUnavailableError("gone");
      },
    };
    const sharedState = new SharedState();
    api.handler = api.handlerOver(Object.create(api.registry, { watch: failing }), { sharedState });
    const listener = await Listener.open(api);
    await listener.present();
    lost.resolve();
    await ManualClock.settle();
    assert.ok(Array.from({ length: maxStreams }, () => sharedState.streams.take()).every((place) => place));
    assert.equal(await listener.event(), undefined);
  });
});

Deno.test("streams are limited, and those that ended make room", async () => {
  await using api = await ApiFixture.open();
  const open: Listener[] = [];
  for (let index = 0; index < maxStreams; index++) open.push(await Listener.open(api));
  const refused = await api.send("GET", path);
  assert.equal(refused.text, errorText(429, `too many event streams are open (${maxStreams})`));
  for (const listener of open) await listener[Symbol.asyncDispose]();
  await using listener = await Listener.open(api);
  assert.deepEqual(await listener.present(), ["synced"]);
});

Deno.test("streams are limited also while they wait to begin, and those that fail make room", async () => {
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

Deno.test("a handler that takes another's place goes on where that was", async (test) => {
  await using api = await ApiFixture.open();
  const sharedState = new SharedState();
  api.handler = api.handlerOver(api.registry, { sharedState });
  const before = await Listener.open(api);
  await before.present();
  await api.put("a.service");
  assert.match(await before.event() ?? "", /^unit .*"a.service"/);
  const { id } = before;
  await api.put("b.service");
  assert.match(await before.event() ?? "", /^unit .*"b.service"/);
  api.handler = api.handlerOver(api.registry, { sharedState, pageSize: 7 });
  await test.step("who comes back is told what was missed", async () => {
    await using after = await Listener.open(api, `?since=${id}`);
    assert.match((await after.present()).join(), /^unit [^\n]*"b.service"[^\n]*,synced$/);
  });
  await test.step("streams that are open still count", async () => {
    const places = Array.from({ length: maxStreams - 1 }, () => sharedState.streams.take()!);
    assert.equal((await api.send("GET", path)).code, 429);
    places.forEach((release) => release());
    await before[Symbol.asyncDispose]();
    await using after = await Listener.open(api);
    assert.match((await after.present()).join(), /synced$/);
  });
});

/** Events that a stream tells, parsed, up to `synced`. */
async function timed(listener: Listener): Promise<{ event: string; data: Record<string, unknown> }[]> {
  listener.hearsTimes = true;
  const events: { event: string; data: Record<string, unknown> }[] = [];
  for (;;) {
    const [, event = "", data = ""] = /^(\w+) (.*)$/s.exec(await listener.event() ?? "") ?? [];
    if (event === "synced" || event === "") return events;
    events.push({ event, data: JSON.parse(data) });
  }
}

const byOps = { peer: { as: "ops", connection: { kind: "network", remote: "10.0.0.9:4711", hosts: [] } } } as const;
const unitFile = [{ section: "Service", name: "ExecStart", value: "/bin/true" }];

Deno.test("an event says when it happened and who asked for it, also when a unit is destroyed", async () => {
  await using api = await ApiFixture.open();
  await using listener = await Listener.open(api, "?kind=unit");
  await listener.present();
  listener.hearsTimes = true;
  const before = Date.now();
  const body = { desiredState: "launched", options: unitFile };
  await api.send("PUT", "/fleet/v1/units/a.service", { body, ...byOps });
  const [, created = ""] = /^unit (.*)$/.exec(await listener.event() ?? "") ?? [];
  const { changed, time } = JSON.parse(created);
  assert.equal(changed.by, "ops from 10.0.0.9");
  assert.equal(changed.at, time);
  assert.ok(time >= before && time <= Date.now(), created);
  await api.send("DELETE", "/fleet/v1/units/a.service", byOps);
  const [, destroyed = ""] = /^unit (.*)$/.exec(await listener.event() ?? "") ?? [];
  assert.equal(JSON.parse(destroyed).changed.by, "ops from 10.0.0.9");
});

Deno.test("?since=10m begins with what has happened in that time, as far as it is remembered", async () => {
  await using api = await ApiFixture.open();
  const body = { desiredState: "launched", options: unitFile };
  await api.send("PUT", "/fleet/v1/units/early.service", { body, ...byOps });
  await using reader = await Listener.open(api);
  await reader.present();
  await api.send("PUT", "/fleet/v1/units/a.service", { body, ...byOps });
  await reader.event();
  await api.send("DELETE", "/fleet/v1/units/a.service", byOps);
  await reader.event();
  await using listener = await Listener.open(api, "?since=10m&kind=unit");
  const told = await timed(listener);
  const [early, partial, ...units] = told;
  assert.equal(early?.data["name"], "early.service");
  assert.equal(early?.data["time"], (early?.data["changed"] as { at: number }).at);
  assert.equal(partial?.event, "partial");
  assert.ok(Number(partial?.data["since"]) >= Number(early?.data["time"]));
  assert.deepEqual(units.map(({ data }) => [data["name"], data["unit"] !== undefined]), [
    ["a.service", true],
    ["a.service", false],
  ]);
  // The clock counts milliseconds: the next one begins.
  for (const end = Date.now(); Date.now() === end;);
  await using late = await Listener.open(api, "?since=0s&kind=unit");
  assert.deepEqual(await timed(late), []);
});
