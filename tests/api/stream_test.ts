/** Event streams over real sockets: many at once, and clients that do not read. */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { serve } from "../../daemon/api/http/server.ts";
import { ApiFixture } from "../support/api_fixture.ts";
import { ManualClock } from "../support/manual_clock.ts";
import { ask, connect, loopback, readUntil, ServerFixture, write } from "./server_fixture.ts";

const subscribe = "GET /fleet/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n";

Deno.test("a thousand clients receive an event, and the daemon serves others meanwhile", async () => {
  await using api = await ApiFixture.open();
  await using servers = new ServerFixture();
  const { addresses: [address] } = await servers.serve(api.handler, servers.unix());
  await api.put("first.service");
  const readers: Deno.Conn[] = [];
  try {
    for (let index = 0; index < 1_000; index++) {
      const reader = await connect(address!);
      readers.push(reader);
      await write(reader, subscribe);
    }
    await Promise.all(readers.map((reader) => readUntil(reader, (text) => text.includes("event: synced"))));
    const received = readers.map((reader) => readUntil(reader, (text) => text.includes("second.service")));
    await api.put("second.service");
    for (const text of await Promise.all(received)) assert.match(text, /event: unit\ndata: \{[^\n]*"second.service"/);
    assert.equal((await ask(address!, { path: "/fleet/v1/units" })).code, 200);
  } finally {
    for (const reader of readers) reader.close();
  }
});

Deno.test("a client that takes nothing is disconnected, and delays no other", async () => {
  const clock = new ManualClock();
  await using api = await ApiFixture.open();
  const server = await serve({
    ...{ handler: api.handler, listen: [loopback], credentials: { policy: {} }, clock },
    log: () => {},
  });
  try {
    using stalled = await connect(server.addresses[0]!);
    using awake = await connect(server.addresses[0]!);
    await write(stalled, subscribe);
    await write(awake, subscribe);
    await readUntil(awake, (text) => text.includes("event: synced"));
    // More than the socket buffers hold: an event has all metadata of its machine.
    const value = Buffer.alloc(4096, "x").toString();
    await api.join("m1");
    for (let index = 0; index < 60; index++) {
      const operations = Array.from({ length: 20 }, (_, key) => ({
        ...{ op: "add", path: `/m1/metadata/k${key}`, value: `${index}-${value}`.slice(0, 4096) },
      }));
      await api.send("PATCH", "/fleet/v1/machines", { body: operations });
      await readUntil(awake, (text) => text.includes(`"k19":"${index}-`));
    }
    for (let turn = 0; turn < 15; turn++) {
      clock.advance(5_000);
      await ManualClock.settle();
    }
    const received = await readUntil(stalled, () => false);
    assert.ok(received.length > 0 && !received.endsWith("0\r\n\r\n"), "the stream was cut off");
    await api.put("last.service");
    assert.match(await readUntil(awake, (text) => text.includes("last.service")), /event: unit/);
  } finally {
    await server.close();
  }
});
