/** Limits of requests, the refusals beyond them, and a daemon whose memory does not grow. All over real sockets. */

import assert from "node:assert/strict";
import { ApiFixture, errorText } from "../support/api_fixture.ts";
import {
  answerOf,
  ask,
  connect,
  loopback,
  type RawAnswer,
  readUntil,
  ServerFixture,
  write,
  written,
} from "./server_fixture.ts";

const json = { "Content-Type": "application/json" };
const option = '{"section":"Service","name":"ExecStart","value":"/bin/true"}';
const options = (count: number) => `{"options":[${Array(count).fill(option).join()}]}`;
const operations = (count: number, value = "v") =>
  `[${Array(count).fill(`{"op":"add","path":"/m/metadata/k","value":"${value}"}`).join()}]`;
const unitFile = (lines: number) =>
  `{"options":[${
    Array(lines).fill(`{"section":"Service","name":"Environment","value":"${"x".repeat(1000)}"}`).join()
  }]}`;
const name = (length: number) => "x".repeat(length - ".service".length) + ".service";

/** A limit: a request just within it, a request beyond it, and the message of the refusal. */
interface Limit {
  readonly limit: string;
  readonly method?: string;
  readonly path?: string;
  readonly within: { readonly path?: string; readonly body?: string; readonly code: number };
  readonly beyond: { readonly path?: string; readonly body?: string; readonly code: number };
  readonly says: string;
}

const unit = "/fleet/v1/units/u.service";
const mebibyte = 1024 * 1024;

const limits: readonly Limit[] = [
  {
    limit: "body",
    within: { body: " ".repeat(mebibyte - 2) + "{}", code: 409 },
    beyond: { body: " ".repeat(mebibyte - 1) + "{}", code: 413 },
    says: "unable to decode body: request body exceeds maximum length (1048576)",
  },
  {
    limit: "options of a unit",
    within: { body: options(4096), code: 201 },
    beyond: { body: options(4097), code: 400 },
    says: "unable to decode body: expected options to have at most 4096 items",
  },
  {
    limit: "unit file",
    within: { body: unitFile(250), code: 201 },
    beyond: { body: unitFile(270), code: 400 },
    says: "unit file exceeds maximum length (262144)",
  },
  {
    limit: "unit name",
    within: { path: `/fleet/v1/units/${name(256)}`, body: options(1), code: 201 },
    beyond: { path: `/fleet/v1/units/${name(257)}`, body: options(1), code: 400 },
    says: "unit name exceeds maximum length (256)",
  },
  {
    ...{ limit: "metadata operations", method: "PATCH", path: "/fleet/v1/machines" },
    within: { body: operations(1000), code: 204 },
    beyond: { body: operations(1001), code: 400 },
    says: "expected body to have at most 1000 items",
  },
  {
    ...{ limit: "metadata value", method: "PATCH", path: "/fleet/v1/machines" },
    within: { body: operations(1, "v".repeat(4096)), code: 204 },
    beyond: { body: operations(1, "v".repeat(4097)), code: 400 },
    says: "invalid value: exceeds maximum length (4096)",
  },
  {
    ...{ limit: "journal lines", method: "GET" },
    // The server is on no machine, which has no journals; the number of lines is checked first.
    within: { path: `${unit}/journal?lines=100000`, code: 501 },
    beyond: { path: `${unit}/journal?lines=100001`, code: 400 },
    says: 'invalid lines "100001": expect a whole number up to 100000',
  },
  {
    ...{ limit: "request header", method: "GET" },
    within: { path: `/fleet/v1/units?${"x".repeat(31 * 1024)}`, code: 200 },
    beyond: { path: `/fleet/v1/units?${"x".repeat(33 * 1024)}`, code: 431 },
    says: "request header exceeds maximum length (32768)",
  },
];

/** True if a response with a Content-Length is complete. */
function isWhole(text: string): boolean {
  const { head, body } = answerOf(text);
  if (!text.includes("\r\n\r\n")) return false;
  return body.length >= Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0);
}

Deno.test("each limit: a request within it passes, a request beyond it is refused", async (test) => {
  for (const kind of ["unix", "tcp"]) {
    await using api = await ApiFixture.open();
    await using servers = new ServerFixture();
    const { addresses: [address] } = await servers.serve(api.handler, kind === "unix" ? servers.unix() : loopback);
    for (const { limit, method = "PUT", path = unit, within, beyond, says } of limits) {
      const send = async ({ body, ...rest }: Limit["within"]): Promise<RawAnswer> => {
        const request = { method, path: rest.path ?? path, ...(body === undefined ? {} : { body, headers: json }) };
        // The connection stays open until the response has come, so that the server reads the whole body.
        using connection = await connect(address!);
        await write(connection, written(request).replace("Connection: close\r\n", ""));
        return answerOf(await readUntil(connection, isWhole));
      };
      await test.step(`${kind}: ${limit}`, async () => {
        const passed = await send(within);
        assert.equal(passed.code, within.code, passed.body);
        const refused = await send(beyond);
        assert.deepEqual([refused.code, refused.body], [beyond.code, errorText(beyond.code, says)]);
      });
    }
  }
});

Deno.test("pipelined requests", async (test) => {
  await using api = await ApiFixture.open();
  await using servers = new ServerFixture();
  const { addresses: [address] } = await servers.serve(api.handler, servers.unix());
  const get = (index: number) => `GET /fleet/v1/units/${index}.service HTTP/1.1\r\nHost: x\r\n\r\n`;
  const many = (count: number) => Array.from({ length: count }, (_, index) => get(index)).join("");
  const talked = async (text: string) => {
    using connection = await connect(address!);
    await write(connection, text);
    return await readUntil(connection, () => false);
  };
  await test.step("pipelined requests are handled one after the other", async () => {
    const body = `{"options":[${option}]}`;
    const put = written({ method: "PUT", path: unit, headers: json, body }).replace("Connection: close\r\n", "");
    const text = await talked(put + written({ path: unit, headers: { "X-Turn": "2" } }));
    assert.match(text, /^HTTP\/1\.1 201 [^]*HTTP\/1\.1 200 [^]*"name":"u\.service"/);
  });
  await test.step("up to 64 pipelined requests may wait", async () => {
    const text = await talked(many(64) + written({ path: "/healthz" }));
    assert.equal(text.match(/HTTP\/1\.1 404 /g)?.length, 64);
    assert.match(text, /HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nok$/);
  });
  await test.step("one more request is refused, and gets the last response", async () => {
    const text = await talked(many(70));
    assert.equal(text.match(/HTTP\/1\.1 404 /g)?.length, 65);
    assert.ok(text.endsWith(errorText(503, "too many requests wait on this connection (64)")), text.slice(-300));
  });
  await test.step("far more requests close the connection", async () => {
    // If the connection stayed open, the surplus request would be refused in the end.
    assert.doesNotMatch(await talked(many(5000)), /too many requests wait/);
  });
});

/** A program that serves the API, and its resident memory after a garbage collection at /resident. */
const program = `
import { ApiFixture } from ${JSON.stringify(new URL("../support/api_fixture.ts", import.meta.url).href)};
import { textReply } from ${JSON.stringify(new URL("../../daemon/api/http/responses.ts", import.meta.url).href)};
import { loopback, ServerFixture } from ${JSON.stringify(new URL("./server_fixture.ts", import.meta.url).href)};
await using api = await ApiFixture.open();
await using servers = new ServerFixture();
await api.join("m1");
for (const index of Array(100).keys()) await api.put("u" + index + ".service");
const handler = (request, peer) => {
  if (peer.target !== "/resident") return api.handler(request, peer);
  for (let turn = 0; turn < 3; turn++) gc();
  return Promise.resolve(textReply(200, String(Deno.memoryUsage().rss)));
};
const { addresses: [address] } = await servers.serve(handler, loopback);
console.log(address);
await Deno.stdin.read(new Uint8Array(1));
`;

const head = (length: number) =>
  `PUT /fleet/v1/units/s.service HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n`;

/** Attacks: the bytes that a connection sends, the number of connections, and the response that it waits for. */
const abuses: readonly (readonly [name: string, times: number, sent: (turn: number) => string, until?: RegExp])[] = [
  ["bodies that stop before their end", 40, () => head(mebibyte) + " ".repeat(mebibyte - 10)],
  ["deep lists", 6, () => head(900_000) + "[".repeat(900_000), /^HTTP\/1\.1 400 /],
  ["many keys", 4, () => {
    const body = `{${Array.from({ length: 60_000 }, (_, index) => `"k${index}":0`).join()}}`;
    return head(body.length) + body;
  }, /^HTTP\/1\.1 409 /],
  ["bodies that are too long", 20, () => head(4 * mebibyte) + " ".repeat(2 * mebibyte), /^HTTP\/1\.1 413 /],
  ["headers that are too long", 100, () => `GET / HTTP/1.1\r\nX: ${"y".repeat(60_000)}`, /^HTTP\/1\.1 431 /],
  ["headers that do not end", 100, () => `GET / HTTP/1.1\r\nX: ${"y".repeat(30_000)}`],
  ["streams that no client reads", 100, () => "GET /fleet/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n"],
  ["responses that no client reads", 10, () => "GET /fleet/v1/units HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(500)],
  [
    "names that are new each time",
    20,
    (turn) =>
      Array.from(
        { length: 60 },
        (_, index) =>
          `GET /fleet/v1/units/${turn}-${index}-${crypto.randomUUID()}.service/explain HTTP/1.1\r\nHost: localhost\r\n\r\n`,
      )
        .join("") + written({ path: "/healthz" }),
    /\r\n\r\nok$/,
  ],
  ["foreign hosts", 50, () => written({ path: "/", host: `${crypto.randomUUID()}.example` }), /^HTTP\/1\.1 403 /],
];

async function abuse(address: string): Promise<void> {
  for (const [, times, sent, expected] of abuses) {
    await Promise.all(Array.from({ length: times }, async (_, turn) => {
      using connection = await connect(address);
      await write(connection, sent(turn));
      if (expected) assert.match(await readUntil(connection, (text) => expected.test(text)), expected);
    }));
  }
}

Deno.test("whenOver calls back after the response is sent, or after the client has disconnected", async () => {
  await using servers = new ServerFixture();
  let over = 0;
  const reached = Promise.withResolvers<void>();
  const { promise: gone, resolve: leave } = Promise.withResolvers<void>();
  const { addresses: [address] } = await servers.serve(async (_request, { target, closing, whenOver } = {}) => {
    if (target === "/late") {
      const left = new Promise((resolve) => closing!.addEventListener("abort", resolve));
      reached.resolve();
      await left;
    }
    whenOver!(() => {
      over++;
      if (target === "/late") leave();
    });
    return new Response("x");
  }, servers.unix());
  await ask(address!, { path: "/" });
  assert.equal(over, 1);
  const connection = await connect(address!);
  await write(connection, "GET /late HTTP/1.1\r\nHost: x\r\n\r\n");
  await reached.promise;
  connection.close();
  await gone;
  assert.equal(over, 2);
});

Deno.test("a long body in chunks of one byte is refused, other chunked bodies are read", async (test) => {
  await using api = await ApiFixture.open();
  await using servers = new ServerFixture();
  const { addresses: [address] } = await servers.serve(api.handler, loopback);
  const put = (name: string) =>
    `PUT /fleet/v1/units/${name}.service HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n` +
    "Transfer-Encoding: chunked\r\n\r\n";
  await test.step("a long body in chunks of one byte", async () => {
    using connection = await connect(address!);
    await write(connection, put("crumbs") + "1\r\n \r\n".repeat(200_000));
    assert.equal(await readUntil(connection, () => false), "");
  });
  await test.step("a short body in chunks of one byte", async () => {
    using connection = await connect(address!);
    const pieces = [...options(100)].map((byte) => `1\r\n${byte}\r\n`).join("");
    await write(connection, `${put("pieces")}${pieces}0\r\n\r\n`);
    assert.equal(answerOf(await readUntil(connection, isWhole)).code, 201);
  });
  await test.step("a long body in chunks of a hundred bytes", async () => {
    using connection = await connect(address!);
    const pieces = unitFile(250).replaceAll(/.{1,100}/g, (piece) => `${piece.length.toString(16)}\r\n${piece}\r\n`);
    await write(connection, `${put("long")}${pieces}0\r\n\r\n`);
    assert.equal(answerOf(await readUntil(connection, isWhole)).code, 201);
  });
});

Deno.test("resident memory stays flat under attacks", async () => {
  const config = new URL("../../deno.json", import.meta.url).pathname;
  await using servers = new ServerFixture();
  await Deno.writeTextFile(`${servers.directory}/program.ts`, program);
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "-A", "--no-check", "--v8-flags=--expose-gc", "--config", config],
      `${servers.directory}/program.ts`,
    ],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const output = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const address = (await output.read()).value!.trim();
  const resident_mb = async () => Number((await ask(address, { path: "/resident" })).body) / mebibyte;
  // A warm-up: buffers, compiled code and the heap's size stay.
  for (let round = 0; round < 3; round++) await abuse(address);
  const before_mb = await resident_mb();
  // Half a gigabyte of requests, and as much of responses.
  for (let round = 0; round < 3; round++) await abuse(address);
  const after_mb = await resident_mb();
  assert.ok(after_mb - before_mb < 100, `${before_mb.toFixed(0)} MB before, ${after_mb.toFixed(0)} MB after`);
  await child.stdin.close();
  while (!(await output.read()).done);
  assert.equal((await child.status).code, 0);
});
