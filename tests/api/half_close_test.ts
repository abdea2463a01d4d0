/** Clients that half-close their connection (shutdown(2), `nc -N`, socat) before they have their responses. */

import assert from "node:assert/strict";
import type { LocalMachine } from "../../daemon/api/machine/port.ts";
import { ApiFixture } from "../support/api_fixture.ts";
import { makeAuthority } from "./authority.ts";
import { type ClientTls, connect, loopback, network, readUntil, ServerFixture, write } from "./server_fixture.ts";

const head = "HTTP/1.1\r\nHost: localhost\r\n";
const get = (path: string) => `GET ${path} ${head}\r\n`;
const put = (name: string, body: string, length = body.length) =>
  `PUT /fleet/v1/units/${name} ${head}Content-Type: application/json\r\nContent-Length: ${length}\r\n\r\n${body}`;
const unit = '{"options":[{"section":"Service","name":"ExecStart","value":"/bin/true"}]}';

/** Sends bytes, half-closes the connection, and reads until the server closes its side. */
async function sendAll(address: string, text: string, tls?: ClientTls): Promise<string> {
  using connection = await connect(address, tls);
  await write(connection, text);
  await connection.closeWrite();
  return await readUntil(connection, () => false);
}

/** Returns machine m1, whose journals come in two pieces, the second after `goOn()`; a followed journal has no end. */
function slowMachine(): { readonly localMachine: LocalMachine; readonly goOn: () => void; open: number } {
  const { promise, resolve: goOn } = Promise.withResolvers<void>();
  const bytes = (text: string) => new TextEncoder().encode(text);
  const self = {
    goOn,
    open: 0,
    localMachine: {
      id: () => "m1",
      journal: ({ follow }) => {
        self.open++;
        return new ReadableStream({
          start: (controller) => controller.enqueue(bytes("first\n")),
          pull: async (controller) => {
            if (follow) return;
            await promise;
            self.open--;
            controller.enqueue(bytes("last\n"));
            controller.close();
          },
          cancel: () => void self.open--,
        });
      },
      statusText: (name) => Promise.resolve(name),
      statusProperties: () => Promise.resolve({}),
      usage: () => Promise.resolve({ units: [] }),
      verify: () => Promise.resolve(undefined),
      fetchPeer: () => Promise.reject(new Error("no peer exists")),
    } satisfies LocalMachine,
  };
  return self;
}

const codes = (text: string) => [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, code]) => Number(code));

Deno.test("a half-closed client still receives its responses", async (test) => {
  const authority = await makeAuthority();
  try {
    for (const kind of ["unix", "loopback", "TLS"]) {
      await using api = await ApiFixture.open();
      await using servers = new ServerFixture();
      const tls = { ca: authority.ca, shows: authority.trusted };
      const server = kind === "TLS"
        ? await servers.serve(api.handler, network, {
          policy: { clientCertificates: true },
          tls: { ...authority.server, clientCa: authority.ca },
        })
        : await servers.serve(api.handler, kind === "unix" ? servers.unix() : loopback);
      const send = (text: string) => sendAll(server.addresses[0]!, text, kind === "TLS" ? tls : undefined);
      await test.step(`${kind}: one request`, async () => {
        assert.match(await send(get("/fleet/v1/units")), /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\n\{\}$/);
      });
      await test.step(`${kind}: pipelined requests`, async () => {
        const text = await send(put("a.service", unit) + get("/fleet/v1/units/a.service") + get("/fleet/v1/none"));
        assert.deepEqual(codes(text), [201, 200, 404]);
      });
      await test.step(`${kind}: an incomplete request has no effect`, async () => {
        assert.deepEqual(codes(await send(`GET / ${head}`)), []);
        assert.deepEqual(codes(await send(put("half.service", unit, unit.length + 1))), []);
        assert.equal((await api.send("GET", "/fleet/v1/units/half.service")).code, 404);
        assert.deepEqual(
          [...api.logged, ...servers.logged].filter((line) => !/was answered|prefer a unix socket/.test(line)),
          [],
        );
      });
      await test.step(`${kind}: a client that has sent nothing is disconnected`, async () => {
        assert.equal(await send(""), "");
      });
      await test.step(`${kind}: an event stream ends`, async () => {
        assert.match(await send(get("/fleet/v1/events")), /^HTTP\/1\.1 200 OK\r\n[^]*\r\n0\r\n\r\n$/);
      });
      await server.close();
    }
  } finally {
    await Deno.remove(authority.directory, { recursive: true });
  }
});

Deno.test("a half-closed client gets a journal to its end, and a followed journal ends at once", async () => {
  const slow = slowMachine();
  await using api = await ApiFixture.open({ localMachine: slow.localMachine });
  await api.join("m1", "10.0.0.1");
  await api.put("a.service", "launched");
  await api.place("a.service", "m1");
  await using servers = new ServerFixture();
  const { addresses: [address] } = await servers.serve(api.handler, servers.unix());
  const journal = "/fleet/v1/units/a.service/journal";

  using patient = await connect(address!);
  await write(patient, get(journal));
  await patient.closeWrite();
  await readUntil(patient, (text) => text.includes("first"));
  // The server has seen the half-close of the first connection by the time it answers the second one.
  assert.match(await sendAll(address!, get(`${journal}?follow=1`)), /\r\nfirst\n\r\n0\r\n\r\n$/);
  assert.equal(slow.open, 1);
  slow.goOn();
  assert.match(await readUntil(patient, () => false), /last\n\r\n0\r\n\r\n$/);
  assert.equal(slow.open, 0);
});
