import assert from "node:assert/strict";
import { connect, readUntil, ServerFixture, talk, write } from "../../../tests/api/server_fixture.ts";
import type { Handler } from "../handler.ts";

const request = (method: string, connection = "close") =>
  `${method} /x HTTP/1.1\r\nHost: localhost\r\nConnection: ${connection}\r\n\r\n`;

/** Serves `handler` on a socket and calls `work` with its address. */
async function serving(
  handler: Handler,
  work: (address: string, servers: ServerFixture) => Promise<void>,
): Promise<void> {
  await using servers = new ServerFixture();
  const { addresses } = await servers.serve(handler, servers.unix());
  await work(addresses[0]!, servers);
}

Deno.test("method and headers of a request are converted", async () => {
  const received: unknown[] = [];
  const handler: Handler = ({ method, headers }) => {
    received.push([method, headers.get("x-twice"), headers.get("origin"), headers.get("x-latin")]);
    return Promise.resolve(new Response(null, { status: 204 }));
  };
  await serving(handler, async (address) => {
    await talk(
      address,
      request("PUT").replace("\r\n\r\n", "\r\nX-Twice: a\r\nx-twice: b\r\nOrigin: o\r\nX-Latin:  y \r\n\r\n"),
    );
    await talk(address, request("M-SEARCH"));
  });
  assert.deepEqual(received, [["PUT", "a, b", "o", "y"], ["M-SEARCH", null, null, null]]);
});

Deno.test("a method that the Fetch API forbids is refused", async () => {
  await serving(() => Promise.reject(new Error("not to be called")), async (address) => {
    assert.match(await talk(address, request("TRACE")), /^HTTP\/1\.1 405 [^]*"TRACE is not supported"/);
  });
});

Deno.test("names of headers are in the usual case, and each Set-Cookie is a header of its own", async () => {
  const headers: [string, string][] = [["set-cookie", "a=1"], ["set-cookie", "b=2"], ["x-one-two", "3"]];
  await serving(() => Promise.resolve(new Response(null, { headers })), async (address) => {
    const text = await talk(address, request("GET"));
    assert.match(text, /\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-One-Two: 3\r\n/);
  });
});

Deno.test("responses without a body have none", async (test) => {
  await test.step("a response to HEAD", async () => {
    const handler: Handler = () => Promise.resolve(new Response("body", { headers: { "Content-Length": "4" } }));
    await serving(handler, async (address) => {
      assert.match(await talk(address, request("HEAD")), /^HTTP\/1\.1 200 [^]*\r\nContent-Length: 4\r\n[^]*\r\n\r\n$/);
    });
  });
  for (const status of [204, 304]) {
    await test.step(String(status), async () => {
      await serving(() => Promise.resolve(new Response(null, { status })), async (address) => {
        const text = await talk(address, request("GET"));
        assert.match(text, new RegExp(`^HTTP/1\\.1 ${status} [^]*\\r\\n\\r\\n$`));
        assert.doesNotMatch(text, /Content-Length|Transfer-Encoding/);
      });
    });
  }
});

Deno.test("headers are sent before a stream has its first piece", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const body = new ReadableStream({
    pull: async (controller) => {
      await promise;
      controller.enqueue(new TextEncoder().encode("late"));
      controller.close();
    },
  });
  await serving(() => Promise.resolve(new Response(body)), async (address) => {
    using connection = await connect(address);
    await write(connection, request("GET"));
    assert.match(await readUntil(connection, (text) => text.endsWith("\r\n\r\n")), /^HTTP\/1\.1 200 /);
    resolve();
    assert.equal(await readUntil(connection, () => false), "4\r\nlate\r\n0\r\n\r\n");
  });
});

Deno.test("a body that fails breaks the response off, and is logged", async () => {
  const body = () =>
    new ReadableStream({
      start: (controller) => controller.enqueue(new TextEncoder().encode("begun")),
      pull: () => Promise.reject(new Error("the source is lost")),
    }, { highWaterMark: 0 });
  await serving(() => Promise.resolve(new Response(body())), async (address, servers) => {
    const text = await talk(address, request("GET"));
    assert.match(text, /\r\n\r\n(5\r\nbegun\r\n)?$/, "the last chunk is missing");
    assert.deepEqual(servers.logged, ["a response broke off the source is lost"]);
  });
});

Deno.test("a handler that fails is answered with 500, and is logged", async () => {
  await serving(() => Promise.reject(new Error("a defect")), async (address, servers) => {
    assert.match(await talk(address, request("GET", "keep-alive")), /^HTTP\/1\.1 500 [^]*"message":"a defect"/);
    assert.deepEqual(servers.logged, ["a request could not be handled a defect"]);
  });
});

Deno.test("a client that disconnects cancels the body and aborts the request", async () => {
  const canceled = Promise.withResolvers<void>();
  const aborted = Promise.withResolvers<void>();
  const handler: Handler = ({ signal }) => {
    signal.addEventListener("abort", () => aborted.resolve());
    const body = new ReadableStream({
      pull: (controller) => controller.enqueue(new Uint8Array(64 * 1024)),
      cancel: () => canceled.resolve(),
    });
    return Promise.resolve(new Response(body));
  };
  await serving(handler, async (address) => {
    const connection = await connect(address);
    await write(connection, request("GET"));
    await readUntil(connection, (text) => text.length > 64 * 1024);
    connection.close();
    await canceled.promise;
    await aborted.promise;
  });
});

Deno.test("the request of a complete response is not aborted", async () => {
  let signal: AbortSignal | undefined;
  const handler: Handler = (request) => {
    signal = request.signal;
    return Promise.resolve(new Response("done"));
  };
  await serving(handler, async (address) => {
    await talk(address, request("GET"));
    assert.equal(signal?.aborted, false);
  });
});

Deno.test("a body is read no faster than its client takes it", async () => {
  const piece = new Uint8Array(1024 * 1024);
  const count = 64;
  let read = 0;
  let idle = Promise.withResolvers<void>();
  const body = new ReadableStream({
    pull: (controller) => {
      controller.enqueue(piece);
      if (++read === count) controller.close();
      idle.resolve();
    },
  }, { highWaterMark: 0 });
  await serving(() => Promise.resolve(new Response(body)), async (address) => {
    using connection = await connect(address);
    await write(connection, request("GET"));
    // The kernel's buffers take the first pieces; then nothing more is read until the client reads.
    for (let before = -1; before !== read;) {
      await idle.promise;
      before = read;
      idle = Promise.withResolvers();
      const timer = setTimeout(idle.resolve, 100);
      await idle.promise;
      clearTimeout(timer);
    }
    assert.ok(read < count / 2, `${read} MiB of ${count} were read`);
    const text = await readUntil(connection, () => false);
    assert.ok(text.length > count * piece.length);
    assert.ok(text.endsWith("\r\n0\r\n\r\n"));
    assert.equal(read, count);
  });
});
