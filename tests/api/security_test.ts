/** Attacks of hostile clients: paths, framing, sizes, slowness, JSON; and random requests. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as dial } from "node:net";
import fc from "fast-check";
import "../support/property_seed.ts";
import type { Peer } from "../../daemon/api/handler.ts";
import type { LocalMachine } from "../../daemon/api/machine/port.ts";
import { ApiFixture, errorText } from "../support/api_fixture.ts";
import {
  answerOf,
  ask,
  connect,
  loopback,
  network,
  readUntil,
  ServerFixture,
  talk,
  write,
  written,
} from "./server_fixture.ts";

const json = { "Content-Type": "application/json" };

interface Setting {
  readonly api: ApiFixture;
  readonly servers: ServerFixture;
  readonly address: string;
}

async function withServer(work: (setting: Setting) => Promise<void>): Promise<void> {
  await using api = await ApiFixture.open();
  await using servers = new ServerFixture();
  const { addresses } = await servers.serve(api.handler, loopback);
  await api.put("a.service");
  await work({ api, servers, address: addresses[0]! });
}

const rest = `Host: localhost\r\n`;

Deno.test("no path leads outside the API", async (test) => {
  await withServer(async ({ address }) => {
    const paths: readonly (readonly [path: string, code: number])[] = [
      ["/fleet/v1/units/../../../etc/passwd", 301],
      ["/fleet/v1/units/%2e%2e/%2e%2e/etc/passwd", 301],
      ["/fleet/v1/units/..%2f..%2fetc%2fpasswd", 301],
      ["/fleet/v1/units/a%00.service", 404],
      ["/fleet/v1/units/a.service%0d%0aX-Injected:%20yes", 404],
      ["/fleet/v1/units/%ff%fe", 404],
      ["/fleet/v1/units/%c0%ae%c0%ae", 404],
      ["/fleet/v1/units/\\..\\a.service", 404],
      ["/fleet/v1/units/a.service;x=y", 404],
      ["/fleet/v1/units/__proto__", 404],
      ["/fleet/v1/units/constructor", 404],
      ["/fleet/v1/__proto__", 404],
      ["/fleet/v1/constructor", 404],
      ["/fleet/v1/units/a.service/__proto__", 404],
      ["/fleet/v1/units/a.service/toString", 404],
      ["http://localhost/fleet/v1/units/a.service", 200],
      ["http://localhost:80@evil.example/fleet/v1/units/a.service", 403],
      ["//evil.example/fleet/v1/units", 301],
      ["/\\evil.example/", 404],
      ["?x", 400],
    ];
    for (const [path, code] of paths) {
      await test.step(path, async () => {
        const answer = await ask(address, { path });
        assert.equal(answer.code, code, answer.head + answer.body);
        const location = /\r\nlocation: ([^\r]*)/i.exec(answer.head)?.[1];
        if (code === 301) assert.match(location ?? "", /^\/(?![/\\])/, "the redirect stays on this server");
        assert.doesNotMatch(answer.head, /x-injected/i);
      });
    }
  });
});

Deno.test("requests that two servers could parse differently (request smuggling)", async (test) => {
  await withServer(async ({ api, address }) => {
    const put = `PUT /fleet/v1/units/s.service HTTP/1.1\r\n${rest}Content-Type: application/json\r\n`;
    const inner = `DELETE /fleet/v1/units/a.service HTTP/1.1\r\n${rest}\r\n`;
    const cases: Readonly<Record<string, string>> = {
      "a length and chunks": `${put}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${inner}`,
      "chunks and a length": `${put}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n${inner}`,
      "two lengths": `${put}Content-Length: 0\r\nContent-Length: ${inner.length}\r\n\r\n${inner}`,
      "two lengths in one": `${put}Content-Length: 0, ${inner.length}\r\n\r\n${inner}`,
      "a length with a sign": `${put}Content-Length: +0\r\n\r\n${inner}`,
      "a negative length": `${put}Content-Length: -1\r\n\r\n${inner}`,
      "a length in hexadecimal": `${put}Content-Length: 0x0\r\n\r\n${inner}`,
      "chunks twice": `${put}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n${inner}`,
      "another coding": `${put}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${inner}`,
      "space before the colon": `${put}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n${inner}`,
      "a folded header": `${put}X: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n${inner}`,
      "a chunk of absurd length": `${put}Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n${inner}`,
      "bare line feeds": `${put}Content-Length: 0\nX: y\r\n\r\n${inner}`,
      "a null byte in a header": `${put}X: a\0b\r\nContent-Length: 0\r\n\r\n${inner}`,
      "chunks twice in one": `${put}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n${inner}`,
      "chunks behind another coding": `${put}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n${inner}`,
      "chunks of another coding": `${put}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n${inner}`,
      "chunks of another coding, in two headers":
        `${put}Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${inner}`,
      "chunks in HTTP/1.0": `${put.replace("1.1", "1.0")}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n${inner}`,
      "a vertical tab in a coding": `${put}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n${inner}`,
      "a carriage return alone": `${put}X: y\rContent-Length: 0\r\n\r\n${inner}`,
      "a chunk length with a sign": `${put}Transfer-Encoding: chunked\r\n\r\n-1\r\n${inner}`,
      "a chunk that is longer than its length": `${put}Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n${inner}`,
      "a space before the name of a header": `${put} Content-Length: 0\r\n\r\n${inner}`,
      "a length behind the chunks": `${put}Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 0\r\n\r\n${inner}`,
      "an invalid version": `PUT /fleet/v1/units/s.service HTTP/9.9\r\n${rest}\r\n${inner}`,
      "no version": `GET /fleet/v1/units\r\n\r\n${inner}`,
    };
    for (const [name, bytes] of Object.entries(cases)) {
      await test.step(name, async () => {
        const text = await talk(address, bytes);
        assert.match(text, /^HTTP\/1\.1 (4\d\d|501) /, text.slice(0, 300));
        assert.equal(
          (await api.send("GET", "/fleet/v1/units/a.service")).code,
          200,
          "the smuggled request had no effect",
        );
      });
    }
    const bodies: Readonly<Record<string, string>> = {
      "the body of a GET": `GET /healthz HTTP/1.1\r\n${rest}Content-Length: ${inner.length}\r\n\r\n${inner}`,
      "the chunks of a GET": `GET /healthz HTTP/1.1\r\n${rest}Transfer-Encoding: chunked\r\n\r\n${
        inner.length.toString(16)
      }\r\n${inner}\r\n0\r\n\r\n`,
    };
    for (const [name, bytes] of Object.entries(bodies)) {
      await test.step(`${name} is no request`, async () => {
        const text = await talk(address, bytes + written({ path: "/fleet/v1/units/a.service" }));
        assert.deepEqual([...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, code]) => code), ["200", "200"], text);
      });
    }
    await test.step("a second host on the same connection", async () => {
      const first = `GET /healthz HTTP/1.1\r\n${rest}\r\n`;
      const text = await talk(address, first + written({ path: "/fleet/v1/units", host: "evil.example" }));
      assert.deepEqual([...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, code]) => code), ["200", "403"], text);
    });
    await test.step("two hosts", async () => {
      const text = await talk(address, `GET / HTTP/1.1\r\n${rest}Host: evil.example\r\nConnection: close\r\n\r\n`);
      assert.equal(answerOf(text).code, 400);
    });
    const oddities: readonly (readonly [name: string, bytes: string, code: number, says: string])[] = [
      ["no host", "GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n", 400, "expected 1 Host, got 0"],
      ["a tunnel", `CONNECT evil.example:80 HTTP/1.1\r\n${rest}\r\n`, 405, "CONNECT is not supported"],
      ["an unknown method", `FOO /fleet/v1/units HTTP/1.1\r\n${rest}\r\n`, 400, "malformed HTTP request"],
      ["a method in small letters", `get /fleet/v1/units HTTP/1.1\r\n${rest}\r\n`, 400, "malformed HTTP request"],
    ];
    for (const [name, bytes, code, says] of oddities) {
      await test.step(name, async () => {
        const answer = answerOf(await talk(address, bytes));
        assert.deepEqual([answer.code, answer.body], [code, errorText(code, says)]);
        assert.match(answer.head, /\r\nserver: fleetd\//i);
      });
    }
    for (const sent of ["CONNECT x:1 HTTP/1.1\r\nHost: localhost\r\n\r\n", "BLAH blah\r\n\r\n"]) {
      await test.step(`a client that keeps its side open is disconnected: ${sent.slice(0, 7)}`, async () => {
        const client = dial({ port: Number(address.split(":").at(-1)), host: "127.0.0.1", allowHalfOpen: true });
        client.on("error", () => {});
        client.write(sent);
        client.resume();
        await once(client, "end");
        // The kernel resets the connection only if the server has closed both directions.
        const closed = new Promise((resolve) => client.once("close", resolve));
        const timer = setInterval(() => client.write("x"), 10);
        await closed;
        clearInterval(timer);
      });
    }
    await test.step("a client that requests a tunnel and resets the connection does no harm", async () => {
      for (let turn = 0; turn < 20; turn++) {
        const client = dial(Number(address.split(":").at(-1)), "127.0.0.1");
        client.write(`CONNECT evil.example:80 HTTP/1.1\r\n${rest}\r\n`);
        await once(client, "data");
        client.resetAndDestroy();
        await once(client, "close");
      }
      assert.equal((await ask(address, { path: "/healthz" })).body, "ok");
    });
    await test.step("no host in HTTP/1.0", async () => {
      assert.equal(answerOf(await talk(address, "GET /healthz HTTP/1.0\r\n\r\n")).body, "ok");
    });
    await test.step("an unknown expectation is ignored", async () => {
      const answer = answerOf(await talk(address, written({ path: "/healthz", headers: { Expect: "wonders" } })));
      assert.equal(answer.body, "ok");
    });
  });
});

Deno.test("slow, large and numerous requests are refused", async (test) => {
  await using api = await ApiFixture.open();
  await using servers = new ServerFixture();
  const limits = { headers_ms: 300, request_ms: 600, idle_ms: 300, check_ms: 100, connections: 20 };
  const { addresses: [address] } = await servers.serve(api.handler, loopback, undefined, limits);
  const put = `PUT /fleet/v1/units/s.service HTTP/1.1\r\n${rest}Content-Type: application/json\r\n`;
  const cases: Readonly<Record<string, readonly [sent: string, code: number]>> = {
    "a header that does not end": ["GET / HTTP/1.1\r\nHost: localhost\r\nX: y", 408],
    "a body that does not end": [`${put}Content-Length: 10\r\n\r\n{`, 408],
    "chunks that do not end": [`${put}Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n`, 408],
    "a long header": [`GET / HTTP/1.1\r\n${rest}X: ${"y".repeat(40_000)}\r\n\r\n`, 431],
    "a long path": [`GET /${"y".repeat(40_000)} HTTP/1.1\r\n${rest}\r\n`, 431],
    "many headers": [`GET / HTTP/1.1\r\n${rest}${"name: value\r\n".repeat(10_000)}\r\n`, 431],
    "a body that is announced too long": [`${put}Connection: close\r\nContent-Length: 99999999\r\n\r\n{`, 413],
  };
  for (const [name, [sent, code]] of Object.entries(cases)) {
    await test.step(name, async () => {
      const answer = answerOf(await talk(address!, sent));
      assert.equal(answer.code, code, answer.head);
    });
  }
  await test.step("silent connections are closed", async () => {
    assert.equal((await talk(address!, "")).slice(0, 12), "HTTP/1.1 408");
    using connection = await connect(address!);
    await write(connection, `GET /healthz HTTP/1.1\r\n${rest}\r\n`);
    assert.match(await readUntil(connection, () => false), /^HTTP\/1\.1 200 OK/);
  });
  await test.step("a connection beyond the limit is refused", async () => {
    const open: Deno.Conn[] = [];
    try {
      for (let index = 0; index < 20; index++) open.push(await connect(address!));
      for (const connection of open) {
        await write(connection, "GET /fleet/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
      }
      for (const connection of open) await readUntil(connection, (text) => text.includes("synced"));
      const answer = await ask(address!, { path: "/healthz" });
      assert.equal(answer.body, errorText(503, "too many connections (20)"));
    } finally {
      for (const connection of open) connection.close();
    }
  });
  await test.step("each kind of socket has a limit of its own", async () => {
    const kinds = [servers.unix(), loopback, network];
    const server = await servers.serve(api.handler, kinds, { policy: { insecure: true } }, { connections: 2 });
    const open: Deno.Conn[] = [];
    const asked = (kind: number) => ask(server.addresses[kind]!, { path: "/healthz" });
    try {
      for (let index = 0; index < 2; index++) open.push(await connect(server.addresses[2]!));
      for (const connection of open) {
        await write(connection, "GET /fleet/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
      }
      for (const connection of open) await readUntil(connection, (text) => text.includes("synced"));
      assert.equal((await asked(2)).body, errorText(503, "too many connections (2)"));
      assert.deepEqual([(await asked(0)).code, (await asked(1)).code], [200, 200]);
    } finally {
      for (const connection of open) connection.close();
    }
  });
  await test.step("a connection beyond twice the limit is not accepted", async () => {
    const { addresses: [address] } = await servers.serve(api.handler, loopback, undefined, { connections: 2 });
    const open: Deno.Conn[] = [];
    try {
      for (let index = 0; index < 4; index++) open.push(await connect(address!));
      assert.equal(await talk(address!, written({ path: "/healthz" })), "");
    } finally {
      for (const connection of open) connection.close();
    }
  });
  await test.step("the server recovers", async () => {
    for (let turn = 0;; turn++) {
      if ((await ask(address!, { path: "/healthz" })).code === 200) break;
      assert.ok(turn < 1000);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  });
});

Deno.test("memory stays flat under bodies that do not end", async () => {
  await withServer(async ({ address }) => {
    const open: Deno.Conn[] = [];
    const before_bytes = Deno.memoryUsage().rss;
    try {
      // 200 MB in all, of which no more than 64 may be held.
      for (let index = 0; index < 200; index++) {
        const connection = await connect(address);
        open.push(connection);
        const head = `PUT /fleet/v1/units/s.service HTTP/1.1\r\n${rest}Content-Type: application/json\r\n`;
        await write(connection, `${head}Content-Length: 1048576\r\n\r\n${" ".repeat(1_000_000)}`);
      }
      assert.ok(Deno.memoryUsage().rss - before_bytes < 300 * 1024 * 1024);
      const codes = new Map<Deno.Conn, number>();
      const enough = Promise.withResolvers<void>();
      const all = open.map(async (connection) => {
        const answer = answerOf(await readUntil(connection, (text) => text.endsWith("}")));
        codes.set(connection, answer.code);
        if (codes.size === 133) enough.resolve();
      });
      await enough.promise;
      const refused = [...codes.keys()];
      for (const connection of refused) assert.equal(codes.get(connection), 503);
      // The bodies that are held may be finished; the other connections are closed.
      for (const connection of open) if (!codes.has(connection)) await write(connection, " ".repeat(48_576));
      await Promise.all(all);
      assert.ok([...codes.values()].includes(400));
      for (const connection of refused) await readUntil(connection, () => false);
      assert.equal((await ask(address, { path: "/fleet/v1/units" })).code, 200);
    } finally {
      for (const connection of open) connection.close();
    }
  });
});

Deno.test("hostile JSON is refused or harmless", async (test) => {
  await withServer(async ({ api, address }) => {
    const deep = (open: string, close: string, depth: number) => open.repeat(depth) + close.repeat(depth);
    const bodies: Readonly<Record<string, string>> = {
      "deep lists": deep("[", "]", 400_000),
      "deep lists without end": "[".repeat(900_000),
      "deep objects": `${'{"a":'.repeat(150_000)}1${"}".repeat(150_000)}`,
      "deep options": `{"options":[{"name":${deep("[", "]", 400_000)}}]}`,
      "a prototype": '{"__proto__":{"options":[{"section":"A","name":"B","value":"c"}],"desiredState":"launched"}}',
      "a constructor": '{"constructor":{"prototype":{"polluted":true}},"toString":1,"hasOwnProperty":2}',
      "a prototype among options": '{"options":[{"__proto__":{"section":"A","name":"B"}}],"desiredState":"x"}',
      "a number beyond all limits": '{"name":1e999}',
      "many keys": `{${Array.from({ length: 50_000 }, (_, index) => `"k${index}":0`).join(",")}}`,
      "keys that differ in case only": '{"NAME":"b.service","name":"c.service","Name":"d.service"}',
      "invalid Unicode": '{"name":"\\ud800"}',
      "much text": `{"desiredState":"${"x".repeat(900_000)}"}`,
    };
    for (const [name, body] of Object.entries(bodies)) {
      for (const [method, path] of [["PUT", "/fleet/v1/units/a.service"], ["PATCH", "/fleet/v1/machines"]] as const) {
        await test.step(`${method}: ${name}`, async () => {
          const answer = await ask(address, { method, path, headers: json, body });
          assert.ok([400, 409].includes(answer.code), answer.head + answer.body.slice(0, 300));
          assert.ok(answer.body.length < 2_000_000);
        });
      }
    }
    assert.equal((Object.prototype as { polluted?: boolean }).polluted, undefined);
    assert.deepEqual(JSON.parse((await api.send("GET", "/fleet/v1/units")).text).units.length, 1);
    assert.deepEqual(api.logged, []);
  });
});

const word = fc.constantFrom(
  ...["fleet", "v1", "v1-alpha", "units", "state", "machines", "events", "discovery", "openapi.json", "restart"],
  ...[
    "stop",
    "explain",
    "journal",
    "status",
    "healthz",
    "readyz",
    "a.service",
    "b@.service",
    "..",
    ".",
    "",
    "%2F",
    "%zz",
    "%00",
  ],
  ...["__proto__", "constructor", "store", "accept", "metrics", "\\x2d.mount", "*", "toString"],
);
const path = fc.array(fc.oneof({ weight: 4, arbitrary: word }, fc.string()), { maxLength: 6 })
  .map((segments) => "/" + segments.join("/"));
const likely = fc.tuple(
  fc.constantFrom("/fleet/v1/", "/v1-alpha/"),
  fc.constantFrom(
    ...["units", "units/a.service", "units/n.service", "state", "machines", "state/a.service", "events"],
    ...["restart", "stop", "explain", "journal", "status"].map((what) => `units/a.service/${what}`),
    ...["store/accept", "openapi.json", "discovery"],
  ),
).map((parts) => parts.join(""));
const query = fc.array(
  fc.tuple(
    fc.constantFrom("nextPageToken", "unitName", "machineID", "since", "unit", "kind", "lines", "follow", "alt", "x"),
    fc.oneof(fc.string(), fc.constantFrom("ZAACAA==", "ZAABAA==", "AAAA", "1", "true", "machine", "")),
  ),
  { maxLength: 3 },
).map((pairs) => pairs.length > 0 ? "?" + pairs.map(([name, value]) => `${name}=${value}`).join("&") : "");
const state = fc.oneof(fc.constantFrom("inactive", "loaded", "launched", ""), fc.string(), fc.anything());
const options = fc.array(
  fc.record({
    section: fc.oneof(fc.constantFrom("Unit", "Service", "X-Fleet", "Install", ""), fc.string()),
    name: fc.oneof(fc.constantFrom("ExecStart", "Conflicts", "Global", "MachineOf", "Replaces", ""), fc.string()),
    value: fc.oneof(
      fc.string({ unit: "binary" }),
      fc.constantFrom("true", "*.service", "[", "\n[X-Fleet]\nGlobal=true"),
    ),
  }, { requiredKeys: [] }),
  { maxLength: 5 },
);
const operations = fc.array(
  fc.record({
    op: fc.oneof(fc.constantFrom("add", "replace", "remove"), fc.anything()),
    path: fc.oneof(fc.constantFrom("/m1/metadata/k", "/m2/metadata/__proto__"), fc.string()),
    value: fc.oneof(fc.string({ unit: "binary" }), fc.record({ value: fc.anything() }), fc.anything()),
  }, { requiredKeys: [] }),
  { maxLength: 3 },
);
const body = fc.oneof(
  fc.record({ name: fc.oneof(fc.constant("a.service"), fc.anything()), desiredState: state, options }, {
    requiredKeys: [],
  }),
  operations,
  fc.jsonValue(),
).map((value) => JSON.stringify(value) ?? "");
const bytes = fc.oneof({ weight: 5, arbitrary: body }, fc.string(), fc.constant(undefined));

const anyRequest = fc.record({
  method: fc.constantFrom("GET", "PUT", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS", "BREW"),
  target: fc.tuple(fc.oneof(path, likely), query).map((parts) => parts.join("")),
  body: bytes,
  contentType: fc.oneof({ weight: 5, arbitrary: fc.constant("application/json") }, fc.constantFrom(null, "text/plain")),
  headers: fc.dictionary(
    fc.constantFrom("accept", "last-event-id", "fleet-passed-on", "range", "if-none-match", "expect", "te", "upgrade"),
    fc.oneof(
      fc.stringMatching(/^[\x20-\x7e]*$/),
      fc.constantFrom("application/json", "0", "-1", "1e9", "bytes=0-", "*", "100-continue", "__proto__"),
    ),
  ),
});

/** A machine with short answers. */
const localMachine: LocalMachine = {
  id: () => "m1",
  journal: () => new Blob(["a line\n"]).stream(),
  statusText: () => Promise.resolve("active\n"),
  statusProperties: () => Promise.resolve({}),
  usage: () => Promise.resolve({}),
  verify: () => Promise.resolve(undefined),
  fetchPeer: () => Promise.reject(new Error("no peer exists")),
};

Deno.test("no random request causes an internal error or damages the cluster", async () => {
  await using api = await ApiFixture.open({
    localMachine,
    metrics: () => Promise.resolve("# none\n"),
    acceptStore: () => Promise.resolve({ refusal: "the store has not changed" }),
  });
  await api.join("m1");
  await api.put("a.service", "launched");
  await fc.assert(
    fc.asyncProperty(anyRequest, async ({ method, target, body, contentType, headers }) => {
      const closing = new AbortController();
      closing.abort();
      const peer: Peer = { target, closing: closing.signal };
      const hasBody = body !== undefined && !["GET", "HEAD"].includes(method);
      const answer = await api.send(method, target, { contentType, headers, peer, ...(hasBody ? { body } : {}) });
      assert.ok(answer.code >= 200 && answer.code < 500, `${answer.code} ${answer.text}`);
      if (answer.code >= 400) {
        const { error } = JSON.parse(answer.text);
        assert.equal(error.code, answer.code);
        assert.equal(typeof error.message, "string");
      }
      for (const list of ["units", "state", "machines"]) {
        assert.equal((await api.send("GET", `/fleet/v1/${list}`)).code, 200);
      }
    }),
    { numRuns: 1500 },
  );
  assert.deepEqual(api.logged.filter((line) => !/unrecognized (requirement|section)/.test(line)), []);
});

Deno.test("the server survives random bytes", async () => {
  await using api = await ApiFixture.open();
  await using servers = new ServerFixture();
  // Short limits: incomplete requests are not waited for.
  const limits = { headers_ms: 100, request_ms: 100, idle_ms: 100, check_ms: 50 };
  const { addresses: [address] } = await servers.serve(api.handler, loopback, undefined, limits);
  const line = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.constantFrom("Host: localhost", "Content-Length: 3", "\0", ""),
  );
  const head = fc.tuple(
    fc.constantFrom("GET / HTTP/1.1", "PUT /fleet/v1/units/a.service HTTP/1.1", "x"),
    fc.array(line),
  )
    .map(([first, lines]) => [first, ...lines].join("\r\n") + "\r\n\r\n");
  await fc.assert(
    fc.asyncProperty(fc.oneof(head, fc.string({ unit: "binary" })), async (text) => {
      const answer = await talk(address!, text);
      assert.ok(answer === "" || /^HTTP\/1\.1 [234]\d\d /.test(answer), answer.slice(0, 200));
    }),
    { numRuns: 60 },
  );
  assert.equal(answerOf(await talk(address!, written({ path: "/healthz" }))).code, 200);
});
