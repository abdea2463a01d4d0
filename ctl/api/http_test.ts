import assert from "node:assert/strict";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { type ApiClient, ApiError, UnreachableError } from "./client.ts";
import { type ClientSettings, connect } from "./http.ts";
import { ClientSetupError } from "./endpoint.ts";
import { FakeApi } from "../testing/fake_api.ts";
import { terminal } from "../terminal/deno.ts";

const io = terminal(false);

/** A client that is closed at the end of its block. */
async function open(settings: ClientSettings): Promise<ApiClient & Disposable> {
  const client = await connect(settings, io);
  return Object.assign(client, { [Symbol.dispose]: () => client.close() });
}

const settings = (endpoint: string, more: Partial<ClientSettings> = {}): ClientSettings => ({
  ...{ endpoint, timeout_ms: 30_000, caFile: "", certFile: "", keyFile: "" },
  ...more,
});

/** Serves on a new unix domain socket and on a TCP port while `use` runs. */
async function serving(
  handler: (request: Request) => Response | Promise<Response>,
  use: (unix: string, tcp: string) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir();
  const path = `${directory}/fleet.sock`;
  const onUnix = Deno.serve({ path, onListen: () => {} }, handler);
  const onTcp = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, handler);
  try {
    await use(`unix://${path}`, `http://127.0.0.1:${onTcp.addr.port}`);
  } finally {
    await Promise.all([onUnix.shutdown(), onTcp.shutdown()]);
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("the API is reached over a unix domain socket and over TCP", async () => {
  const api = new FakeApi();
  await serving((request) => api.handle(request), async (...endpoints) => {
    for (const endpoint of endpoints) {
      using client = await open(settings(endpoint));
      await client.putUnit({ name: "a@1.service", options: [{ section: "S", name: "n", value: "ä" }] });
      assert.equal((await client.unit("a@1.service"))?.options?.[0]?.value, "ä");
      assert.deepEqual((await client.units()).map((unit) => unit.name), ["a@1.service"]);
      assert.deepEqual(await client.machines(), api.machines);
      assert.deepEqual(await client.states("a@1.service"), []);
      assert.equal(await client.restartUnit("a@1.service"), true);
      assert.equal(await client.deleteUnit("a@1.service"), true);
      assert.equal(await client.deleteUnit("a@1.service"), false);
      assert.equal(await client.unit("a@1.service"), undefined);
    }
  });
});

Deno.test("a request to a starting daemon is repeated, but not if the daemon is unavailable for another reason", async () => {
  const reasons = ["fleetd is starting", "fleetd is starting", "no route to etcd1"];
  const asked: string[] = [];
  const refuse = (request: Request) => {
    asked.push(request.method);
    const message = `fleet server unable to communicate with etcd: ${reasons.shift()}`;
    return Response.json({ error: { code: 503, message } }, { status: 503 });
  };
  await serving(refuse, async (endpoint) => {
    using client = await open(settings(endpoint));
    await assert.rejects(client.putUnit({ name: "a.service", desiredState: "launched" }), /no route to etcd1/);
    assert.deepEqual(asked, ["PUT", "PUT", "PUT"]);
  });
});

Deno.test("a write that a starting daemon refuses is sent to another daemon that is ready", async () => {
  const asked: string[] = [];
  let probes = 0;
  const first = (request: Request) => {
    asked.push(`first ${request.method}`);
    return request.method === "GET" && probes++ === 0
      ? new Response("ok")
      : Response.json({ error: { code: 503, message: "fleetd is starting" } }, { status: 503 });
  };
  const second = (request: Request) => {
    asked.push(`second ${request.method}`);
    return Response.json({});
  };
  await serving(first, async (_unix, one) => {
    await serving(second, async (_unix, two) => {
      using client = await open(settings(`${one},${two}`));
      await client.putUnit({ name: "a.service", desiredState: "launched" });
    });
  });
  assert.deepEqual(asked, ["first GET", "first PUT", "first GET", "second GET", "second PUT"]);
});

Deno.test("requests ask for JSON, and the endpoint's path precedes theirs", async () => {
  const urls: string[] = [];
  const handler = (request: Request) => {
    urls.push(new URL(request.url).pathname + new URL(request.url).search);
    return Response.json({});
  };
  await serving(handler, async (_unix, tcp) => {
    using client = await open(settings(`${tcp}/proxied/`));
    await client.machines();
    await client.states("a b");
    await client.unit("ä/b.service");
  });
  assert.deepEqual(urls, [
    "/proxied/fleet/v1/machines?alt=json",
    "/proxied/fleet/v1/state?alt=json&unitName=a+b",
    "/proxied/fleet/v1/units/%C3%A4%2Fb.service?alt=json",
  ]);
});

Deno.test("events are followed over a unix domain socket until the signal aborts", async () => {
  const api = new FakeApi();
  api.add("a.service", "launched", "Service.ExecStart=/bin/true");
  await serving((request) => api.handle(request), async (unix) => {
    using client = await open(settings(unix));
    const stop = new AbortController();
    const seen: string[] = [];
    try {
      for await (const { event, data } of (await client.events(["a.service"], stop.signal))!) {
        seen.push(event);
        if (event === "synced") api.reportState("a.service", "failed", "failed");
        if (data.includes('"failed"')) stop.abort();
      }
    } catch (error) {
      assert.equal((error as Error).name, "AbortError");
    }
    assert.deepEqual(seen, ["machine", "unit", "state", "synced", "state"]);
  });
});

Deno.test("a missing socket is named, with a remedy", async () => {
  using client = await open(settings("unix:///nonexistent/fleet.sock"));
  await assert.rejects(client.units(), (error) => {
    assert.ok(error instanceof UnreachableError);
    assert.equal(
      error.message,
      "cannot reach the fleet API at unix:///nonexistent/fleet.sock: No such file or directory. Is fleetd's socket " +
        "there (systemctl status fleet.socket)? Name another endpoint with --endpoint or FLEETCTL_ENDPOINT",
    );
    return true;
  });
});

Deno.test("a port without a listener is named", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const endpoint = `http://127.0.0.1:${listener.addr.port}`;
  listener.close();
  using client = await open(settings(endpoint));
  await assert.rejects(
    client.units(),
    (error) =>
      error instanceof UnreachableError &&
      error.message.startsWith(`cannot reach the fleet API at ${endpoint}: Connection refused.`),
  );
});

Deno.test("a redirect is not followed, so that a server cannot send a change to another cluster", async () => {
  const elsewhere = new FakeApi();
  await serving((request) => elsewhere.handle(request), async (_unix, location) => {
    for (const status of [301, 302, 303, 307, 308]) {
      const redirect = (request: Request) => Response.redirect(location + new URL(request.url).pathname, status);
      await serving(redirect, async (...endpoints) => {
        for (const endpoint of endpoints) {
          using client = await open(settings(endpoint, { token: "secret" }));
          const why = new RegExp(`^UnreachableError: ${endpoint} redirects to ${location}/fleet/v1/units`);
          await assert.rejects(client.putUnit({ name: "a.service", desiredState: "launched" }), why);
          await assert.rejects(client.units(), why);
        }
      });
    }
  });
  assert.deepEqual(elsewhere.requests, []);
});

Deno.test("a request without a response fails after its time limit", async () => {
  const answers: PromiseWithResolvers<Response>[] = [];
  const handler = () => {
    const answer = Promise.withResolvers<Response>();
    answers.push(answer);
    return answer.promise;
  };
  await serving(handler, async (unix) => {
    using client = await open(settings(unix, { timeout_ms: 50 }));
    await assert.rejects(client.units(), (error) =>
      error instanceof UnreachableError &&
      error.message ===
        `the fleet API at ${unix} did not answer GET /fleet/v1/units?alt=json within 0.05 seconds. Does fleetd run there (systemctl status fleet.service)?`);
    for (const answer of answers) answer.resolve(new Response());
  });
});

Deno.test("a response that begins in time but does not end fails after the time limit", async () => {
  let body: ReadableStreamDefaultController<Uint8Array> | undefined;
  const handler = () =>
    new Response(
      new ReadableStream({
        start(controller) {
          body = controller;
          controller.enqueue(new TextEncoder().encode("{"));
        },
        cancel: () => body = undefined,
      }),
    );
  await serving(handler, async (unix) => {
    using client = await open(settings(unix, { timeout_ms: 50 }));
    await assert.rejects(client.units(), UnreachableError);
    body?.close();
  });
});

const otherServers: { name: string; answer: () => Response; message: RegExp }[] = [
  {
    name: "a page",
    answer: () => new Response("<html>"),
    message: /^the server at .* is not the fleet API: "<html>"$/,
  },
  { name: "a number", answer: () => new Response("1"), message: /^the server at .* is not the fleet API: "1"$/ },
  {
    name: "a proxy's 404",
    answer: () => new Response("nope", { status: 404 }),
    message: /^not the fleet API has answered, but .*--endpoint.*: "nope" \(HTTP 404\)$/,
  },
  {
    name: "a refusal without a message",
    answer: () => Response.json({ error: { code: 500, message: "" } }, { status: 500 }),
    message: /^the server sent no error message but .* \(HTTP 500\)$/,
  },
];

for (const { name, answer, message } of otherServers) {
  Deno.test(`a server that is not the fleet API: ${name}`, async () => {
    await serving(answer, async (_unix, tcp) => {
      using client = await open(settings(tcp));
      await assert.rejects(client.unit("a.service"), (error) => message.test((error as Error).message));
    });
  });
}

const file = (name: string) => new URL(`./testdata/${name}`, import.meta.url).pathname;

Deno.test("TLS: the server's certificate is verified against the CA, and the client's is sent", async () => {
  const server = createServer({
    ...{ key: await Deno.readTextFile(file("server.key")), cert: await Deno.readTextFile(file("server.pem")) },
    ...{ ca: await Deno.readTextFile(file("ca.pem")), requestCert: true, rejectUnauthorized: true },
  }, (_request, response) => response.end("{}"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const endpoint = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const ours = { certFile: file("client.pem"), keyFile: file("client.key") };
  try {
    using trusted = await open(settings(endpoint, { caFile: file("ca.pem"), ...ours }));
    assert.deepEqual(await trusted.units(), []);
    using plain = await open(settings(endpoint.replace("https", "http")));
    await assert.rejects(plain.units(), /: the server speaks TLS: use https:\/\/$/);
    using nameless = await open(settings(endpoint, { caFile: file("ca.pem") }));
    await assert.rejects(nameless.units(), /rejected the TLS connection: .*--cert-file and --key-file/);
    using mistrusted = await open(settings(endpoint, ours));
    await assert.rejects(mistrusted.units(), (error) => {
      return error instanceof UnreachableError && /cannot trust .*--ca-file names/.test(error.message);
    });
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

const unusable: { name: string; more: Partial<ClientSettings>; message: string }[] = [
  {
    name: "a key without a certificate",
    more: { keyFile: "k" },
    message: "--cert-file and --key-file must be used together: only one is set",
  },
  { name: "a missing file", more: { caFile: "/nonexistent" }, message: "cannot read /nonexistent: no such file" },
  {
    name: "a certificate and a key that are swapped",
    more: { certFile: file("client.key"), keyFile: file("client.pem") },
    message: `--cert-file ${file("client.key")} contains no certificate`,
  },
  {
    name: "a certificate in place of a key",
    more: { certFile: file("client.pem"), keyFile: file("client.pem") },
    message: `--key-file ${file("client.pem")} contains no private key`,
  },
  {
    name: "a key in place of an authority",
    more: { caFile: file("client.key") },
    message: `--ca-file ${file("client.key")} contains no certificate`,
  },
  { name: "a directory", more: { caFile: "/" }, message: "cannot read /: Is a directory" },
];

for (const { name, more, message } of unusable) {
  Deno.test(`TLS: ${name} is refused at once`, async () => {
    await assert.rejects(
      connect(settings("https://localhost", more), io),
      (error) => error instanceof ClientSetupError && error.message.startsWith(message),
    );
  });
}

const refusedAs: { code: number; message: string; end: string }[] = [
  {
    code: 401,
    message: "a bearer token is required",
    end:
      "(HTTP 401). Pass a token with --token-file or FLEETCTL_TOKEN, or a certificate with --cert-file and --key-file",
  },
  {
    code: 403,
    message: 'the token of "anna" may read only',
    end: "(HTTP 403). Use a token or a certificate that may write",
  },
  { code: 403, message: "this address is closed: see api_insecure", end: "closed: see api_insecure (HTTP 403)" },
  { code: 409, message: "no", end: "no (HTTP 409)" },
];

for (const { code, message, end } of refusedAs) {
  Deno.test(`the error of a refusal ends with the remedy: ${code} ${message}`, () => {
    const { message: text } = new ApiError(code, message, "");
    assert.ok(text.startsWith(`${message} (HTTP ${code})`) && text.endsWith(end), text);
  });
}
