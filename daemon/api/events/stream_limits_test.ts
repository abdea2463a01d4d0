/** The event stream: slow readers, and how many there may be. */

import assert from "node:assert/strict";
import { ApiFixture, errorText } from "../../../tests/support/api_fixture.ts";
import type { Cluster } from "../../../registry/model.ts";
import { StoreUnavailableError } from "../../../registry/mod.ts";
import { maxStreams } from "../shared_state.ts";
import { Client, path } from "../../../tests/support/event_client.ts";

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

/** Asserts that a stream ends next, because its reader was too slow. */
async function assertDropped(client: Client): Promise<void> {
  assert.equal(
    await client.event(),
    'reset {"reason":"the reader was too slow, and the events after this one are lost: connect again"}',
  );
  assert.equal(await client.event(), undefined);
}

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
  await assertDropped(slow);
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
  await assertDropped(slow);
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
