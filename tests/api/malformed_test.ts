/** Requests followed by malformed bytes. */

import assert from "node:assert/strict";
import { ApiFixture, errorText } from "../support/api_fixture.ts";
import { makeAuthority } from "./authority.ts";
import { connect, loopback, network, readUntil, ServerFixture, talk, write } from "./server_fixture.ts";

const head = "HTTP/1.1\r\nHost: localhost\r\n";
const get = (path: string) => `GET ${path} ${head}\r\n`;
const unit = '{"options":[{"section":"Service","name":"ExecStart","value":"/bin/true"}]}';
const put = (name: string) =>
  `PUT /fleet/v1/units/${name} ${head}Content-Type: application/json\r\nContent-Length: ${unit.length}\r\n\r\n${unit}`;
const remove = (name: string) => `DELETE /fleet/v1/units/${name} ${head}\r\n`;
const chunked =
  `PUT /fleet/v1/units/c.service ${head}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`;

const codes = (text: string) => [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, code]) => Number(code));

const cases: readonly (readonly [name: string, sent: string, codes: readonly number[]])[] = [
  ["a deletion with a body of unknown length", `${remove("a.service")}{}`, [204, 400]],
  ["a read", `${get("/fleet/v1/units")}{}`, [200, 400]],
  ["a failure", `${get("/fleet/v1/units/none.service")}GARBAGE\r\n\r\n`, [404, 400]],
  ["several pipelined requests", `${put("p.service")}${get("/fleet/v1/units/p.service")}${remove("p.service")}{}`, [
    ...[201, 200, 204, 400],
  ]],
  ["a header that is too long", `${get("/healthz")}GET / ${head}X: ${"y".repeat(40_000)}\r\n\r\n`, [200, 431]],
  ["a tunnel", `${put("t.service")}${remove("t.service")}CONNECT x:1 ${head}\r\n`, [201, 204, 405]],
  ["a request with a malformed body", `${put("b.service")}${get("/healthz")}${chunked}zz\r\n`, [201, 200, 400]],
  ["an event stream", `${get("/fleet/v1/events")}{}`, [200, 400]],
  ["malformed bytes alone", "{}\r\n\r\n", [400]],
  ["a malformed body alone", `${chunked}zz\r\n`, [400]],
];

Deno.test("malformed bytes do not lose the answers to the requests before them", async (test) => {
  const authority = await makeAuthority();
  try {
    for (const kind of ["unix", "loopback", "TLS"]) {
      await using api = await ApiFixture.open();
      await using servers = new ServerFixture();
      const server = kind === "TLS"
        ? await servers.serve(api.handler, network, {
          policy: { clientCertificates: true },
          tls: { ...authority.server, clientCa: authority.ca },
        })
        : await servers.serve(api.handler, kind === "unix" ? servers.unix() : loopback);
      const tls = kind === "TLS" ? { ca: authority.ca, shows: authority.trusted } : undefined;
      for (const [name, sent, expected] of cases) {
        await test.step(`${kind}: ${name}`, async () => {
          if (name.startsWith("a deletion")) await api.put("a.service");
          const text = await talk(server.addresses[0]!, sent, tls);
          assert.deepEqual(codes(text), expected, text);
          if (expected.at(-1) === 400) assert.ok(text.endsWith(errorText(400, "malformed HTTP request")), text);
        });
      }
      await test.step(`${kind}: malformed bytes that come while a request is handled`, async () => {
        await api.put("a.service");
        using connection = await connect(server.addresses[0]!, tls);
        await write(connection, remove("a.service"));
        await write(connection, "{}");
        await write(connection, "more\r\n\r\nGET / HTTP/1.1\r\n\r\n");
        assert.deepEqual(codes(await readUntil(connection, () => false)), [204, 400]);
      });
      await server.close();
    }
  } finally {
    await Deno.remove(authority.directory, { recursive: true });
  }
});
