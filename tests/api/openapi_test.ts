/** The OpenAPI document, compared with the behavior of the API. */

import assert from "node:assert/strict";
import { Validator } from "@seriousme/openapi-schema-validator";
import type { Api } from "../../daemon/api/context.ts";
import { type HandlerOptions, routesOf } from "../../daemon/api/handler.ts";
import { ConflictError } from "../../registry/mod.ts";
import { type Answer, ApiFixture, type Extras, optionsOf } from "../support/api_fixture.ts";

import { violations } from "./json_schema.ts";

interface Operation {
  readonly operationId: string;
  readonly parameters?: readonly { readonly name: string; readonly in: string }[];
  readonly requestBody?: { readonly content: Record<string, { readonly schema: unknown }> };
  readonly responses: Record<string, { readonly content?: Record<string, { readonly schema: unknown }> }>;
}

interface Document {
  readonly openapi: string;
  readonly paths: Record<string, Record<string, Operation>>;
  readonly components: { readonly schemas: Record<string, unknown> };
}

const operator: Partial<HandlerOptions> = {
  metrics: () => Promise.resolve("# none\n"),
  acceptStore: () => Promise.resolve({ was: { id: "a", revision: 1 }, accepted: { revision: 0 } }),
};

async function describe(api: ApiFixture): Promise<Document> {
  const answer = await api.send("GET", "/fleet/v1/openapi.json");
  assert.equal(answer.headers.get("Content-Type"), "application/json");
  return JSON.parse(answer.text);
}

/** The SHA-256 of "hello". */
const helloHash = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
const m1 = "01010101010101010101010101010101";
const m9 = "09090909090909090909090909090909";

/** Fills a cluster with entities of every kind. */
async function populate(api: ApiFixture): Promise<void> {
  await api.join(m1, "10.0.0.1", { region: "north" });
  await api.join(m9, "10.0.0.9", { region: "west" });
  await api.put("a.service", "launched");
  await api.put("b.service", "launched", "[Service]\nExecStart=/bin/true\n[X-Fleet]\nMachineMetadata=region=south");
  await api.put("g.service", "launched", "[X-Fleet]\nGlobal=true");
  await api.put("t@.service");
  await api.place("a.service", m1);
  await api.report(m1, "a.service", {});
  await api.report(m1, "g.service", { active: "failed", result: "exit-code" });
  await deploy(api, "d.service");
}

/** Makes a unit a part of an application, by a roll-out that is done. */
async function deploy(api: ApiFixture, name: string): Promise<void> {
  const unit = { name, desiredState: "launched", options: optionsOf("[Service]\nExecStart=/bin/true") };
  const { code, text } = await api.send("POST", "/fleet/v1/apps/deployed", { body: { units: [unit] } });
  assert.equal(code, 201, text);
  await api.advance("deployed", "done", { [name]: "healthy" });
}

/** Requests, each with the status code of its response. */
const requests: readonly (readonly [method: string, path: string, code: number, extras?: Extras])[] = [
  ["GET", "/units", 200],
  ["GET", "/units?nextPageToken=x", 400],
  ["GET", "/units/a.service", 200],
  ["GET", "/units/g.service", 200],
  ["GET", "/units/none.service", 404],
  ["PUT", "/units/n.service", 201, { body: { options: optionsOf("[Service]\nExecStart=/bin/true") } }],
  ["PUT", "/units/n.service", 204, { body: { desiredState: "loaded" } }],
  ["PUT", "/units/n.service", 409, { body: {} }],
  ["PUT", "/units/n.service", 400, { body: "{" }],
  ["PUT", "/units/n.service", 415, { body: "{}", contentType: "text/plain" }],
  ["PUT", "/units/n.service", 413, { body: " ".repeat(1024 * 1024 + 1) }],
  ["POST", "/units/n.service/restart", 409],
  ["POST", "/units/a.service/restart", 204],
  ["POST", "/units/t@.service/restart", 409],
  ["POST", "/units/none.service/restart", 404],
  ["POST", "/units/n.service/start", 409],
  ["POST", "/units/a.service/start", 204],
  ["POST", "/units/none.service/start", 404],
  ["POST", "/units/n.service/stop", 204],
  ["POST", "/units/a.service/stop", 409],
  ["POST", "/units/none.service/stop", 404],
  ...["a", "b", "g", "t@", "n"].map((name) => ["GET", `/units/${name}.service/explain`, 200] as const),
  ["GET", "/units/none.service/explain", 404],
  ["GET", "/units/a.service/history", 200],
  ["GET", "/units/a.service/history?version=1", 200],
  ["GET", "/units/a.service/history?version=2", 404],
  ["GET", "/units/a.service/history?version=x", 400],
  ["GET", "/units/none.service/history", 404],
  ["DELETE", "/units/n.service", 204],
  ["DELETE", "/units/n.service", 404],
  ["PUT", `/contents/${helloHash}`, 204, { body: { content: btoa("hello") } }],
  ["PUT", `/contents/${helloHash}`, 400, { body: { content: btoa("other") } }],
  ["PUT", `/contents/${helloHash}`, 413, { body: { content: "A".repeat(4 * 22_000) } }],
  ["PUT", `/contents/${helloHash}`, 415, { body: "{}", contentType: "text/plain" }],
  ["GET", `/contents/${helloHash}`, 200],
  ["GET", "/contents/none", 404],
  ["GET", "/backup", 200],
  ["GET", "/state", 200],
  ["GET", "/state?unitName=a.service&machineID=x", 200],
  ["GET", "/state?nextPageToken=AAAA", 400],
  ["GET", "/state/a.service", 200],
  ["GET", "/state/none.service", 404],
  ["GET", "/machines", 200],
  ["GET", "/machines?nextPageToken=", 400],
  ["PUT", `/machines/${m1}/cordon`, 204, { body: { why: "disk" } }],
  ["PUT", `/machines/${m1}/cordon`, 400, { body: { why: 1 } }],
  ["PUT", `/machines/${m1}/cordon`, 413, { body: " ".repeat(1024 * 1024 + 1) }],
  ["PUT", `/machines/${m1}/cordon`, 415, { body: "{}", contentType: "text/plain" }],
  ["GET", "/cordons", 200],
  ["GET", "/machines", 200],
  ["GET", "/backup", 200],
  ["DELETE", `/machines/${m1}/cordon`, 204],
  ["DELETE", `/machines/${m1}/cordon`, 404],
  ["GET", "/access", 200],
  ["POST", "/drains", 200, { body: { machines: [m1], dryRun: true, deadline: 60 } }],
  ["POST", "/drains", 201, { body: { machines: [m1], force: true, why: "disk" } }],
  ["POST", "/drains", 400, { body: { machines: [] } }],
  ["POST", "/drains", 413, { body: " ".repeat(1024 * 1024 + 1) }],
  ["POST", "/drains", 415, { body: "{}", contentType: "text/plain" }],
  ["GET", "/drains", 200],
  ["DELETE", `/machines/${m1}/cordon`, 409],
  ["DELETE", `/drains/${m1}?keepCordon=false`, 204],
  ["DELETE", `/drains/${m1}`, 404],
  ["GET", "/rebalance?maxMoves=3", 200],
  ["GET", "/rebalance?maxMoves=x", 400],
  ["POST", "/rebalance", 204, { body: { moves: [{ name: "a.service", from: m1, to: m9 }] } }],
  ["GET", "/rebalance", 200],
  ["DELETE", "/rebalance", 204],
  ["POST", "/rebalance", 409, { body: { moves: [{ name: "none.service", from: m1, to: m1 }] } }],
  ["POST", "/rebalance", 400, { body: { moves: [] } }],
  ["POST", "/rebalance", 413, { body: " ".repeat(1024 * 1024 + 1) }],
  ["POST", "/rebalance", 415, { body: "{}", contentType: "text/plain" }],
  ["DELETE", "/rebalance", 404],
  ["GET", "/loss", 200],
  ["DELETE", "/loss", 204],
  ["DELETE", "/loss", 404],
  ["PATCH", "/machines", 204, { body: [{ op: "add", path: "/m/metadata/k", value: "v" }] }],
  ["PATCH", "/machines", 400, { body: [{ op: "move" }] }],
  ["PATCH", "/machines", 413, { body: " ".repeat(1024 * 1024 + 1) }],
  ["POST", "/plan", 200, { body: { destroy: ["a.service", "none.service"], leave: [m1] } }],
  ["POST", "/plan", 200, { body: { cordon: [m1], uncordon: [m1], labels: [{ machineID: m1, key: "a", value: "b" }] } }],
  ["POST", "/plan", 200, {
    body: {
      units: [
        { name: "a.service", desiredState: "launched", options: optionsOf("[Service]\nExecStart=/bin/false") },
        { name: "b.service", desiredState: "loaded" },
        { name: "w.service", desiredState: "launched", options: optionsOf("[X-Fleet]\nMachineID=ffffffff\nTypo=x") },
      ],
    },
  }],
  ["POST", "/plan", 200, { body: { drain: [m1] } }],
  ["POST", "/plan", 400, { body: { leave: ["x"] } }],
  ["POST", "/plan", 413, { body: " ".repeat(8 * 1024 * 1024 + 1) }],
  ["POST", "/plan", 415, { body: "{}", contentType: "text/plain" }],
  ["GET", "/apps", 200],
  ["GET", "/apps?nextPageToken=x", 400],
  ["POST", "/apps/shop", 201, {
    body: {
      units: [
        { name: "s.service", desiredState: "launched", options: optionsOf("[Service]\nExecStart=/bin/true") },
        { name: "s2.service", options: optionsOf("[Service]\nExecStart=/bin/true") },
      ],
      ...{ rollback: true, maxParallel: 2, what: "apply" },
    },
  }],
  ["POST", "/apps/shop", 409, { body: { units: [{ name: "a.service", desiredState: "loaded", revision: 1 }] } }],
  ["POST", "/apps/shop", 400, { body: { units: [{ name: "a.service", revision: "x" }] } }],
  ["POST", "/apps/shop", 413, { body: " ".repeat(8 * 1024 * 1024 + 1) }],
  ["POST", "/apps/shop", 415, { body: "{}", contentType: "text/plain" }],
  ["GET", "/apps", 200],
  ["GET", "/apps/shop", 200],
  ["GET", "/apps/shop?version=9", 404],
  ["GET", "/apps/none", 404],
  ["GET", "/apps/shop/rollout", 200],
  ["GET", "/apps/none/rollout", 404],
  ["POST", "/apps/shop/rollout", 200, { body: { action: "abort" } }],
  ["POST", "/apps/shop/rollout", 409, { body: { action: "resume" } }],
  ["POST", "/apps/shop/rollout", 400, { body: { action: "wait" } }],
  ["POST", "/apps/none/rollout", 404, { body: { action: "abort" } }],
  ["POST", "/apps/shop/rollout", 413, { body: " ".repeat(1024 * 1024 + 1) }],
  ["POST", "/apps/shop/rollout", 415, { body: "{}", contentType: "text/plain" }],
  ["GET", "/apps/deployed", 200],
  ["GET", "/apps/deployed?version=1", 200],
  ["POST", "/apps/deployed/rollout", 201, { body: { action: "undo" } }],
  ["POST", "/apps/deployed/rollout", 200, { body: { action: "abort" } }],
  ["GET", "/events?since=x", 400],
  ["GET", "/events?kind=x", 400],
  ["POST", "/store/accept", 200],
  ["POST", "/store/accept/keep-units", 200],
  ["GET", "/discovery", 200],
  ["GET", "/openapi.json", 200],
];

/** Returns the path of the document that matches a request's path. */
function pathOf({ paths }: Document, path: string): string {
  const plain = path.replace(/\?.*/, "");
  const found = Object.keys(paths).find((each) =>
    new RegExp(`^${each.replaceAll(".", "\\.").replace(/\{\w+\}/, "[^/]+")}$`).test(plain)
  );
  assert.ok(found, `${path} is described`);
  return found;
}

function checkAnswer(document: Document, operation: Operation, answer: Answer): void {
  const described = operation.responses[answer.code];
  assert.ok(described, `${operation.operationId}: ${answer.code} is described`);
  const type = answer.headers.get("Content-Type")?.split(";")[0];
  if (!described.content) return assert.equal(answer.text, "");
  assert.ok(type && described.content[type], `${operation.operationId}: ${answer.code} gives ${type}`);
  if (type !== "application/json") return;
  assert.deepEqual(
    violations(described.content[type].schema, JSON.parse(answer.text), document.components.schemas),
    [],
  );
}

Deno.test("the document is valid OpenAPI 3.1 according to an independent validator", async (test) => {
  await using api = await ApiFixture.open(operator);
  const document = await describe(api);
  const validate = async (what: object) => {
    const { valid, errors } = await new Validator().validate(structuredClone(what) as Record<string, unknown>);
    return valid ? [] : errors;
  };
  await test.step("the document is accepted", async () => {
    assert.deepEqual(await validate(document), []);
    assert.equal(document.openapi, "3.1.0");
  });
  await test.step("a document with a mistake is refused", async () => {
    const { paths, ...rest } = document;
    for (
      const wrong of [
        { ...rest, paths: { ...paths, "/x": { get: { responses: { 200: {} } } } } },
        { ...rest, paths: { ...paths, "/x": { get: { parameters: [{ name: "x", in: "nowhere" }] } } } },
        { ...rest, paths, servers: "none" },
      ]
    ) assert.notDeepEqual(await validate(wrong), []);
  });
  await test.step("every reference has a target", () => {
    const names = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)].map(([, name]) =>
      name!
    );
    assert.ok(names.length > 20);
    assert.deepEqual(names.filter((name) => !Object.hasOwn(document.components.schemas, name)), []);
  });
});

/** A part of the document that must have a description, and its place. */
type Part = readonly [at: string, part: object];

function* partsOf(record: object | undefined, at: string): Generator<Part> {
  for (const [name, part] of Object.entries(record ?? {})) yield [`${at} ${name}`, part];
}

/** The fields of a schema, at any depth. */
function* fieldsOf([at, schema]: Part): Generator<Part> {
  const { properties, items, oneOf } = schema as Record<"properties" | "items" | "oneOf", object>;
  for (const part of partsOf(properties, at)) yield* [part, ...fieldsOf(part)];
  for (const part of partsOf({ ...oneOf, ...(items && { item: items }) }, at)) yield* fieldsOf(part);
}

/** Everything that must have a description. */
function* describedParts({ paths, components }: Document): Generator<Part> {
  for (const schema of partsOf(components.schemas, "schema")) yield* [schema, ...fieldsOf(schema)];
  for (const [path, item] of Object.entries(paths)) {
    for (const [at, operation] of partsOf(item, path)) {
      const { parameters, responses, requestBody } = operation as Operation;
      yield [at, operation];
      yield* partsOf(parameters, `${at} parameter`);
      for (const [where, response] of partsOf(responses, at)) {
        yield [where, response];
        yield* partsOf((response as { headers?: object }).headers, where);
      }
      if (requestBody) yield [`${at} body`, requestBody];
    }
  }
}

Deno.test("every operation, parameter, response, schema and field has a description", async () => {
  await using api = await ApiFixture.open(operator);
  const document = await describe(api);
  const parts = [...describedParts(document)];
  const undescribed = parts.filter(([, part]) => !/\w/.test((part as { description?: string }).description ?? ""));
  assert.deepEqual(undescribed.map(([at]) => at), []);
  const places = parts.map(([at]) => at);
  for (
    const at of [
      "/fleet/v1/units/{unitName} put body",
      "/fleet/v1/units/{unitName} put 201 Warning",
      "/fleet/v1/events get parameter 0",
      "schema Unit name",
      "schema UnitRequest options item value",
      "schema MetadataRequest item value 1 value",
    ]
  ) assert.ok(places.includes(at), at);
});

Deno.test("every response matches its description", async (test) => {
  await using api = await ApiFixture.open(operator);
  await populate(api);
  const document = await describe(api);
  for (const prefix of ["/fleet/v1", "/v1-alpha"]) {
    await deploy(api, `of${prefix.replaceAll("/", "-")}.service`);
    await api.lose("02020202020202020202020202020202", "03030303030303030303030303030303");
    for (const [method, path, code, extras] of requests) {
      await test.step(`${method} ${prefix}${path}: ${code}`, async () => {
        const answer = await api.send(method, prefix + path, extras);
        assert.equal(answer.code, code, answer.text);
        const operation = document.paths[pathOf(document, "/fleet/v1" + path)]?.[method.toLowerCase()];
        assert.ok(operation, `${method} is described`);
        checkAnswer(document, operation, answer);
      });
    }
  }
  for (const path of ["/healthz", "/readyz", "/metrics"]) {
    await test.step(path, async () => {
      checkAnswer(document, document.paths[path]!.get!, await api.send("GET", path));
    });
  }
});

Deno.test("every described operation exists, and the tests try every code that needs no failure", async (test) => {
  await using api = await ApiFixture.open(operator);
  const document = await describe(api);
  /** Codes of other tests, since they take a failure or wrong credentials. */
  const elsewhere = new Set([400, 401, 403, 429, 500, 501, 502, 503, 507]);
  for (const [path, item] of Object.entries(document.paths)) {
    const concrete = path.replace("{unitName}", "a.service").replace("{app}", "shop");
    for (const method of ["GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "HEAD"]) {
      await test.step(`${method} ${path}`, async () => {
        const operation = item[method.toLowerCase()];
        if (!operation) {
          const { code } = await api.send(method, concrete);
          const isProbe = method === "HEAD" && !path.startsWith("/fleet");
          const isOpen = isProbe || path === "/metrics";
          return assert.equal(code, isOpen ? 200 : path.endsWith("/discovery") ? 400 : 405);
        }
        assert.equal((operation.parameters ?? []).some((each) => each.in === "path"), path.includes("{"));
        const described = Object.keys(operation.responses);
        for (const code of ["400", "401", "403"]) assert.ok(described.includes(code), `${code} is common`);
        if (/journal|status|usage|\/(healthz|readyz|metrics)$/.test(path)) return;
        const tried = requests.filter(([of, each]) => of === method && pathOf(document, "/fleet/v1" + each) === path)
          .map(([, , code]) => code);
        for (const code of Object.keys(operation.responses).map(Number)) {
          const isStream = path.endsWith("/events") && code === 200;
          const conflict = code === 409 &&
            (path.includes("/accept") || path.endsWith("/drains") || method === "DELETE");
          assert.ok(tried.includes(code) || elsewhere.has(code) || isStream || conflict, `a test tries ${code}`);
        }
      });
    }
  }
});

Deno.test("a change that conflicts again and again is refused as described", async () => {
  await using api = await ApiFixture.open(operator);
  await populate(api);
  const document = await describe(api);
  const commit = { value: () => Promise.reject(new ConflictError("unit a.service has changed")) };
  const unit = { value: (name: string) => api.registry.unit(name) };
  api.handler = api.handlerOver(Object.create(api.registry, { commit, unit, peek: { value() {} } }));
  for (const method of ["DELETE", "PUT"]) {
    const answer = await api.send(method, "/fleet/v1/units/a.service", { body: { desiredState: "loaded" } });
    assert.equal(answer.code, 409);
    checkAnswer(document, document.paths["/fleet/v1/units/{unitName}"]![method.toLowerCase()]!, answer);
  }
});

/** The parameters of paths, by collection; those of all others are units. */
const parameters = new Map([
  ["machines", "machineID"],
  ["drains", "machineID"],
  ["apps", "app"],
  ["contents", "hash"],
]);

Deno.test("every path of the router is described", async () => {
  await using api = await ApiFixture.open(operator);
  const described = Object.keys((await describe(api)).paths);
  const table = routesOf({} as Api, { ...operator, status: () => ({ ready: true }), version: "" });
  const routed = [...table].filter(([, { actions }]) => Object.keys(actions).length > 0)
    .map(([path]) => path.replace("*", `{${parameters.get(path.split("/")[3]!) ?? "unitName"}}`));
  assert.deepEqual(described.toSorted(), routed.toSorted());
});

Deno.test("every event matches its description", async () => {
  await using api = await ApiFixture.open(operator);
  await populate(api);
  await api.lose("02020202020202020202020202020202", "03030303030303030303030303030303");
  await api.send("POST", "/fleet/v1/drains", { body: { machines: [m1] } });
  const document = await describe(api);
  const seen = new Set<string>();
  let text = "";
  for (const since of ["0", "10m"]) {
    const closing = new AbortController();
    const answer = await api.handler(new Request("http://localhost/"), {
      target: `/fleet/v1/events?since=${since}`,
      closing: closing.signal,
    });
    let read = "";
    for await (const chunk of answer.body!.pipeThrough(new TextDecoderStream())) {
      read += chunk;
      if (read.includes("event: synced")) closing.abort();
    }
    text += read;
  }
  for (const [, event, data] of text.matchAll(/event: (\w+)\ndata: (.*)\n/g)) {
    seen.add(event!);
    const name = `${event![0]!.toUpperCase()}${event!.slice(1)}Event`;
    assert.deepEqual(violations(document.components.schemas[name], JSON.parse(data!), document.components.schemas), []);
  }
  assert.deepEqual([...seen].sort(), [
    "decision",
    "drain",
    "loss",
    "machine",
    "partial",
    "reset",
    "rollout",
    "state",
    "synced",
    "unit",
  ]);
});

Deno.test("the API accepts exactly the requests that match their schema", async () => {
  await using api = await ApiFixture.open(operator);
  const document = await describe(api);
  const fits = (name: string, value: unknown) =>
    violations(document.components.schemas[name], value, document.components.schemas).length === 0;
  const cases: readonly (readonly [method: string, path: string, schema: string, body: unknown, ok: boolean])[] = [
    ["PUT", "/units/a.service", "UnitRequest", { options: optionsOf("[A]\nB=c"), desiredState: "loaded" }, true],
    ["PUT", "/units/a.service", "UnitRequest", { name: "a.service", desiredState: "launched" }, true],
    ["PUT", "/units/a.service", "UnitRequest", { desiredState: "flying" }, false],
    ["PUT", "/units/a.service", "UnitRequest", { desiredState: 1 }, false],
    ["PUT", "/units/a.service", "UnitRequest", { options: [1] }, false],
    ["PUT", "/units/a.service", "UnitRequest", { options: {} }, false],
    ["PUT", "/units/a.service", "UnitRequest", [], false],
    ["PATCH", "/machines", "MetadataRequest", [{ op: "add", path: "/m/metadata/k", value: "v" }], true],
    ["PATCH", "/machines", "MetadataRequest", [{ op: "replace", path: "/m/metadata/k", value: { value: "v" } }], true],
    ["PATCH", "/machines", "MetadataRequest", [{ op: "remove", path: "/m/metadata/k" }], true],
    ["PATCH", "/machines", "MetadataRequest", [{ op: "move", path: "/m/metadata/k" }], false],
    ["PATCH", "/machines", "MetadataRequest", [{ op: "remove", path: "/m/k" }], false],
    ["PATCH", "/machines", "MetadataRequest", [{ op: "add", path: "/m/metadata/k", value: 1 }], false],
    [
      "PATCH",
      "/machines",
      "MetadataRequest",
      [{ op: "add", path: `/${"m".repeat(256)}/metadata/k`, value: "v" }],
      true,
    ],
    [
      "PATCH",
      "/machines",
      "MetadataRequest",
      [{ op: "add", path: `/${"m".repeat(257)}/metadata/k`, value: "v" }],
      false,
    ],
    ["PATCH", "/machines", "MetadataRequest", [{ op: "add", path: "/m/metadata/k", value: "v".repeat(4096) }], true],
    ["PATCH", "/machines", "MetadataRequest", [{ op: "add", path: "/m/metadata/k", value: "v".repeat(4097) }], false],
    ["PATCH", "/machines", "MetadataRequest", {}, false],
    ["POST", "/apps/x", "AppRequest", { units: [{ name: "x.service", options: optionsOf("[A]\nB=c") }] }, true],
    ["POST", "/apps/y", "AppRequest", { units: [{ name: "x.service", revision: -1 }] }, false],
    ["POST", "/apps/y", "AppRequest", { units: [{ name: "x.service", revision: 1.5 }] }, false],
    ["POST", "/apps/y", "AppRequest", { destroy: [{ name: "x.service", revision: "1" }] }, false],
    ["POST", "/apps/y", "AppRequest", { destroy: [{ name: "x.service" }], rollback: 1 }, false],
    ["POST", "/apps/y", "AppRequest", { units: [{ name: "x.service" }], what: "other" }, false],
    ["POST", "/apps/y", "AppRequest", { maxParallel: true }, false],
    ["POST", "/apps/x/rollout", "RolloutRequest", { action: "stop" }, false],
    ["POST", "/apps/x/rollout", "RolloutRequest", { action: "pause" }, true],
  ];
  for (const [method, path, schema, body, ok] of cases) {
    assert.equal(fits(schema, body), ok, JSON.stringify(body));
    const { code, text } = await api.send(method, `/fleet/v1${path}`, { body });
    assert.equal(code < 300, ok, text);
  }
});
