import assert from "node:assert/strict";
import type { ApiRequest } from "./client.ts";
import { terminal } from "../terminal/deno.ts";
import { connect } from "./http.ts";
import { pageProxy } from "./page_proxy.ts";

const host = "127.0.0.1:8080";
const key = "c0ffee";
const bearer = { authorization: `Bearer ${key}` };

function open(answer: () => Response = () => new Response("{}", { headers: { "content-type": "application/json" } })) {
  const sent: [path: string, request: ApiRequest][] = [];
  const handle = pageProxy(
    (path, { signal: _, ...request }) => {
      sent.push([path, request]);
      return Promise.resolve(answer());
    },
    host,
    key,
  );
  const ask = (method: string, path: string, headers: Record<string, string> = {}, body?: string) => {
    const request = new Request(`http://${host}${path}`, { method, ...body !== undefined && { body } });
    // Request drops headers that pages may not set; a server receives them all the same.
    Object.defineProperty(request, "headers", { value: new Headers({ host, ...headers }) });
    return handle(request);
  };
  return { sent, ask };
}

Deno.test("the page is served to a browser without the key, the API is not", async () => {
  const { ask, sent } = open();
  assert.equal((await ask("GET", "/ui/main.js")).status, 200);
  for (const headers of [{}, { authorization: "Bearer c0ffe0" }, { authorization: "Bearer" }]) {
    const answer = await ask("GET", "/fleet/v1/units", headers as Record<string, string>);
    assert.equal(answer.status, 401);
    assert.match(await answer.text(), /whole address that fleetctl ui has printed/);
  }
  assert.deepEqual(sent.map(([path]) => path), ["/ui/main.js"]);
});

Deno.test("requests with the key are sent on with method, query and body", async () => {
  const { ask, sent } = open(() => new Response(null, { status: 204 }));
  assert.equal((await ask("PUT", "/fleet/v1/units/a.service", bearer, '{"x":1}')).status, 204);
  await ask("GET", "/fleet/v1/units/a.service/journal?follow=true", bearer);
  assert.deepEqual(sent, [
    ["/fleet/v1/units/a.service", { method: "PUT", body: '{"x":1}' }],
    ["/fleet/v1/units/a.service/journal?follow=true", { method: "GET", streaming: true }],
  ]);
});

Deno.test("another host name, another origin and other paths are refused", async () => {
  const { ask, sent } = open();
  assert.equal((await ask("GET", "/ui/", { host: "evil.example:8080" })).status, 403);
  assert.equal((await ask("GET", "/fleet/v1/units", { ...bearer, origin: "http://evil.example" })).status, 403);
  for (const path of ["/metrics", "/fleet/v1", "/v1-alpha/units", "/uix", "/ui/..%2ffleet/v1/units"]) {
    assert.equal((await ask("GET", path, bearer)).status, 404, path);
  }
  assert.equal((await ask("POST", "/ui/", bearer)).status, 404);
  assert.deepEqual(sent, []);
});

Deno.test("addresses without the last slash lead to the page", async () => {
  const { ask, sent } = open();
  for (const path of ["/", "/ui"]) {
    const answer = await ask("GET", path);
    assert.deepEqual([answer.status, answer.headers.get("location")], [302, "/ui/"], path);
  }
  assert.deepEqual(sent, []);
});

Deno.test("refusals and headers of the server reach the browser, those of the connection do not", async () => {
  const headers = {
    "content-type": "text/plain",
    "content-encoding": "gzip",
    "content-security-policy": "x",
    "cross-origin-resource-policy": "same-origin",
    "x-content-type-options": "nosniff",
    etag: "y",
  };
  const { ask } = open(() => new Response("no", { status: 409, headers }));
  const answer = await ask("DELETE", "/fleet/v1/units/a.service", bearer);
  assert.equal(answer.status, 409);
  assert.deepEqual(Object.fromEntries(answer.headers), {
    "content-type": "text/plain",
    "content-security-policy": "x",
    "cross-origin-resource-policy": "same-origin",
    "x-content-type-options": "nosniff",
    etag: "y",
  });
});

Deno.test("an unreachable cluster is a 502 with the reason", async () => {
  const { ask } = open(() => {
    throw new Error("cannot reach the fleet API at unix:///run/fleet.sock");
  });
  const answer = await ask("GET", "/fleet/v1/units", bearer);
  assert.equal(answer.status, 502);
  assert.match(await answer.text(), /cannot reach the fleet API at unix/);
});

/** Serves `handler` on a loopback port. Its end does not wait for connections. */
function serve(handler: (request: Request, host: string) => Response | Promise<Response>) {
  const closing = new AbortController();
  const options = { hostname: "127.0.0.1", port: 0, onListen: () => {}, signal: closing.signal };
  const server: Deno.HttpServer<Deno.NetAddr> = Deno.serve(options, (request) => handler(request, host));
  const host = `127.0.0.1:${server.addr.port}`;
  const close = async () => {
    closing.abort();
    await server.finished;
  };
  return { host, [Symbol.asyncDispose]: close };
}

for (const begins of [true, false]) {
  const when = begins ? "a stream that has begun" : "a request without an answer yet";
  Deno.test(`a browser that goes away ends ${when}`, async () => {
    const [asked, ended] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    await using cluster = serve((request) => {
      asked.resolve();
      const cancel = () => ended.resolve();
      if (begins) {
        return new Response(new ReadableStream({ start: (stream) => stream.enqueue(new Uint8Array(1)), cancel }));
      }
      request.signal.addEventListener("abort", cancel);
      return new Promise(() => {});
    });
    const settings = { endpoint: `http://${cluster.host}`, timeout_ms: 600_000, caFile: "", certFile: "", keyFile: "" };
    const client = await connect(settings, terminal(false));
    await using page = serve((request, host) => pageProxy(client.send, host, key)(request));
    const tab = new AbortController();
    const answer = fetch(`http://${page.host}/fleet/v1/events`, { headers: bearer, signal: tab.signal });
    const over = Promise.allSettled([answer]);
    if (begins) await (await answer).body!.getReader().read();
    await asked.promise;
    tab.abort();
    await ended.promise;
    await over;
    client.close();
  });
}
