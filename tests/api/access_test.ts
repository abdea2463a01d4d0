/** Access over real sockets, the same for every route: TLS, certificates, tokens, foreign web pages. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { Credentials } from "../../daemon/api/auth/credentials.ts";
import type { Api } from "../../daemon/api/context.ts";
import type { OperatorPorts } from "../../daemon/api/routes/operator.ts";
import { type HandlerOptions, routesOf } from "../../daemon/api/handler.ts";
import { operations } from "../../daemon/api/v1/operations.ts";
import { components } from "../../daemon/api/v1/types.ts";
import { ApiFixture, optionsOf } from "../support/api_fixture.ts";
import { type AccessOptions, type Authority, type Certificate, makeAuthority, readCredentials } from "./authority.ts";
import {
  ask,
  type ClientTls,
  connect,
  loopback,
  network,
  type RawRequest,
  readUntil,
  ServerFixture,
  talk,
  write,
} from "./server_fixture.ts";

const file = "[Service]\nExecStart=/bin/true";
const unit = { options: optionsOf(file) };
const json = { "Content-Type": "application/json" };

type Method = "GET" | "HEAD" | "PUT" | "POST" | "PATCH" | "DELETE" | "OPTIONS";

/** A request, and the status of its response if the client may write. */
interface Row extends RawRequest {
  readonly method: Method;
  readonly code: number;
}

/** The request and the expected status for each method of each path in the server's own table. */
const plan: Readonly<Record<string, Partial<Record<Method, Omit<Row, "method" | "path">>>>> = {
  "/": {},
  "/healthz": { GET: { code: 200 }, HEAD: { code: 200 } },
  "/readyz": { GET: { code: 200 }, HEAD: { code: 200 } },
  "/metrics": { GET: { code: 200 }, HEAD: { code: 200 } },
  "/fleet/v1": {},
  "/fleet/v1/discovery": { GET: { code: 200 } },
  "/fleet/v1/openapi.json": { GET: { code: 200 } },
  "/fleet/v1/machines": { GET: { code: 200 }, PATCH: { body: "[]", code: 204 } },
  "/fleet/v1/cordons": { GET: { code: 200 } },
  "/fleet/v1/machines/*/cordon": {
    PUT: { headers: json, body: "{}", code: 204 },
    DELETE: { code: 404 },
  },
  "/fleet/v1/access": { GET: { code: 200 } },
  "/fleet/v1/usage": { GET: { code: 200 } },
  "/fleet/v1/drains": {
    GET: { code: 200 },
    POST: { headers: json, body: JSON.stringify({ machines: ["m1"], dryRun: true }), code: 200 },
  },
  "/fleet/v1/drains/*": { DELETE: { code: 404 } },
  "/fleet/v1/rebalance": {
    GET: { code: 200 },
    POST: { headers: json, body: JSON.stringify({ moves: [] }), code: 400 },
    DELETE: { code: 404 },
  },
  "/fleet/v1/loss": { GET: { code: 200 }, DELETE: { code: 404 } },
  "/fleet/v1/units": { GET: { code: 200 } },
  "/fleet/v1/units/*": {
    GET: { code: 200 },
    PUT: { headers: json, body: JSON.stringify({ ...unit, desiredState: "launched" }), code: 204 },
    DELETE: { code: 204 },
  },
  "/fleet/v1/units/*/restart": { POST: { code: 204 } },
  "/fleet/v1/units/*/start": { POST: { code: 204 } },
  "/fleet/v1/units/*/stop": { POST: { code: 409 } },
  "/fleet/v1/units/*/explain": { GET: { code: 200 } },
  "/fleet/v1/units/*/history": { GET: { code: 200 } },
  "/fleet/v1/units/*/journal": { GET: { code: 200 } },
  "/fleet/v1/units/*/status": { GET: { code: 200 } },
  "/fleet/v1/state": { GET: { code: 200 } },
  "/fleet/v1/state/*": { GET: { code: 404 } },
  "/fleet/v1/events": { GET: { code: 200 } },
  "/fleet/v1/contents/*": { GET: { code: 404 }, PUT: { headers: json, body: "{}", code: 400 } },
  "/fleet/v1/backup": { GET: { code: 200 } },
  "/fleet/v1/apps": { GET: { code: 200 } },
  "/fleet/v1/apps/*": {
    GET: { code: 404 },
    POST: { headers: json, body: "{}", code: 400 },
  },
  "/fleet/v1/apps/*/rollout": {
    GET: { code: 404 },
    POST: { headers: json, body: JSON.stringify({ action: "pause" }), code: 404 },
  },
  "/fleet/v1/plan": { POST: { headers: json, body: "{}", code: 200 } },
  "/fleet/v1/store/accept": { POST: { code: 200 } },
  "/fleet/v1/store/accept/keep-units": { POST: { code: 200 } },
};

/** Requests for paths that are in no table, and with methods that are in no route. */
const unrouted: readonly Row[] = [
  { method: "GET", path: "/", code: 405 },
  { method: "GET", path: "/fleet/v1", code: 405 },
  { method: "PUT", path: "/v1-alpha", code: 405 },
  { method: "GET", path: "/fleet/v1/nothing", code: 404 },
  { method: "GET", path: "//fleet//v1/units", code: 301 },
  { method: "GET", path: "/%zz", code: 400 },
  { method: "OPTIONS", path: "/fleet/v1/units", code: 405 },
  // Not a dry run; without machines, it is refused to every client.
  { method: "POST", path: "/fleet/v1/drains", headers: json, body: JSON.stringify({ machines: [] }), code: 400 },
];

/** All optional ports of the handler, so that every route exists. */
const allPorts: Required<OperatorPorts & Pick<HandlerOptions, "localMachine">> = {
  metrics: () => Promise.resolve("# none\n"),
  acceptStore: () => Promise.resolve({ was: { id: "a", revision: 1 }, accepted: { revision: 0 } }),
  localMachine: {
    id: () => "m1",
    journal: () => new Blob(["a line\n"]).stream(),
    statusText: () => Promise.resolve("active\n"),
    statusProperties: () => Promise.resolve({}),
    usage: () => Promise.resolve({ units: [] }),
    verify: () => Promise.resolve(undefined),
    fetchPeer: () => Promise.reject(new Error("no peer exists")),
  },
};

/** Returns a request for each route and method of the server's own table, below both prefixes. Throws if the plan has a gap. */
function everyRoute(): readonly Row[] {
  const table = routesOf({} as Api, { ...allPorts, status: () => ({ ready: true }), version: "" });
  assert.deepEqual([...table.keys()].toSorted(), Object.keys(plan).toSorted(), "each route is planned for");
  const rows = [...table].flatMap(([pattern, { actions }]) => {
    const planned = Object.entries(plan[pattern]!);
    assert.deepEqual(
      planned.map(([method]) => method),
      Object.keys(actions),
      `each method of ${pattern} is planned for`,
    );
    return (pattern.startsWith("/fleet/v1/") ? ["/fleet/v1/", "/v1-alpha/"] : [""]).flatMap((prefix) =>
      planned.map(([method, row]) => {
        // All requests are sent at once: no other one uses the unit that is deleted.
        const name = method === "DELETE" ? `of-${prefix.split("/")[1]}.service` : "a.service";
        const path = pattern.replace("*", name).replace("/fleet/v1/", prefix === "" ? "/fleet/v1/" : prefix);
        return { ...row, method: method as Method, path };
      })
    );
  });
  return [...rows, ...unrouted];
}

const routes = everyRoute();

/** Creates the units of the requests. */
async function putUnits(api: ApiFixture): Promise<void> {
  for (const { method, path } of routes) {
    if (method === "DELETE" && path.includes("/units/")) await api.put(path.split("/").at(-1)!);
  }
  await api.put("a.service", "launched", file);
  await api.place("a.service", "m1");
}

/** Returns the status of one response; a stream is not read any further. */
async function statusOf(address: string, route: RawRequest, tls?: ClientTls): Promise<number> {
  if (!route.path.endsWith("/events")) return (await ask(address, route, tls)).code;
  using connection = await connect(address, tls);
  await write(
    connection,
    `GET ${route.path} HTTP/1.1\r\nHost: ${route.host ?? "localhost"}\r\n` +
      Object.entries(route.headers ?? {}).map(([name, value]) => `${name}: ${value}\r\n`).join("") + "\r\n",
  );
  return Number((await readUntil(connection, (text) => text.includes("\r\n\r\n"))).slice(9, 12));
}

const withHeaders = (route: RawRequest, headers: Record<string, string>): RawRequest => ({
  ...route,
  headers: { ...route.headers, ...headers },
});

const hash = (token: string) => createHash("sha256").update(token).digest("hex");

interface Setting {
  readonly api: ApiFixture;
  readonly servers: ServerFixture;
  readonly authority: Authority;
  /** Reads credentials as from fleet.conf. */
  readonly read: (options: AccessOptions) => Promise<Credentials>;
}

async function withSetting(work: (setting: Setting) => Promise<void>): Promise<void> {
  await using api = await ApiFixture.open(allPorts);
  await using servers = new ServerFixture();
  const authority = await makeAuthority();
  await api.join("m1");
  try {
    await putUnits(api);
    await Deno.writeTextFile(
      `${authority.directory}/tokens`,
      `read dashboard sha256:${hash("look")}\nwrite deployer sha256:${hash("do")}\n`,
    );
    await work({ api, servers, authority, read: readCredentials });
  } finally {
    await Deno.remove(authority.directory, { recursive: true });
  }
}

const inDirectory = ({ directory }: Authority) => ({
  tls: { apiCertfile: `${directory}/server.crt`, apiKeyfile: `${directory}/server.key` },
  certificates: { apiClientCafile: `${directory}/ours.crt` },
  tokens: { apiTokensFile: `${directory}/tokens` },
});

Deno.test("every route over the network, by the client's credentials", async (test) => {
  await withSetting(async ({ api, servers, authority, read }) => {
    const { tls, certificates, tokens } = inDirectory(authority);
    const readOnly = ({ method, path, body = "" }: Row) =>
      method === "GET" || method === "HEAD" || path.endsWith("/plan") || body.includes("dryRun") ? undefined : 403;
    const open = () => undefined;
    type Expect = (route: typeof routes[number]) => number | undefined;
    const table: readonly (readonly [string, Credentials, Certificate | undefined, string | undefined, Expect])[] = [
      ["nothing configured", await read({}), undefined, undefined, () => 403],
      ["nothing configured, a token", await read({}), undefined, "do", () => 403],
      ["TLS alone", await read(tls), undefined, undefined, () => 403],
      ["TLS alone, a certificate", await read(tls), authority.trusted, undefined, () => 403],
      ["tokens, none sent", await read(tokens), undefined, undefined, () => 401],
      ["tokens, a wrong one", await read(tokens), undefined, "wrong", () => 401],
      ["tokens, the hash of one", await read(tokens), undefined, hash("do"), () => 401],
      ["tokens, one for reading", await read(tokens), undefined, "look", readOnly],
      ["tokens, one for writing", await read(tokens), undefined, "do", open],
      ["TLS and tokens, one for writing", await read({ ...tls, ...tokens }), undefined, "do", open],
      ["TLS and tokens, none sent", await read({ ...tls, ...tokens }), undefined, undefined, () => 401],
      ["certificates, none sent", await read({ ...tls, ...certificates }), undefined, undefined, () => 401],
      ["certificates, a token", await read({ ...tls, ...certificates }), undefined, "do", () => 401],
      [
        "certificates, a foreign one",
        await read({ ...tls, ...certificates }),
        authority.foreign,
        undefined,
        () => 403,
      ],
      [
        "certificates, an expired one",
        await read({ ...tls, ...certificates }),
        authority.expired,
        undefined,
        () => 403,
      ],
      ["certificates, one for reading", await read({ ...tls, ...certificates }), authority.reader, undefined, readOnly],
      [
        "certificates, a misspelt role",
        await read({ ...tls, ...certificates }),
        authority.misspelt,
        undefined,
        () => 403,
      ],
      ["certificates, a valid one", await read({ ...tls, ...certificates }), authority.trusted, undefined, open],
      ["insecure", await read({ apiInsecure: true }), undefined, undefined, open],
      ["insecure with TLS", await read({ ...tls, apiInsecure: true }), undefined, undefined, open],
    ];
    for (const [name, credentials, shows, token, expected] of table) {
      await test.step(name, async () => {
        await putUnits(api);
        const server = await servers.serve(api.handler, network, credentials);
        const client = credentials.tls ? { ca: authority.ca, ...(shows ? { shows } : {}) } : undefined;
        const address = server.addresses[0]!;
        await Promise.all(routes.map(async (route) => {
          const asked = withHeaders(route, token === undefined ? {} : { Authorization: `Bearer ${token}` });
          const code = await statusOf(address, asked, client);
          assert.equal(code, expected(route) ?? route.code, `${route.method} ${route.path}`);
        }));
        await server.close();
      });
    }
  });
});

Deno.test("an operation is open to clients for reading if its description says so, and changes nothing then", async () => {
  await withSetting(async ({ api, servers, authority, read }) => {
    const server = await servers.serve(api.handler, network, await read(inDirectory(authority).tokens));
    const { revision } = await api.registry.read();
    const send = (key: string, body: string) => {
      const [method = "", path = ""] = key.split(" ");
      const named = path.replace("{unitName}", "a.service").replace(/\{\w+\}/, "m1");
      const headers = { ...json, Authorization: "Bearer look" };
      return ask(server.addresses[0]!, { method, path: `/fleet/v1${named}`, headers, body });
    };
    for (const [key, { description, requestBody }] of Object.entries(operations)) {
      if (key.startsWith("GET ")) continue;
      const schema = requestBody?.content["application/json"]?.schema.$ref?.split("/").at(-1);
      const { properties = {} } = components.find(({ title }) => title === schema) ?? {};
      const hasDryRun = "dryRun" in properties;
      const isAlways = description.includes("Changes nothing, so that clients that may only read may ask.");
      assert.equal(
        description.includes("With `dryRun` it changes nothing, so that clients that may only read may ask."),
        hasDryRun,
        key,
      );
      // What else the body says is not read without the right to write.
      const { code } = await send(key, JSON.stringify({ machines: ["m1"], dryRun: true }));
      assert.equal(code, isAlways || hasDryRun ? 200 : 403, key);
      if (isAlways) continue;
      for (const body of [{ machines: ["m1"] }, { machines: ["m1"], dryRun: false }]) {
        assert.equal((await send(key, JSON.stringify(body))).code, 403, key);
      }
    }
    assert.equal((await api.registry.read()).revision, revision, "nothing has changed");
  });
});

Deno.test("a dry run of a client for reading is logged as a read, and its attempt to drain as a refusal", async () => {
  await withSetting(async ({ api, servers, authority, read }) => {
    const { tls, certificates } = inDirectory(authority);
    const server = await servers.serve(api.handler, network, await read({ ...tls, ...certificates }));
    const drain = (body: unknown) =>
      ask(
        server.addresses[0]!,
        { method: "POST", path: "/fleet/v1/drains", headers: json, body: JSON.stringify(body) },
        { ca: authority.ca, shows: authority.reader },
      );
    const count = servers.logged.length;
    assert.equal((await drain({ machines: ["m1"], dryRun: true })).code, 200);
    assert.equal(servers.logged.length, count);
    assert.match((await drain({ machines: ["m1"] })).body, /the certificate of \\"reader\\" may read only/);
    assert.match(servers.logged.at(-1)!, /^an API request was refused .* POST \/fleet\/v1\/drains 403 the certificate/);
  });
});

Deno.test("the reason of a refusal is in the response and, with the peer, in the log", async () => {
  await withSetting(async ({ api, servers, authority, read }) => {
    const { tls, certificates } = inDirectory(authority);
    const server = await servers.serve(api.handler, network, await read({ ...tls, ...certificates }));
    const client = { ca: authority.ca, shows: authority.expired };
    const answer = await ask(server.addresses[0]!, { path: "/fleet/v1/units" }, client);
    assert.match(answer.body, /the client certificate is not accepted: it expired on /);
    assert.match(answer.head, /\r\nServer: fleetd\//i);
    assert.match(
      servers.logged.at(-1)!,
      /^an API request was refused 127\.0\.0\.1:\d+ GET \/fleet\/v1\/units 403 the client/,
    );
    const reader = { ca: authority.ca, shows: authority.reader };
    const put = { method: "PUT", path: "/fleet/v1/units/a.service", headers: json, body: JSON.stringify(unit) };
    assert.match((await ask(server.addresses[0]!, put, reader)).body, /the certificate of \\"reader\\" may read only/);
    const closed = await servers.serve(api.handler, network);
    assert.match(servers.logged.at(-1)!, /^the API's network addresses refuse every request: set api_certfile/);
    assert.match((await ask(closed.addresses[0]!, { path: "/fleet/v1/units" })).body, /this address is closed: set/);
    await servers.serve(api.handler, network, { policy: { insecure: true } });
    assert.match(servers.logged.at(-2)!, /^api_insecure is set: every client/);
  });
});

Deno.test("every route refuses requests that a foreign web page makes", async (test) => {
  await using api = await ApiFixture.open(allPorts);
  await using servers = new ServerFixture();
  await api.join("m1");
  await putUnits(api);
  const { addresses } = await servers.serve(api.handler, loopback);
  const attacks: Readonly<Record<string, (route: RawRequest) => RawRequest>> = {
    "a foreign name that resolves to this machine": (route) => ({ ...route, host: "evil.example" }),
    "a page of another site": (route) => withHeaders(route, { Origin: "http://evil.example" }),
    "a page without a site": (route) => withHeaders(route, { Origin: "null" }),
    "an image on another site's page": (route) => withHeaders(route, { "Sec-Fetch-Site": "cross-site" }),
  };
  for (const [name, attack] of Object.entries(attacks)) {
    await test.step(name, async () => {
      for (const route of routes) {
        assert.equal(await statusOf(addresses[0]!, attack(route)), 403, `${route.method} ${route.path}`);
      }
    });
  }
  await test.step("the unit is unchanged", async () => {
    const { unit } = await api.registry.unit("a.service");
    assert.deepEqual([unit?.desiredState, unit?.restart], ["launched", 0]);
  });
});

Deno.test("a TLS connection serves many requests, and ends when the server closes", async () => {
  await withSetting(async ({ api, servers, authority, read }) => {
    const { tls, certificates } = inDirectory(authority);
    const server = await servers.serve(api.handler, network, await read({ ...tls, ...certificates }));
    using connection = await connect(server.addresses[0]!, { ca: authority.ca, shows: authority.trusted });
    for (let turn = 0; turn < 5; turn++) {
      await write(connection, "GET /fleet/v1/units/a.service HTTP/1.1\r\nHost: localhost\r\n\r\n");
      assert.match(await readUntil(connection, (text) => text.endsWith("}")), /^HTTP\/1\.1 200 OK\r\n/);
    }
    const closed = server.close();
    assert.equal(await readUntil(connection, () => false), "");
    await closed;
  });
});

Deno.test("credentials can be replaced while the server runs", async () => {
  await withSetting(async ({ api, servers, authority, read }) => {
    const { tls, certificates, tokens } = inDirectory(authority);
    const server = await servers.serve(api.handler, network, await read(tokens));
    const address = server.addresses[0]!;
    const asked = (token: string) => ({ path: "/fleet/v1/units", headers: { Authorization: `Bearer ${token}` } });
    assert.equal((await ask(address, asked("do"))).code, 200);
    assert.equal(server.urlFor("10.0.0.1"), `http://10.0.0.1:${address.split(":")[1]}`);

    await Deno.writeTextFile(`${authority.directory}/tokens`, `read dashboard sha256:${hash("see")}\n`);
    server.use(await read(tokens));
    assert.equal((await ask(address, asked("do"))).code, 401, "an old token");
    assert.equal((await ask(address, asked("see"))).code, 200, "a new one");

    server.use(await read({ ...tls, ...certificates }));
    const client = { ca: authority.ca, shows: authority.trusted };
    assert.equal((await ask(address, { path: "/fleet/v1/units" }, client)).code, 200, "TLS");
    assert.match(
      await talk(address, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
      /^(?!HTTP)/,
      "plain text is refused",
    );
    assert.equal(server.urlFor("10.0.0.1"), `https://10.0.0.1:${address.split(":")[1]}`);

    server.use(await read({}));
    assert.equal((await ask(address, { path: "/fleet/v1/units" })).code, 403);
    assert.equal(server.urlFor("10.0.0.1"), undefined);
  });
});

Deno.test("a credential file that cannot be read is named", async (test) => {
  await withSetting(async ({ authority, read }) => {
    const { tls } = inDirectory(authority);
    const { apiClientCafile } = inDirectory(authority).certificates;
    const put = async (name: string, text: string) => {
      await Deno.writeTextFile(`${authority.directory}/${name}`, text);
      return `${authority.directory}/${name}`;
    };
    const bad = await put("bad", "read\n");
    const empty = await put("empty", "");
    const broken = await put("broken", authority.server.cert.replace(/\n.{40}/, "\n" + "A".repeat(40)));
    for (
      const [options, message] of [
        [
          { ...tls, apiKeyfile: "/nowhere" },
          /^FLEET_API_KEYFILE: cannot read \/nowhere, the file that api_keyfile names: ENOENT/,
        ],
        [
          { apiTokensFile: "/nowhere" },
          /^FLEET_API_TOKENS_FILE: cannot read \/nowhere, the file that api_tokens_file names: ENOENT/,
        ],
        [
          { apiTokensFile: bad },
          /^FLEET_API_TOKENS_FILE: api_tokens_file .*\/bad: line 1: expected "[^"]*" or "[^"]*"$/,
        ],
        [
          { ...tls, apiCertfile: bad },
          /^FLEET_API_CERTFILE: api_certfile .*\/bad: there is no certificate in it \(PEM, .*\)$/,
        ],
        [
          { ...tls, apiCertfile: broken },
          /^FLEET_API_CERTFILE: api_certfile .*\/broken: a certificate in it cannot be read: /,
        ],
        [
          { ...tls, apiKeyfile: empty },
          /^FLEET_API_KEYFILE: api_keyfile .*\/empty: it is not a private key that can be read /,
        ],
        [
          { ...tls, apiKeyfile: `${authority.directory}/trusted.key` },
          /^FLEET_API_KEYFILE: api_keyfile .*\/trusted\.key: it is not the key of the certificate in .*\/server\.crt$/,
        ],
        [
          { ...tls, apiClientCafile: empty },
          /^FLEET_API_CLIENT_CAFILE: api_client_cafile .*\/empty: there is no certificate in it /,
        ],
        [
          { ...tls, apiClientCafile: `${apiClientCafile}x` },
          /^FLEET_API_CLIENT_CAFILE: cannot read .*x, the file that api_client_cafile names: ENOENT/,
        ],
      ] as const
    ) {
      await test.step(String(message), () => assert.rejects(read(options), { message }));
    }
  });
});

/** A program that serves on inherited sockets, with TLS, until its input ends. */
const program = `
import { inheritedSockets, serve } from ${
  JSON.stringify(new URL("../../daemon/api/http/server.ts", import.meta.url).href)
};
import { systemClock as clock } from ${
  JSON.stringify(new URL("../../daemon/host/system_clock.ts", import.meta.url).href)
};
const handler = () => Promise.resolve(new Response("welcome"));
const [cert, key, clientCa] = ["server.crt", "server.key", "ours.crt"].map((name) => Deno.readTextFileSync(Deno.args[0] + "/" + name));
const credentials = { policy: { clientCertificates: true }, tls: { cert, key, clientCa } };
const server = await serve({ handler, listen: inheritedSockets(), credentials, log: () => {}, clock });
await Deno.stdin.read(new Uint8Array(1));
await server.close();
`;

Deno.test("of the sockets that systemd passes, those on the network use TLS", async () => {
  await withSetting(async ({ servers, authority }) => {
    const config = new URL("../../deno.json", import.meta.url).pathname;
    const cache = Deno.env.get("DENO_DIR");
    await Deno.writeTextFile(`${servers.directory}/program.ts`, program);
    const free = [loopback, network].map((spec) =>
      servers.serve(() => Promise.reject(new Error("not to be asked")), spec)
    );
    const addresses = (await Promise.all(free)).map((server) => server.addresses[0]!);
    for (const server of await Promise.all(free)) await server.close();
    const unix = `${servers.directory}/one.sock`;
    const child = new Deno.Command("systemd-socket-activate", {
      args: [
        ...[unix, ...addresses].flatMap((address) => ["--listen", address]),
        ...(cache ? ["--setenv", `DENO_DIR=${cache}`] : []),
        ...[Deno.execPath(), "run", "-A", "--no-check", "--config", config, `${servers.directory}/program.ts`],
        authority.directory,
      ],
      stdin: "piped",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const errors = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
    for (let logged = ""; !logged.includes(addresses[1]!);) {
      const { done, value } = await errors.read();
      assert.ok(!done, logged);
      logged += value;
    }
    const request = { path: "/" };
    assert.match((await ask(`unix:${unix}`, request)).body, /welcome/);
    assert.match((await ask(addresses[0]!, request)).body, /welcome/);
    const trusted = { ca: authority.ca, shows: authority.trusted };
    assert.match((await ask(addresses[1]!, request, trusted)).body, /welcome/);
    assert.equal((await ask(addresses[1]!, request, { ca: authority.ca })).code, 401);
    assert.match(await talk(addresses[1]!, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), /^(?!HTTP)/);
    await child.stdin.close();
    assert.equal((await child.status).code, 0);
    while (!(await errors.read()).done);
  });
});

Deno.test("a warning is logged for a TCP socket on a loopback address only", async () => {
  await using api = await ApiFixture.open();
  await using servers = new ServerFixture();
  const { addresses: [, address] } = await servers.serve(api.handler, [servers.unix(), loopback]);
  const warnings = servers.logged.map((line) =>
    /^every local user controls the cluster, as root, through the API at (\S+): /.exec(line)?.[1]
  );
  assert.deepEqual(warnings, [address]);
});
