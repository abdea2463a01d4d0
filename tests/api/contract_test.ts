/** Every row of the reference of API v1, over a unix and a TCP socket, below both prefixes. */

import assert from "node:assert/strict";
import { systemClock } from "../../daemon/host/system_clock.ts";
import { exposition } from "../../daemon/telemetry/prometheus.ts";
import { observeEngine, observeRounds, observeStore, openMetrics } from "../../daemon/telemetry/metrics.ts";
import type { Handler } from "../../daemon/api/handler.ts";
import type { Store } from "../../registry/store/port.ts";
import { ApiFixture, errorText } from "../support/api_fixture.ts";
import { filler, m1, m2, type Row, rows } from "./contract_rows.ts";
import {
  answerOf,
  ask,
  loopback,
  type RawAnswer,
  type RawRequest,
  ServerFixture,
  talk,
  written,
} from "./server_fixture.ts";

const prefixes = ["/fleet/v1", "/v1-alpha"];
const global = "[X-Fleet]\nGlobal=true";

/** The metrics of a daemon in which every metric has a value. */
function metrics(): () => Promise<string> {
  const tally = openMetrics();
  const engine = observeEngine(tally, systemClock);
  for (const kind of ["place", "unplace"] as const) engine.applied(kind, true);
  observeRounds("engine", tally)(1, true);
  const store = observeStore({ read: () => Promise.resolve() } as unknown as Store, tally, systemClock, new Map());
  return async () => {
    await store.read([]);
    return await exposition(tally, { ready: true, lease: undefined, states: undefined }, new Map(), systemClock);
  };
}

async function populate(api: ApiFixture): Promise<void> {
  await api.join(m1, "10.0.0.1", { region: "eu", disk: "ssd" });
  await api.join(m2);
  await api.put("a.service", "launched");
  await api.put("b.service", "launched");
  await api.put("e.service", "inactive", "[Service]\nExecStart=");
  await api.put("g.service", "launched", global);
  for (const name of filler) await api.put(name);
  await api.place("a.service", m1);
  await api.report(m1, "a.service", {});
  await api.report(m1, "g.service", {});
  await api.report(m2, "g.service", {});
}

/** Checks the form that all responses share. */
function checkForm({ head, body }: RawAnswer): void {
  assert.match(head, /\r\nserver: fleetd\/1\.2\.3(\r\n|$)/i, "every response has Server");
  if (!/\r\ncontent-type: application\/json/i.test(head) || body === "") return;
  assert.doesNotMatch(body, /\s$/, "no trailing newline");
  const text = JSON.stringify(JSON.parse(body), (_key, value: unknown) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
    return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => a < b ? -1 : 1));
  });
  assert.equal(body, text, "keys are alphabetical");
}

function checkRow(row: Row, answer: RawAnswer): void {
  assert.equal(answer.code, row.code, answer.head + answer.body.slice(0, 500));
  checkForm(answer);
  const isHead = row.method === "HEAD";
  const { refusal, gives } = row;
  if (isHead) assert.equal(answer.body, "");
  else if (refusal !== undefined) {
    if (typeof refusal === "string") assert.equal(answer.body, errorText(row.code, refusal));
    else assert.match((JSON.parse(answer.body) as { error: { message: string } }).error.message, refusal);
  } else if (typeof gives === "object") assert.match(answer.body, gives);
  else assert.equal(answer.body, gives ?? "");
  const hasBody = refusal !== undefined || gives !== undefined;
  const type = /\r\ncontent-type: ([^\r]*)/i.exec(answer.head)?.[1] ?? "";
  assert.equal(type, row.type ?? (hasBody ? "application/json" : ""), "Content-Type");
  if (row.head) assert.match(answer.head, row.head);
}

const sockets = (servers: ServerFixture) => [servers.unix(), loopback];

for (const kind of ["unix", "tcp"]) {
  for (const prefix of prefixes) {
    Deno.test(`each row of the reference, ${kind} socket, ${prefix}`, async (test) => {
      await using api = await ApiFixture.open({ metrics: metrics() });
      await using servers = new ServerFixture();
      await populate(api);
      const spec = sockets(servers).find((each) => each.kind === kind)!;
      const { addresses: [address] } = await servers.serve(api.handler, spec);
      for (const row of rows) {
        await test.step(row.row, async () => {
          const path = row.at.startsWith("^") ? row.at.slice(1) : prefix + row.at;
          const { row: _row, at: _at, ...request } = row;
          checkRow(row, await ask(address!, { ...request, path }));
        });
      }
    });
  }
}

/** Sends a request over both sockets, and returns the responses. */
async function askBoth(handler: Handler, request: RawRequest): Promise<RawAnswer[]> {
  await using servers = new ServerFixture();
  const started = await Promise.all(sockets(servers).map((spec) => servers.serve(handler, spec)));
  return await Promise.all(started.map(async (server) => answerOf(await talk(server.addresses[0]!, written(request)))));
}

Deno.test("1 while etcd is unreachable or fleetd is starting, every path is 503", async (test) => {
  await using api = await ApiFixture.open();
  const starting = api.handlerOver(api.registry, { status: () => ({ ready: false, reason: "it is starting" }) });
  const refusal = errorText(503, "fleet server unable to communicate with etcd: it is starting");
  const paths = ["discovery", "machines", "units", "units/a.service", "state", "state/a.service", "nothing", ""]
    .flatMap((path) => prefixes.map((prefix) => `${prefix}/${path}`));
  for (const path of ["/", ...prefixes, ...paths, "//"]) {
    for (const method of ["GET", "PUT"]) {
      await test.step(`${method} ${path}`, async () => {
        for (const answer of await askBoth(starting, { method, path })) {
          assert.deepEqual([answer.code, answer.body], [503, refusal]);
          checkForm(answer);
        }
      });
    }
  }
});

Deno.test("1 internal failures are 500 with the reason", async (test) => {
  await using api = await ApiFixture.open();
  const fail = { value: () => Promise.reject(new Error("etcdserver: no space")) };
  const failing = api.handlerOver(
    Object.create(api.registry, { read: fail, unit: fail, commit: fail, peek: { value() {} } }),
  );
  const patch = '[{"op":"remove","path":"/m/metadata/k"}]';
  const cases: readonly (readonly [request: RawRequest, message: string])[] = [
    [{ path: "/fleet/v1/units" }, "etcdserver: no space"],
    [{ path: "/v1-alpha/state/a.service" }, "etcdserver: no space"],
    [{ method: "DELETE", path: "/fleet/v1/units/a.service" }, "etcdserver: no space"],
    [{ method: "PATCH", path: "/fleet/v1/machines", body: patch }, "etcdserver: no space"],
  ];
  for (const [request, message] of cases) {
    await test.step(`${request.method ?? "GET"} ${request.path}`, async () => {
      for (const answer of await askBoth(failing, request)) {
        assert.deepEqual([answer.code, answer.body], [500, errorText(500, message)]);
      }
    });
  }
});

Deno.test("3 a collection that ends exactly on a page boundary has no further page [K or F]", async () => {
  await using api = await ApiFixture.open({ pageSize: 2 });
  for (const machine of ["m1", "m2"]) await api.join(machine);
  for (const { body } of await askBoth(api.handler, { path: "/fleet/v1/machines" })) {
    assert.equal(body, '{"machines":[{"id":"m1"},{"id":"m2"}]}');
  }
});

Deno.test("3 an empty collection is {}", async () => {
  await using api = await ApiFixture.open();
  for (const list of ["machines", "units", "state"]) {
    for (const { body } of await askBoth(api.handler, { path: `/fleet/v1/${list}` })) assert.equal(body, "{}");
  }
});

Deno.test("3 while units come and go, pages list each remaining unit once", async () => {
  for (const prefix of prefixes) {
    await using api = await ApiFixture.open({ pageSize: 2 });
    await using servers = new ServerFixture();
    const { addresses: [address] } = await servers.serve(api.handler, servers.unix());
    for (const name of ["b", "c", "d", "e", "f"]) await api.put(`${name}.service`);
    const page = async (token?: string): Promise<{ readonly units: string[]; readonly next?: string }> => {
      const path = `${prefix}/units${token === undefined ? "" : `?nextPageToken=${encodeURIComponent(token)}`}`;
      const { units = [], nextPageToken: next } = JSON.parse((await ask(address!, { path })).body);
      return { units: units.map(({ name }: { name: string }) => name[0]), next };
    };
    const first = await page();
    assert.deepEqual(first.units, ["b", "c"]);
    await api.send("DELETE", "/fleet/v1/units/b.service");
    const second = await page(first.next);
    assert.deepEqual(second.units, ["d", "e"]);
    for (const name of ["a", "b", "bb"]) await api.put(`${name}.service`);
    await api.send("DELETE", "/fleet/v1/units/e.service");
    assert.deepEqual(await page(second.next), { units: ["f"], next: undefined });
  }
});

interface Method {
  readonly id: string;
  readonly httpMethod: string;
  readonly path: string;
  readonly parameters: Readonly<Record<string, { readonly required?: boolean; readonly location: string }>>;
  readonly parameterOrder?: readonly string[];
  readonly response?: { readonly $ref: string };
  readonly request?: { readonly $ref: string };
}

Deno.test("7 discovery document", async (test) => {
  await using api = await ApiFixture.open();
  const [first, second] = await askBoth(api.handler, { path: "/v1-alpha/discovery" });
  assert.equal(first!.body, second!.body);
  const { schemas, resources, ...head } = JSON.parse(first!.body);
  const fields: Readonly<Record<string, unknown>> = {
    ...{ kind: "discovery#restDescription", discoveryVersion: "v1", id: "fleet:v1", name: "schema", version: "v1" },
    ...{ title: "fleet API", protocol: "rest", baseUrl: "$ENDPOINT/fleet/v1/", rootUrl: "$ENDPOINT/" },
    ...{ basePath: "/fleet/v1/", servicePath: "fleet/v1/", batchPath: "batch", description: "" },
    ...{ icons: { x16: "", x32: "" }, labels: [], parameters: {}, auth: {} },
    documentationLink: "http://github.com/coreos/fleet",
  };
  for (const [name, value] of Object.entries(fields)) {
    await test.step(`7 ${name}`, () => assert.deepEqual(head[name], value));
  }
  const entities: Readonly<Record<string, string>> = {
    ...{ Machine: "id metadata primaryIP", MachinePage: "machines nextPageToken", UnitOption: "name section value" },
    ...{ Unit: "currentState desiredState machineID name options", UnitPage: "nextPageToken units" },
    UnitState: "hash machineID name systemdActiveState systemdLoadState systemdSubState",
    UnitStatePage: "nextPageToken states",
  };
  for (const [name, properties] of Object.entries(entities)) {
    await test.step(`7 schema ${name}`, () => {
      const { id, type } = schemas[name];
      assert.deepEqual([id, type, Object.keys(schemas[name].properties).join(" ")], [name, "object", properties]);
    });
  }
  await test.step("7 Unit's states are enums, its machineID is required", () => {
    const { desiredState, currentState, machineID } = schemas.Unit.properties;
    for (const state of [desiredState, currentState]) assert.deepEqual(state.enum, ["inactive", "loaded", "launched"]);
    assert.equal(machineID.required, true);
  });
  await test.step("7 $ref for nesting, additionalProperties for metadata", () => {
    for (
      const [page, list, entity] of [["MachinePage", "machines", "Machine"], ["UnitPage", "units", "Unit"]] as const
    ) {
      assert.equal(schemas[page].properties[list].items.$ref, entity);
    }
    assert.equal(schemas.UnitStatePage.properties.states.items.$ref, "UnitState");
    assert.equal(schemas.Unit.properties.options.items.$ref, "UnitOption");
    assert.equal(schemas.Machine.properties.metadata.additionalProperties.type, "string");
  });
  const methods: readonly (readonly [name: string, id: string, http: string, path: string, parameters: string])[] = [
    ["Machines.List", "fleet.Machine.List", "GET", "machines", "nextPageToken"],
    ["Units.List", "fleet.Unit.List", "GET", "units", "nextPageToken"],
    ["Units.Get", "fleet.Unit.Get", "GET", "units/{unitName}", "unitName!"],
    ["Units.Delete", "fleet.Unit.Delete", "DELETE", "units/{unitName}", "unitName!"],
    ["Units.Set", "fleet.Unit.Set", "PUT", "units/{unitName}", "unitName!"],
    ["UnitState.List", "fleet.UnitState.List", "GET", "state", "machineID nextPageToken unitName"],
    ["UnitState.Get", "fleet.UnitState.Get", "GET", "state/{unitName}", "unitName!"],
  ];
  const responses: Readonly<Record<string, string>> = {
    ...{ "Machines.List": "MachinePage", "Units.List": "UnitPage", "Units.Get": "Unit" },
    ...{ "UnitState.List": "UnitStatePage", "UnitState.Get": "UnitState" },
  };
  for (const [name, ...row] of methods) {
    await test.step(`7 ${name}`, () => {
      const [resource, verb] = name.split(".");
      const method: Method = resources[resource!].methods[verb!];
      const parameters = Object.entries(method.parameters).map(([name, { required }]) => name + (required ? "!" : ""));
      assert.deepEqual([method.id, method.httpMethod, method.path, parameters.toSorted().join(" ")], row);
      assert.equal(method.request?.$ref, name === "Units.Set" ? "Unit" : undefined);
      for (const [parameter, { location }] of Object.entries(method.parameters)) {
        assert.equal(location, row[2].includes(`{${parameter}}`) ? "path" : "query");
      }
      assert.deepEqual(method.parameterOrder ?? [], row[3].includes("!") ? ["unitName"] : []);
      assert.equal(method.response?.$ref, responses[name]);
    });
  }
  await test.step("7 PATCH machines is not described, nor anything else", () => {
    const all = Object.entries(resources as Record<string, { methods: object }>)
      .flatMap(([resource, { methods }]) => Object.keys(methods).map((method) => `${resource}.${method}`));
    assert.deepEqual(all.toSorted(), methods.map(([name]) => name).toSorted());
  });
});
