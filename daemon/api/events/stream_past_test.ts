/** The event stream: times and authors of events, and events of the past. */

import assert from "node:assert/strict";
import { ApiFixture, errorText } from "../../../tests/support/api_fixture.ts";
import type { LocalMachine } from "../machine/port.ts";
import { Client, path } from "../../../tests/support/event_client.ts";

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

/** Reads a stream of the past to its end. */
async function past(api: ApiFixture, query: string) {
  const { code, text } = await api.send("GET", `${path}${query}`);
  assert.equal(code, 200, text);
  return text.split("\n\n").flatMap((block) => {
    const [, event = "", data = ""] = /event: (\w+)\ndata: (.*)$/.exec(block) ?? [];
    return event === "" ? [] : [{ event, data: JSON.parse(data) }];
  });
}

Deno.test("?follow=false ends after the latest changes of the period", async () => {
  await using api = await ApiFixture.open();
  await using reader = await Client.open(api);
  await reader.present();
  for (const name of ["a.service", "b.service", "c.service"]) {
    await api.put(name);
    await reader.event();
  }
  const names = async (query: string) => (await past(api, query)).map(({ event, data }) => data.name ?? event);
  const all = await names("?since=10m&follow=false");
  assert.deepEqual(all, ["a.service", "b.service", "c.service", "partial", "synced"]);
  assert.deepEqual((await names("?since=10m&follow=false&limit=1"))[0], "c.service");
  assert.deepEqual((await names("?since=10m&follow=false&unit=b.service"))[0], "b.service");
});

Deno.test("?follow=false needs a period and a sensible limit", async () => {
  await using api = await ApiFixture.open();
  const reasons = {
    "?follow=false": "follow=false needs a period, such as since=1h",
    "?follow=false&since=117": "follow=false needs a period, such as since=1h",
    "?follow=no": 'invalid follow "no": expect true or false',
    "?limit=5": "limit needs follow=false",
    "?follow=false&since=1h&limit=many": 'invalid limit "many": expect a number up to 10000',
    "?follow=false&since=1h&limit=10001": 'invalid limit "10001": expect a number up to 10000',
  };
  for (const [query, reason] of Object.entries(reasons)) {
    const answer = await api.send("GET", path + query);
    assert.deepEqual([answer.code, answer.text.trim()], [400, errorText(400, reason)], query);
  }
});

Deno.test("a daemon gets the events of the past from the daemon of the leading engine", async () => {
  const stream = 'event: unit\ndata: {"name":"old.service","time":1}\n\nevent: synced\ndata: {"revision":9}\n\n';
  const asked: [url: string, path: string, headers: Readonly<Record<string, string>>][] = [];
  const headers = { "Fleet-Past": "true" };
  let answer = (_: AbortSignal) => new Response(stream, { headers });
  const localMachine = {
    id: () => "m2",
    fetchPeer: (url: string, path: string, headers: Readonly<Record<string, string>>, signal: AbortSignal) => {
      asked.push([url, path, headers]);
      return Promise.resolve(answer(signal));
    },
  } as Partial<LocalMachine> as LocalMachine;
  await using api = await ApiFixture.open({ localMachine });
  await api.join("engine", "10.0.0.1", {}, "http://10.0.0.1:49153");
  await api.schedule();
  const query = "?since=1h&follow=false&unit=old.service";
  assert.deepEqual((await past(api, query)).map(({ event }) => event), ["unit", "synced"]);
  assert.deepEqual(asked, [["http://10.0.0.1:49153", path + query, { "Fleet-Passed-On": "m2" }]]);
  // A leader that has begun to watch after this daemon knows less.
  const since = (answer: readonly { event: string; data: { since?: number } }[]) =>
    answer.find(({ event }) => event === "partial")?.data.since ?? 0;
  {
    await using reader = await Client.open(api);
    await reader.present();
    await api.put("late.service");
    for (const [leader_ms, expected] of [[Date.now() + 60_000, "late.service"], [1, "old.service"]] as const) {
      const partial = `event: partial\ndata: {"reason":"","since":${leader_ms}}\n\n`;
      answer = () => new Response(stream + partial, { headers });
      const events = await past(api, "?since=1h&follow=false&kind=unit");
      assert.equal(events.find(({ event }) => event === "unit")?.data.name, expected);
      assert.ok(since(events) <= Date.now());
    }
  }
  asked.length = 1;
  // Without the leader, this daemon answers by what it knows itself.
  let isCancelled = false;
  const endless = new ReadableStream({ cancel: () => void (isCancelled = true) });
  for (const body of ["{}", endless]) {
    answer = () => new Response(body, body === endless ? {} : { status: 503 });
    assert.deepEqual((await past(api, query)).map(({ event }) => event), ["partial", "synced"]);
  }
  assert.ok(isCancelled, "an older daemon sends a stream without an end");
  // A leader that loses its power in the middle of its answer.
  answer = (signal) => {
    const start = (controller: ReadableStreamDefaultController) =>
      signal.addEventListener("abort", () => controller.error(signal.reason), { once: true });
    return new Response(new ReadableStream({ start }), { headers });
  };
  assert.deepEqual((await past(api, query)).map(({ event }) => event), ["partial", "synced"]);
  const passedOn = { "Fleet-Passed-On": "m3" };
  assert.match((await api.send("GET", path + query, { headers: passedOn })).text, /^event: partial/m);
  assert.equal(asked.length, 4, "a forwarded request is not forwarded again");
});
