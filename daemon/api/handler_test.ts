import assert from "node:assert/strict";
import { ApiFixture, errorText } from "../../tests/support/api_fixture.ts";
import {
  ConflictError,
  OutcomeUnknownError,
  StoreLimitError,
  StoreUnavailableError,
  WrongStoreError,
} from "../../registry/mod.ts";
import { systemClock } from "../host/system_clock.ts";
import type { HandlerOptions } from "./handler.ts";

const methods = ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"];

/** The methods that each path allows, and its refusal of all others. */
const table: readonly (readonly [path: string, allowed: readonly string[], code: number, message: string])[] = [
  ["/discovery", ["GET"], 400, "only HTTP GET supported against this resource"],
  ["/machines", ["GET", "PATCH"], 405, "only GET and PATCH supported against this resource"],
  ["/units", ["GET"], 405, "only GET supported against this resource"],
  ["/units/a.service", ["GET", "PUT", "DELETE"], 405, "only GET, PUT and DELETE supported against this resource"],
  ["/units/a.service/restart", ["POST"], 405, "only POST supported against this resource"],
  ["/units/a.service/explain", ["GET"], 405, "only GET supported against this resource"],
  ["/units/a.service/journal", ["GET"], 405, "only GET supported against this resource"],
  ["/units/a.service/status", ["GET"], 405, "only GET supported against this resource"],
  ["/openapi.json", ["GET"], 405, "only GET supported against this resource"],
  ["/state", ["GET"], 405, "only GET supported against this resource"],
  ["/state/a.service", ["GET"], 405, "only GET supported against this resource"],
  ["/events", ["GET"], 405, "only GET supported against this resource"],
  ["", [], 405, "no method is supported against this resource"],
];

Deno.test("a method that a path does not have is refused", async (test) => {
  await using api = await ApiFixture.open();
  for (const prefix of ["/fleet/v1", "/v1-alpha"]) {
    for (const [path, allowed, code, message] of [...table]) {
      for (const method of methods.filter((each) => !allowed.includes(each))) {
        await test.step(`${method} ${prefix}${path}`, async () => {
          const answer = await api.send(method, prefix + path);
          assert.equal(answer.code, code);
          assert.equal(answer.text, errorText(code, message));
          assert.equal(answer.headers.get("Content-Type"), "application/json");
          assert.equal(answer.headers.get("Server"), "fleetd/1.2.3");
        });
      }
    }
  }
});

const paths: readonly (readonly [path: string, code: number])[] = [
  ["/", 405],
  ["/fleet", 404],
  ["/fleet/", 404],
  ["/fleet/v2", 404],
  ["/fleet/v1/", 404],
  ["/v1-alpha/", 404],
  ["/fleet/v1/units/", 404],
  ["/fleet/v1/state/", 404],
  ["/fleet/v1/machines/", 404],
  ["/fleet/v1/discovery/", 404],
  ["/fleet/v1/events/", 404],
  ["/metrics/", 404],
  ["/fleet/v1/machines/m1", 404],
  ["/fleet/v1/units/a/b", 404],
  ["/fleet/v1/units/a%2Fb", 404],
  ["/fleet/v1/units/a/restart/", 404],
  ["/fleet/v1/units%2F*", 404],
  ["/fleet/v1/state/a/restart", 404],
  ["/fleet/v1/nothing", 404],
  ["/FLEET/v1/units", 404],
  ["*", 404],
];

Deno.test("an unknown path is 404, and a path without methods 405", async (test) => {
  await using api = await ApiFixture.open();
  for (const [path, code] of paths) {
    await test.step(`${path} ${code}`, async () => {
      const answer = await api.send("GET", path === "*" ? "/*" : path);
      assert.equal(answer.code, code);
      const { error } = JSON.parse(answer.text);
      assert.equal(error.code, code);
      assert.match(error.message, code === 404 ? /^no resource at this path/ : /^no method is supported/);
    });
  }
});

const moves: readonly (readonly [from: string, to: string])[] = [
  ["//fleet/v1/units", "/fleet/v1/units"],
  ["/fleet//v1/units/", "/fleet/v1/units/"],
  ["/fleet/v1/x/../units?alt=json&q=a%20b", "/fleet/v1/units?alt=json&q=a%20b"],
  ["/fleet/v1/./units", "/fleet/v1/units"],
  ["/fleet/v1/x/%2e%2e/units", "/fleet/v1/units"],
  ["/../..", "/"],
  ["/fleet/v1/units//a%20b@1.service", "/fleet/v1/units/a%20b@1.service"],
  ["*", "/*"],
];

Deno.test("a path that is not canonical is redirected", async (test) => {
  await using api = await ApiFixture.open();
  for (const [from, to] of moves) {
    await test.step(from, async () => {
      const answer = await api.send("GET", from);
      assert.equal(answer.code, 301);
      assert.equal(answer.headers.get("Location"), to);
      assert.equal(answer.headers.get("Content-Type"), "text/html; charset=utf-8");
      assert.equal(answer.text, `<a href="${to.replaceAll("&", "&amp;")}">Moved Permanently</a>.\n\n`);
    });
  }
});

Deno.test("request targets are decoded", async (test) => {
  await using api = await ApiFixture.open();
  await api.put("a\\x2db@1.service");
  for (
    const target of [
      "/fleet/v1/units/a%5Cx2db%401.service",
      "/fleet/v1/units/a\\x2db@1.service?alt=json",
      "http://domain-sock/v1-alpha/units/a%5cx2db@1.service",
      "HTTP://[::1]:49153/v1-alpha/units/a\\x2db@1.service",
    ]
  ) {
    await test.step(target, async () => assert.equal((await api.send("GET", target)).code, 200));
  }
  await test.step("an invalid escape is refused", async () => {
    const answer = await api.send("GET", "/fleet/v1/units/a%zz.service");
    assert.equal(answer.text, errorText(400, 'invalid URL escape "%zz"'));
  });
  await test.step("an incomplete escape is refused", async () => {
    assert.equal((await api.send("GET", "/fleet/v1/units/a%")).text, errorText(400, 'invalid URL escape "%"'));
  });
  await test.step("bytes that are not UTF-8 match no unit", async () => {
    assert.equal((await api.send("GET", "/fleet/v1/units/%ff.service")).code, 404);
  });
});

Deno.test("a daemon that cannot answer for the cluster refuses all but the probes", async (test) => {
  await using api = await ApiFixture.open();
  const starting = api.handlerOver(api.registry, { status: () => ({ ready: false }) });
  const refused = api.handlerOver(api.registry, { status: () => ({ ready: false, reason: "no route to etcd1" }) });
  const send = async (handler: typeof starting, path: string, method = "GET") => {
    api.handler = handler;
    const { code, text } = await api.send(method, path);
    return [code, text];
  };
  const message = "fleet server unable to communicate with etcd";
  for (const path of ["/", "/fleet/v1/units", "/fleet/v1/discovery", "/metrics", "/nothing", "//x", "/%zz"]) {
    await test.step(`${path} is 503`, async () => {
      assert.deepEqual(await send(starting, path), [503, errorText(503, message)]);
      assert.deepEqual(await send(refused, path, "PUT"), [503, errorText(503, `${message}: no route to etcd1`)]);
    });
  }
  await test.step("/healthz is ok while the process lives", async () => {
    assert.deepEqual(await send(starting, "/healthz"), [200, "ok"]);
  });
  await test.step("/readyz gives the reason why the daemon is not ready", async () => {
    assert.deepEqual(await send(starting, "/readyz"), [503, "not ready"]);
    assert.deepEqual(await send(refused, "/readyz"), [503, "no route to etcd1"]);
  });
  await test.step("while the machine's lease has expired, /readyz says so and the cluster is answered for", async () => {
    const handler = api.handlerOver(api.registry, { status: () => ({ ready: true, missing: "not renewed" }) });
    assert.deepEqual(await send(handler, "/readyz"), [503, "not renewed"]);
    assert.equal((await send(handler, "/fleet/v1/units"))[0], 200);
  });
  await test.step("/readyz is ok when the daemon is ready", async () => {
    assert.deepEqual(await send(api.handlerOver(api.registry), "/readyz"), [200, "ok"]);
    assert.equal((await send(api.handlerOver(api.registry), "/readyz", "PUT"))[0], 405);
  });
});

Deno.test("requests wait while the daemon starts", async (test) => {
  await using api = await ApiFixture.open();
  const started = Promise.withResolvers<void>();
  let status: ReturnType<HandlerOptions["status"]> = { ready: false, reason: "fleetd is starting", starting: true };
  const wait = { status: () => status, started: () => started.promise };
  await test.step("/healthz and /readyz are answered at once", async () => {
    api.handler = api.handlerOver(api.registry, wait);
    assert.deepEqual(await api.send("GET", "/healthz").then(({ code }) => code), 200);
    assert.deepEqual(await api.send("GET", "/readyz").then(({ code }) => code), 503);
  });
  await test.step("after a time limit they are answered by 503 with the reason", async () => {
    const slept_ms: number[] = [];
    const sleep = (duration_ms: number) => Promise.resolve(void slept_ms.push(duration_ms));
    api.handler = api.handlerOver(api.registry, { ...wait, clock: { ...systemClock, sleep } });
    const { code, text } = await api.send("GET", "/fleet/v1/units");
    assert.deepEqual([code, slept_ms], [503, [5_000]]);
    assert.match(text, /fleetd is starting/);
  });
  await test.step("they are answered once it has started", async () => {
    api.handler = api.handlerOver(api.registry, wait);
    const answer = api.send("GET", "/fleet/v1/units");
    status = { ready: true };
    started.resolve();
    assert.equal((await answer).code, 200);
  });
});

Deno.test("a failure of the store is answered by its kind", async (test) => {
  await using api = await ApiFixture.open();
  const failing = (error: Error) => {
    const fail = { value: () => Promise.reject(error) };
    const peek = { value: () => undefined };
    return api.handlerOver(Object.create(api.registry, { read: fail, unit: fail, commit: fail, peek }));
  };
  const body = [{ op: "remove", path: "/m/metadata/k" }];
  await test.step("an unreachable store: 503 with its endpoint", async () => {
    api.handler = failing(new StoreUnavailableError("http://e:2379 did not answer"));
    const text = errorText(503, "fleet server unable to communicate with etcd: http://e:2379 did not answer");
    for (const path of ["units", "units/a.service", "state", "machines"]) {
      const answer = await api.send("GET", `/fleet/v1/${path}`);
      assert.deepEqual([answer.code, answer.text], [503, text]);
    }
    assert.equal((await api.send("DELETE", "/fleet/v1/units/a.service")).text, text);
    assert.equal((await api.send("PATCH", "/fleet/v1/machines", { body })).text, text);
  });
  await test.step("a wrong store: 503 with the difference", async () => {
    const error = new WrongStoreError({ id: "a", revision: 5 }, { id: "b", revision: 1 });
    api.handler = failing(error);
    assert.equal((await api.send("GET", "/fleet/v1/units")).text, errorText(503, error.message));
    assert.equal((await api.send("PATCH", "/fleet/v1/machines", { body })).text, errorText(503, error.message));
  });
  await test.step("a change above the limit of the store: 413 with the limit", async () => {
    const error = new StoreLimitError("etcd at http://e:2379 takes no txn of this size");
    api.handler = failing(error);
    assert.equal((await api.send("DELETE", "/fleet/v1/units/a.service")).text, errorText(413, error.message));
    assert.equal((await api.send("PATCH", "/fleet/v1/machines", { body })).text, errorText(413, error.message));
  });
  await test.step("a full store: 507 with what to do", async () => {
    const error = new OutcomeUnknownError("etcd at http://e:2379 takes no writes (alarm disarm)", true, {
      isFull: true,
    });
    api.handler = failing(error);
    assert.equal((await api.send("DELETE", "/fleet/v1/units/a.service")).text, errorText(507, error.message));
    assert.equal((await api.send("PATCH", "/fleet/v1/machines", { body })).text, errorText(507, error.message));
  });
  await test.step("an error without a message: 500 with its name", async () => {
    api.handler = failing(Object.assign(new Error(""), { code: "EMFILE" }));
    assert.equal((await api.send("GET", "/fleet/v1/units")).text, errorText(500, "Error EMFILE"));
    api.logged.length = 0;
  });
  await test.step("any other error: 500 with the reason, which is logged, too", async () => {
    api.handler = failing(new Error("etcdserver: mvcc: database space exceeded"));
    const answer = await api.send("GET", "/fleet/v1/units");
    assert.deepEqual([answer.code, answer.text], [500, errorText(500, "etcdserver: mvcc: database space exceeded")]);
    assert.deepEqual(api.logged, ["a request failed"]);
  });
  await test.step("any other error of a PATCH: 500 with the reason", async () => {
    const answer = await api.send("PATCH", "/fleet/v1/machines", { body });
    assert.equal(answer.text, errorText(500, "etcdserver: mvcc: database space exceeded"));
  });
});

Deno.test("no error has an empty message, whatever the store or systemd refuses", async () => {
  const refusals: readonly unknown[] = [
    ...[StoreUnavailableError, StoreLimitError, ConflictError, Error, TypeError].map((kind) => new kind("")),
    new StoreUnavailableError("", { isFull: true }),
    new OutcomeUnknownError("", true),
    new WrongStoreError({ id: "", revision: 1 }, { revision: 0 }),
    new AggregateError([]),
    Object.assign(new Error(""), { name: "" }),
    ...["", " ", null, undefined, {}],
  ];
  for (const refusal of refusals) {
    const fail = () => Promise.reject(refusal);
    const localMachine = {
      id: () => "m1",
      journal: () => {
        throw refusal;
      },
      ...{ statusText: fail, statusProperties: fail, usage: fail, verify: fail, fetchPeer: fail },
    };
    await using api = await ApiFixture.open({ localMachine, acceptStore: fail });
    await api.put("a.service", "launched");
    await api.join("m2", "10.0.0.2", {}, "http://10.0.0.2");
    const withStore = api.handler;
    const withoutStore = api.handlerOver(
      Object.create(api.registry, { read: { value: fail }, unit: { value: fail }, commit: { value: fail } }),
    );
    const unready = api.handlerOver(api.registry, { status: () => ({ ready: false, reason: String(refusal) }) });
    const check = async (handler: typeof withStore, method: string, path: string, body?: unknown) => {
      api.handler = handler;
      const { code, text } = await api.send(method, `/fleet/v1${path}`, body === undefined ? {} : { body });
      assert.ok(code >= 400, `${method} ${path}: ${code}`);
      assert.match(JSON.parse(text).error.message, /\w$|\w.*[^:\s]$/, `${method} ${path}: ${text}`);
    };
    const metadata = [{ op: "remove", path: "/m/metadata/k" }];
    for (const handler of [withoutStore, unready]) {
      for (const path of ["/units", "/units/a.service", "/units/a.service/explain", "/state", "/state/a.service"]) {
        await check(handler, "GET", path);
      }
      await check(handler, "GET", "/machines");
      await check(handler, "PATCH", "/machines", metadata);
      await check(handler, "PUT", "/units/a.service", { desiredState: "loaded" });
      await check(handler, "DELETE", "/units/a.service");
      for (const verb of ["restart", "start", "stop"]) await check(handler, "POST", `/units/a.service/${verb}`);
    }
    for (const kind of ["journal", "status"]) {
      await check(withStore, "GET", `/units/a.service/${kind}?machineID=m1`);
      await check(withStore, "GET", `/units/a.service/${kind}?machineID=m2`);
    }
    await check(withStore, "POST", "/store/accept");
  }
});

Deno.test("lists come in pages", async (test) => {
  await using api = await ApiFixture.open({ pageSize: 2 });
  for (const name of ["b.service", "c.service", "a.service"]) await api.put(name);
  for (const id of ["m2", "m1", "m3"]) await api.join(id);
  await api.report("m2", "a.service", {});
  await api.report("m1", "a.service", {});
  await api.report("m3", "b.service", {});
  const names = async (path: string) => {
    const page = JSON.parse((await api.send("GET", path)).text);
    const items = (page.units ?? page.machines ?? page.states ?? []) as {
      id?: string;
      name?: string;
      machineID?: string;
    }[];
    return [
      items.map((item) => item.id ?? [item.name, item.machineID].filter((part) => part).join("@")),
      page.nextPageToken,
    ];
  };
  await test.step("units by name", async () => {
    assert.deepEqual(await names("/fleet/v1/units"), [["a.service", "b.service"], "AgACAD5iLnNlcnZpY2U="]);
    assert.deepEqual(await names("/fleet/v1/units?nextPageToken=AgACAA=="), [["c.service"], undefined]);
    assert.deepEqual(await names("/fleet/v1/units?nextPageToken=AgACAD5iLnNlcnZpY2U="), [["c.service"], undefined]);
    assert.equal((await api.send("GET", "/fleet/v1/units?nextPageToken=AgADAA==")).text, "{}");
  });
  await test.step("machines by ID", async () => {
    assert.deepEqual(await names("/fleet/v1/machines"), [["m1", "m2"], "AgACAD5tMg=="]);
    assert.deepEqual(await names("/fleet/v1/machines?nextPageToken=AgACAA=="), [["m3"], undefined]);
    assert.deepEqual(await names("/fleet/v1/machines?nextPageToken=AgACAD5tMg=="), [["m3"], undefined]);
  });
  await test.step("states by name and machine ID", async () => {
    assert.deepEqual(await names("/fleet/v1/state"), [["a.service@m1", "a.service@m2"], "AgACAD5hLnNlcnZpY2UgbTI="]);
    assert.deepEqual(await names("/fleet/v1/state?nextPageToken=AgACAA=="), [["b.service@m3"], undefined]);
    assert.deepEqual(await names("/fleet/v1/state?nextPageToken=AgACAD5hLnNlcnZpY2UgbTI="), [
      ["b.service@m3"],
      undefined,
    ]);
  });
  for (const path of ["units", "machines", "state"]) {
    await test.step(`/${path} refuses a bad token`, async () => {
      const answer = await api.send("GET", `/fleet/v1/${path}?nextPageToken=ZAACAA==`);
      assert.equal(answer.text, errorText(400, "token limit must be 2"));
    });
  }
});

Deno.test("a page size that no token can hold is refused", async () => {
  await using api = await ApiFixture.open();
  for (const pageSize of [0, 65536, 1.5]) assert.throws(() => api.handlerOver(api.registry, { pageSize }), RangeError);
});
