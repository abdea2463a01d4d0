/** The event stream: the present, changes, filters, and its ends. */

import assert from "node:assert/strict";
import { ApiFixture, errorText } from "../../../tests/support/api_fixture.ts";
import { ManualClock } from "../../../tests/support/manual_clock.ts";
import { StoreUnavailableError } from "../../../registry/mod.ts";
import { maxStreams, SharedState } from "../shared_state.ts";
import { keepAlive_ms } from "./event_buffer.ts";
import { Client, path, state, withoutHash } from "../../../tests/support/event_client.ts";

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
  await test.step("synced names the leader", async () => {
    await using client = await Client.open(api);
    await client.present("engine");
  });
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
    assert.equal(
      text,
      errorText(400, 'unknown kind "units": expect unit, decision, state, machine, loss, rollout, drain'),
    );
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
