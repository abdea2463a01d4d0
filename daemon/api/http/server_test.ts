import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { ApiFixture, errorText } from "../../../tests/support/api_fixture.ts";
import { connect, loopback, readUntil, ServerFixture, talk, write } from "../../../tests/api/server_fixture.ts";
import { version } from "../../../runtime/version.ts";
import type { Handler } from "../handler.ts";
import { textReply } from "./responses.ts";
import type { Server } from "./server.ts";

const hello: Handler = (_request, peer) => Promise.resolve(textReply(200, `hello ${peer?.target}`));

/** Returns the path of a socket file or another file of a fixture. */
const pathOf = (servers: ServerFixture, name = "fleet.sock") => `${servers.directory}/${name}`;

/** Returns the port of a server on TCP. */
const portOf = (server: Server) => Number(server.addresses[0]?.split(":").at(-1));

const get = (path: string, host = "localhost") => `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;

Deno.test("the API over sockets", async (test) => {
  await using api = await ApiFixture.open();
  await using servers = new ServerFixture();
  await api.put("a\\x2db.service");
  for (const spec of [loopback, servers.unix()]) {
    const server = await servers.serve(api.handler, spec);
    await test.step(`${spec.kind}: the address is reported`, () => {
      const expected = spec.kind === "unix" ? `unix:${spec.path}` : `127.0.0.1:${portOf(server)}`;
      assert.deepEqual(server.addresses, [expected]);
    });
    await test.step(`${spec.kind}: a response`, async () => {
      const answer = await talk(server.addresses[0]!, get("/fleet/v1/units"));
      assert.match(answer, /^HTTP\/1.1 200 OK\r\n/);
      assert.match(answer, /\r\nserver: fleetd\/1\.2\.3\r\n/i);
      assert.match(answer, /\r\n\r\n\{"units":\[\{.*\}\]\}$/);
    });
    await test.step(`${spec.kind}: unit names and hosts that no URL can hold`, async () => {
      for (const host of ["", ...spec.kind === "unix" ? ["domain_sock", "/var/run/fleet.sock"] : []]) {
        assert.match(
          await talk(server.addresses[0]!, get("/fleet/v1/units/a\\x2db.service", host)),
          /^HTTP\/1.1 200 OK\r\n/,
        );
      }
    });
    await test.step(`${spec.kind}: the log names the client and the request`, async () => {
      const before = servers.logged.length;
      await talk(server.addresses[0]!, get("/fleet/v1/units").replace("GET", "DELETE"));
      const [line, ...rest] = servers.logged.slice(before);
      assert.deepEqual(rest, []);
      const client = spec.kind === "unix" ? `unix ${Deno.pid} ${Deno.uid()} ${Deno.gid()}` : "127\\.0\\.0\\.1:\\d+";
      assert.match(line!, new RegExp(`^an API request was answered ${client}  DELETE /fleet/v1/units 405$`));
    });
    await test.step(`${spec.kind}: a path that is not canonical`, async () => {
      const answer = await talk(server.addresses[0]!, get("/fleet/v1/x/..//units"));
      assert.match(answer, /^HTTP\/1.1 301 Moved Permanently\r\n/);
      assert.match(answer, /\r\nlocation: \/fleet\/v1\/units\r\n/i);
    });
    await test.step(`${spec.kind}: headers are written as fleet 1.0 writes them`, async () => {
      const moved = await talk(server.addresses[0]!, get("/fleet/v1/x/..//units"));
      assert.match(moved, /\r\nLocation: \/fleet\/v1\/units\r\n/);
      const list = await talk(server.addresses[0]!, get("/fleet/v1/units"));
      for (const name of ["Content-Type: application/json", "Server: fleetd/1.2.3", "Content-Length: ", "Date: "]) {
        assert.ok(list.includes(`\r\n${name}`), list);
      }
      assert.doesNotMatch(list.split("\r\n\r\n")[0]!, /\r\n[a-z]/, "no name is in lower case");
    });
    await test.step(`${spec.kind}: HTML characters are escaped in JSON`, async () => {
      await api.put("html.service", "inactive", "[Service]\nExecStart=/bin/sh -c 'a <b >c && d'");
      const unit = await talk(server.addresses[0]!, get("/fleet/v1/units/html.service"));
      assert.match(unit, /'a \\u003cb \\u003ec \\u0026\\u0026 d'/);
      const refusal = await talk(server.addresses[0]!, get("/fleet/v1/events?kind=%3Cb%3E%26"));
      assert.match(refusal, /\\u003cb\\u003e\\u0026/);
      for (const text of [unit, refusal]) assert.doesNotMatch(text.split("\r\n\r\n")[1]!, /[<>&\u2028]/);
      await api.send("DELETE", "/fleet/v1/units/html.service");
    });
    await test.step(`${spec.kind}: HEAD is not supported`, async () => {
      const answer = await talk(server.addresses[0]!, get("/fleet/v1/units").replace("GET", "HEAD"));
      assert.match(answer, /^HTTP\/1.1 405 Method Not Allowed\r\n/);
      assert.match(answer, /\r\n\r\n$/);
    });
    await test.step(`${spec.kind}: several requests on one connection, with bodies and without`, async () => {
      using connection = await connect(server.addresses[0]!);
      const body = '{"desiredState":"loaded"}';
      const requests: readonly (readonly [request: string, answer: RegExp])[] = [
        [
          `PUT /fleet/v1/units/a%5Cx2db.service HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
          /^HTTP\/1.1 204 No Content\r\n/,
        ],
        [
          `PUT /fleet/v1/units/a%5Cx2db.service HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n${
            body.length.toString(16)
          }\r\n${body}\r\n0\r\n\r\n`,
          /^HTTP\/1.1 204 No Content\r\n/,
        ],
        [
          "PUT /fleet/v1/units/a.service HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
          /expected 1 Content-Type, got 2/,
        ],
        [
          "PUT /fleet/v1/units/a.service HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}",
          /expected 1 Content-Type, got 0/,
        ],
        ["GET /fleet/v1/state HTTP/1.1\r\nHost: localhost\r\n\r\n", /\{\}$/],
      ];
      for (const [request, expected] of requests) {
        await write(connection, request);
        const answer = await readUntil(connection, (text) => /\r\n\r\n[^]*\}$|^HTTP\/1.1 204[^]*\r\n\r\n$/.test(text));
        assert.match(answer, expected);
      }
    });
    await test.step(`${spec.kind}: a chunked body that grows beyond the limit`, async () => {
      const head = "PUT /fleet/v1/units/a.service HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" +
        "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
      const answer = await talk(
        server.addresses[0]!,
        head + `${(1024 * 1024 + 1).toString(16)}\r\n${"x".repeat(1024 * 1024 + 1)}\r\n0\r\n\r\n`,
      );
      assert.match(answer, /^HTTP\/1.1 413 /);
    });
  }
});

Deno.test("bytes that are no HTTP request are refused, and the connection is closed", async (test) => {
  await using servers = new ServerFixture();
  const server = await servers.serve(hello, loopback);
  const cases: readonly (readonly [name: string, sent: string, status: string, body: string])[] = [
    ["garbage", "GARBAGE\r\n\r\n", "400 Bad Request", errorText(400, "malformed HTTP request")],
    ["another protocol", "\x16\x03\x01\x02\x00\x01\x00", "400 Bad Request", errorText(400, "malformed HTTP request")],
    [
      "an endless header",
      `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${"y".repeat(100_000)}\r\n\r\n`,
      "431 Request Header Fields Too Large",
      errorText(431, "request header exceeds maximum length (32768)"),
    ],
  ];
  for (const [name, sent, status, body] of cases) {
    await test.step(name, async () => {
      const answer = await talk(server.addresses[0]!, sent);
      assert.ok(answer.startsWith(`HTTP/1.1 ${status}\r\nServer: fleetd/${version}\r\n`), answer);
      assert.ok(answer.endsWith(`\r\n\r\n${body}`), answer);
    });
  }
  await test.step("the next connection is served", async () => {
    assert.match(await talk(server.addresses[0]!, get("/x")), /hello \/x$/);
  });
});

Deno.test("socket files", async (test) => {
  await using servers = new ServerFixture();
  await test.step("a socket file is created for its owner only, and removed at the end", async () => {
    const server = await servers.serve(hello, servers.unix());
    const { isSocket, mode } = Deno.lstatSync(pathOf(servers));
    assert.deepEqual([isSocket, mode! & 0o777], [true, 0o600]);
    await server.close();
    assert.ok(!existsSync(pathOf(servers)));
  });
  await test.step("a socket file without a listener is replaced", async () => {
    await leaveSocketFile(pathOf(servers));
    const server = await servers.serve(hello, servers.unix());
    assert.match(await talk(server.addresses[0]!, get("/x")), /hello \/x$/);
    assert.deepEqual(servers.logged, [
      `removing the socket file of a process that has ended ${pathOf(servers)}`,
    ]);
    await server.close();
  });
  await test.step("a socket file with a listener stays", async () => {
    const first = await servers.serve(hello, servers.unix());
    await assert.rejects(servers.serve(hello, servers.unix()), {
      message: `cannot listen on unix:${pathOf(servers)}: another program listens there: stop it, or name another path`,
    });
    assert.match(await talk(first.addresses[0]!, get("/x")), /hello \/x$/);
    await first.close();
  });
  await test.step("a file that is no socket stays", async () => {
    Deno.writeTextFileSync(pathOf(servers), "precious");
    await assert.rejects(servers.serve(hello, servers.unix()), {
      message: `cannot listen on unix:${
        pathOf(servers)
      }: the path is a file, and not a socket: name another path, or remove the file`,
    });
    assert.equal(Deno.readTextFileSync(pathOf(servers)), "precious");
    Deno.removeSync(pathOf(servers));
  });
});

/** Leaves a socket file behind as a killed process does. */
async function leaveSocketFile(path: string): Promise<void> {
  const program = `require("node:net").createServer().listen(${
    JSON.stringify(path)
  }, () => process.kill(process.pid, "SIGKILL"))`;
  const { signal } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--ext=cjs", program],
    stdout: "null",
    stderr: "null",
  }).output();
  assert.equal(signal, "SIGKILL");
  assert.ok(Deno.lstatSync(path).isSocket);
}

Deno.test("an address in use by another program is refused", async () => {
  await using servers = new ServerFixture();
  const taken = await servers.serve(hello, loopback);
  const port = portOf(taken);
  await assert.rejects(servers.serve(hello, [servers.unix(), { kind: "tcp", host: "127.0.0.1", port }]), {
    message: `cannot listen on 127.0.0.1:${port}: another program listens there: stop it, or name another address`,
  });
  assert.ok(!existsSync(pathOf(servers)), "the sockets opened before are closed again");
});

Deno.test("a file descriptor that is no socket is refused", async () => {
  await using servers = new ServerFixture();
  await assert.rejects(
    servers.serve(hello, { kind: "fd", fd: 999 }),
    /^Error: cannot serve on file descriptor 999: systemd passes/,
  );
});

Deno.test("closing", async (test) => {
  await using servers = new ServerFixture();
  await test.step("event streams and idle connections end at once", async () => {
    await using api = await ApiFixture.open();
    const server = await servers.serve(api.handler, loopback);
    using unused = await connect(server.addresses[0]!);
    using stream = await connect(server.addresses[0]!);
    await write(stream, "GET /fleet/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await readUntil(stream, (text) => text.includes("event: synced"));
    const closed = server.close();
    assert.match(
      await readUntil(stream, () => false),
      /\r\n0\r\n\r\n$|^0\r\n\r\n$/,
      "the stream ends with its last chunk",
    );
    assert.equal(await readUntil(unused, () => false), "");
    await closed;
  });
  await test.step("a pending response is finished", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const arrived = Promise.withResolvers<void>();
    const server = await servers.serve(async () => {
      arrived.resolve();
      await promise;
      return textReply(200, "done");
    }, loopback);
    using connection = await connect(server.addresses[0]!);
    await write(connection, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await arrived.promise;
    const closed = server.close();
    resolve();
    assert.match(await readUntil(connection, () => false), /\r\n\r\ndone$/);
    await closed;
  });
  await test.step("a response that does not come in time is dropped", async () => {
    const arrived = Promise.withResolvers<void>();
    const never = Promise.withResolvers<Response>();
    const server = await servers.serve(() => {
      arrived.resolve();
      return never.promise;
    }, loopback);
    using connection = await connect(server.addresses[0]!);
    await write(connection, get("/"));
    await arrived.promise;
    const closed = server.close();
    assert.equal(await readUntil(connection, () => false), "");
    await closed;
    never.resolve(new Response());
  });
  await test.step("a second call has no effect, and no connection is accepted", async () => {
    const server = await servers.serve(hello, loopback);
    const port = portOf(server);
    await Promise.all([server.close(), server.close()]);
    await assert.rejects(Deno.connect({ hostname: "127.0.0.1", port }), Deno.errors.ConnectionRefused);
  });
});

Deno.test("a client that disconnects ends its stream's watch", async () => {
  await using api = await ApiFixture.open();
  await using servers = new ServerFixture();
  const ended = Promise.withResolvers<void>();
  const watch = async function* (signal: AbortSignal) {
    try {
      yield* api.registry.watch(signal);
    } finally {
      ended.resolve();
    }
  };
  const server = await servers.serve(
    api.handlerOver(Object.create(api.registry, { watch: { value: watch } })),
    loopback,
  );
  const connection = await connect(server.addresses[0]!);
  await write(connection, "GET /fleet/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
  await readUntil(connection, (text) => text.includes("event: synced"));
  connection.close();
  await ended.promise;
});

/** A program that serves on inherited sockets, prints their addresses, and closes at the end of its input. */
const program = `
import { inheritedSockets, serve } from ${JSON.stringify(new URL("./server.ts", import.meta.url).href)};
import { textReply } from ${JSON.stringify(new URL("./responses.ts", import.meta.url).href)};
import { systemClock as clock } from ${JSON.stringify(new URL("../../host/system_clock.ts", import.meta.url).href)};
const handler = (_request, peer) => Promise.resolve(textReply(200, "hello " + peer.target));
const server = await serve({ handler, listen: inheritedSockets(), credentials: { policy: {} }, log: () => {}, clock });
console.log(JSON.stringify(server.addresses));
await Deno.stdin.read(new Uint8Array(1));
await server.close();
console.log("closed");
`;

/** Returns a port that was free a moment ago. */
async function freePort(servers: ServerFixture): Promise<number> {
  const server = await servers.serve(hello, loopback);
  await server.close();
  return portOf(server);
}

Deno.test("sockets that systemd passes, unix and TCP", async (test) => {
  await using servers = new ServerFixture();
  const cache = Deno.env.get("DENO_DIR");
  const config = new URL("../../../deno.json", import.meta.url).pathname;
  const script = pathOf(servers, "program.ts");
  Deno.writeTextFileSync(script, program);
  const child = new Deno.Command("systemd-socket-activate", {
    args: [
      ...[
        "--listen",
        pathOf(servers, "one.sock"),
        "--listen",
        `127.0.0.1:${await freePort(servers)}`,
        "--listen",
        pathOf(servers, "two.sock"),
      ],
      ...(cache ? ["--setenv", `DENO_DIR=${cache}`] : []),
      ...[Deno.execPath(), "run", "-A", "--config", config, script],
    ],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const errors = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
  const output = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  for (let output = ""; !output.includes("two.sock");) {
    const { done, value } = await errors.read();
    assert.ok(!done, output);
    output += value;
  }
  // systemd-socket-activate starts the program at the first connection, which waits for it.
  const unix = (name: string) => `unix:${pathOf(servers, name)}`;
  assert.match(await talk(unix("one.sock"), get("/one")), /hello \/one$/);
  const addresses = JSON.parse((await output.read()).value ?? "") as string[];
  await test.step("inherited TCP sockets have their address, unix sockets their descriptor", () => {
    assert.deepEqual(addresses.map((each) => each.replace(/\d+$/, "N")), ["fd:N", "127.0.0.1:N", "fd:N"]);
  });
  await test.step("all inherited sockets are served", async () => {
    assert.match(await talk(unix("two.sock"), get("/two")), /hello \/two$/);
    assert.match(await talk(addresses[1]!, get("/three")), /hello \/three$/);
  });
  await test.step("inherited socket files stay at the end: they belong to systemd", async () => {
    const stdin = child.stdin.getWriter();
    await stdin.close();
    assert.equal((await output.read()).value, "closed\n");
    assert.ok(Deno.lstatSync(pathOf(servers, "one.sock")).isSocket);
    assert.ok(Deno.lstatSync(pathOf(servers, "two.sock")).isSocket);
  });
  assert.equal((await child.status).code, 0);
  while (!(await errors.read()).done);
  while (!(await output.read()).done);
});
