import assert from "node:assert/strict";
import { ApiFixture, errorText } from "../../tests/api_fixture.ts";
import { ManualClock } from "../../tests/manual_clock.ts";
import { StoreUnavailableError } from "../../registry/mod.ts";
import { keepAlive_ms } from "./events.ts";

const path = "/fleet/v1/events";
const deadline_ms = 20_000;

/** A client of the event stream. */
class Listener implements AsyncDisposable {
  readonly #closing = new AbortController();
  #reader!: ReadableStreamDefaultReader<Uint8Array>;
  readonly #decoder = new TextDecoder();
  #rest = "";
  headers!: Headers;

  static async open(api: ApiFixture, query = ""): Promise<Listener> {
    const listener = new Listener();
    const request = new Request("http://localhost/");
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
      const match = /^id: \d+\nevent: (\w+)\ndata: (.*)$/.exec(block);
      if (match) return `${match[1]} ${match[2]}`;
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

const state = (name: string, machine: string, extra: { error?: string; active?: string } = {}) =>
  `state {${
    extra.error ? `"error":"${extra.error}",` : ""
  }"machineID":"${machine}","name":"${name}","restart":0,"since":1000,` +
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
  const a =
    'unit {"name":"a.service","unit":{"currentState":"launched","desiredState":"launched","machineID":"m1","name":"a.service"}}';
  await test.step("units, states and machines", async () => {
    await using listener = await Listener.open(api);
    assert.deepEqual(
      (await listener.present()).map(withoutHash).sort(),
      [
        machine,
        state("a.service", "m1"),
        state("g.service", "m1", { active: "failed", error: "exit-code" }),
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
  });
  await test.step("the unit is started: its current state, and what systemd says", async () => {
    await api.report("m1", "a.service", {});
    assert.equal(await both(), told('"launched","desiredState":"launched","machineID":"m1"'));
    assert.equal(await both(), state("a.service", "m1"));
  });
  await test.step("the unit fails", async () => {
    await api.report("m1", "a.service", { active: "failed", result: "signal" });
    assert.equal(await both(), state("a.service", "m1", { active: "failed", error: "signal" }));
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

Deno.test("a slow reader is told what is so, not what was", async () => {
  await using api = await ApiFixture.open();
  await using listener = await Listener.open(api);
  await listener.present();
  for (let turn = 0; turn < 50; turn++) {
    await api.put("a.service", turn % 2 ? "launched" : "loaded");
    await api.send("GET", "/fleet/v1/units");
  }
  await api.put("last.service");
  const events: string[] = [];
  while (!events.at(-1)?.includes('"last.service"')) events.push(await listener.event() ?? "");
  assert.match(events.at(-2) ?? "", /"desiredState":"launched","name":"a.service"/);
  assert.ok(events.length < 6, `told ${events.length} times`);
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
    assert.equal(watching, 0);
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
    assert.deepEqual(api.logged, ["an event stream ends"]);
  });
});

Deno.test("streams are limited, and those that ended make room", async () => {
  await using api = await ApiFixture.open();
  const open: Listener[] = [];
  for (let index = 0; index < 500; index++) open.push(await Listener.open(api));
  const refused = await api.send("GET", path);
  assert.equal(refused.text, errorText(429, "too many event streams are open (500)"));
  for (const listener of open) await listener[Symbol.asyncDispose]();
  await using listener = await Listener.open(api);
  assert.deepEqual(await listener.present(), ["synced"]);
});
