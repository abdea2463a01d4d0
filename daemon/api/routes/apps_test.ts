import assert from "node:assert/strict";
import { ApiFixture, errorText, optionsOf } from "../../../tests/support/api_fixture.ts";
import { ClusterRegistry } from "../../../registry/cluster_registry.ts";
import type { Rollout } from "../../../registry/model.ts";
import { systemClock } from "../../host/system_clock.ts";
import { changes } from "../events/diff.ts";
import { rolloutNow } from "../v1/app_entities.ts";
import type { AppEntity, AppPage, PlanEntity, RolloutEntity, RolloutEvent, UnitEvent } from "../v1/types.ts";

const m1 = "454c34ef000000000000000000000001";
const peer = { connection: { kind: "unix", remote: "unix", hosts: [""] }, as: "deployer" } as const;
const file = (command: string) => `[Service]\nExecStart=${command}`;
const unit = (name: string, command: string, revision = 0, desiredState = "launched") => ({
  ...{ name, desiredState, revision, options: optionsOf(file(command)) },
});

/** Requests about the applications of a fixture. */
function clientOf(api: ApiFixture) {
  const ask = async <T>(code: number, method: string, path: string, body?: unknown): Promise<T> => {
    const answer = await api.send(method, `/fleet/v1${path}`, body === undefined ? { peer } : { body, peer });
    assert.equal(answer.code, code, answer.text);
    return JSON.parse(answer.text);
  };
  return {
    get: <T>(path: string) => ask<T>(200, "GET", path),
    post: <T>(path: string, body: unknown, code = 201) => ask<T>(code, "POST", path, body),
    refusal: async (code: number, method: string, path: string, body?: unknown) =>
      (await ask<{ error: { message: string } }>(code, method, path, body)).error.message,
    plan: (body: unknown) => ask<PlanEntity>(200, "POST", "/plan", body),
    revisionOf: async (name: string) => (await api.registry.read()).units.get(name)?.revision ?? 0,
  };
}

Deno.test("POST /apps/{app} starts a roll-out of the planned changes", async (test) => {
  await using api = await ApiFixture.open();
  const { get, post, refusal, revisionOf } = clientOf(api);
  await api.join(m1, "10.77.0.11");
  await api.put("old.service", "launched", file("/bin/old"));
  await api.put("same.service", "launched", file("/bin/same"));
  await api.put("gone.service", "launched", file("/bin/gone"));
  const revisions = Object.fromEntries(
    await Promise.all(["old", "same", "gone"].map(async (name) => [name, await revisionOf(`${name}.service`)])),
  );

  await test.step("an application does not exist before", async () => {
    assert.deepEqual(await get<AppPage>("/apps"), {});
    assert.equal(await refusal(404, "GET", "/apps/shop"), "application does not exist");
    assert.equal(await refusal(404, "GET", "/apps/shop/rollout"), "application has no roll-out");
  });

  await test.step("each unit is a step, in the order of the request", async () => {
    const begun = await post<RolloutEntity>("/apps/shop", {
      units: [
        unit("new.service", "/bin/new"),
        unit("old.service", "/bin/newer", revisions.old),
        unit("same.service", "/bin/same", revisions.same),
      ],
      destroy: [{ name: "gone.service", revision: revisions.gone }],
      ...{ rollback: true, maxParallel: 2 },
    });
    const { id, changed, steps = [], ...rest } = begun;
    assert.match(id, /./);
    assert.equal(changed?.by, "deployer");
    assert.deepEqual(rest, { app: "shop", what: "apply", status: "running", maxParallel: 2, rollback: true });
    assert.deepEqual(steps.map(({ name, change, state, from, to }) => [name, change, state, !!from, !!to]), [
      ["new.service", "create", "pending", false, true],
      ["old.service", "replace", "pending", true, true],
      ["same.service", "adopt", "pending", true, true],
      ["gone.service", "destroy", "pending", true, false],
    ]);
    assert.deepEqual(await get("/apps/shop/rollout"), begun);
    const { apps: [listed] = [] } = await get<AppPage>("/apps");
    assert.deepEqual([listed?.name, listed?.size, listed?.version, listed?.rollout?.status], ["shop", 0, 0, "running"]);
    assert.equal(listed?.rollout?.steps, undefined);
  });

  await test.step("a second roll-out is refused while the first one runs", async () => {
    assert.equal(
      await refusal(409, "POST", "/apps/shop", { units: [unit("x.service", "/bin/x")] }),
      'application "shop" has a roll-out that is running, which deployer has started: wait for its end, or abort it',
    );
    assert.equal(
      (await post<RolloutEntity>("/apps/other", { units: [unit("x.service", "/bin/x")] })).status,
      "running",
    );
  });

  await test.step("the application owns its units, and has a version once the roll-out is done", async () => {
    const all = ["new", "old", "same", "gone"].map((name) => [`${name}.service`, "healthy"]);
    await api.advance("shop", "done", Object.fromEntries(all));
    const { units = [], versions = [], ...rest } = await get<AppEntity>("/apps/shop");
    assert.deepEqual(units.map(({ name, app }) => [name, app]), [
      ...["new.service", "old.service", "same.service"].map((name) => [name, "shop"]),
    ]);
    assert.deepEqual([rest.version, rest.size, rest.rollout?.status], [1, 3, "done"]);
    assert.deepEqual(versions.map(({ version, what, changed, units }) => [version, what, changed?.by, units]), [
      [1, "apply", "deployer", ["gone.service", "new.service", "old.service"]],
    ]);
  });
});

Deno.test("a roll-out of changes that were planned on another state is refused", async (test) => {
  await using api = await ApiFixture.open();
  const { post, refusal, revisionOf } = clientOf(api);
  await api.put("a.service", "launched", file("/bin/1"));
  const planned = await revisionOf("a.service");
  const body = { desiredState: "launched", options: optionsOf(file("/bin/by-hand")) };
  assert.equal((await api.send("PUT", "/fleet/v1/units/a.service", { body, peer })).code, 201);

  await test.step("a unit that was changed, created or destroyed is named", async () => {
    const since = "since the plan was made: plan again";
    const start = (body: unknown) => refusal(409, "POST", "/apps/shop", body);
    assert.equal(
      await start({ units: [unit("a.service", "/bin/2", planned)] }),
      `unit "a.service" was changed by deployer ${since}`,
    );
    assert.equal(
      await start({ units: [unit("a.service", "/bin/2")] }),
      `unit "a.service" was created by deployer ${since}`,
    );
    assert.equal(
      await start({ destroy: [{ name: "b.service", revision: 7 }] }),
      `unit "b.service" was destroyed ${since}`,
    );
  });

  await test.step("a unit of another application is refused with its owner", async () => {
    await post("/apps/shop", { units: [unit("a.service", "/bin/2", await revisionOf("a.service"))] });
    await api.advance("shop", "done", { "a.service": "healthy" });
    const why = 'unit "a.service" belongs to application "shop": change it there, or destroy it first';
    const revision = await revisionOf("a.service");
    assert.equal(await refusal(409, "POST", "/apps/other", { units: [unit("a.service", "/bin/3", revision)] }), why);
    assert.equal(await refusal(409, "POST", "/apps/other", { destroy: [{ name: "a.service", revision }] }), why);
  });

  await test.step("requests that make no sense are refused", async () => {
    const cases: readonly (readonly [path: string, body: unknown, message: RegExp])[] = [
      ["/apps/shop", {}, /^the request changes no unit$/],
      ["/apps/shop", { what: "guess", units: [unit("b.service", "/bin/b")] }, /^unknown what "guess"/],
      [
        "/apps/shop",
        { units: [unit("b.service", "/bin/b"), unit("b.service", "/bin/c")] },
        /^unit "b.service" is named twice$/,
      ],
      ["/apps/shop", { units: [unit("no suffix", "/bin/b")] }, /^unit "no suffix": unit name must contain/],
      ["/apps/shop", { units: [unit("web@.service", "/bin/b")] }, /^unit "web@.service": cannot activate template/],
      ["/apps/shop", { units: [{ ...unit("b.service", "/bin/b"), revision: -1 }] }, /integer of at least 0/],
      ["/apps/shop", { units: [unit("b.service", "/bin/b")], rollback: "yes" }, /expected rollback to be a boolean/],
      [`/apps/${"x".repeat(65)}`, { units: [unit("b.service", "/bin/b")] }, /^invalid app name/],
      ["/apps/-x", { units: [unit("b.service", "/bin/b")] }, /^invalid app name/],
    ];
    for (const [path, body, message] of cases) assert.match(await refusal(400, "POST", path, body), message);
  });
});

Deno.test("no roll-out begins while an older daemon may lead", async () => {
  await using api = await ApiFixture.open();
  const { post, refusal } = clientOf(api);
  const request = { units: [unit("new.service", "/bin/new")] };
  await api.join("e1cc2c6f000000000000000000000002", "10.77.0.12", {}, undefined, true);
  assert.equal(
    await refusal(409, "POST", "/apps/shop", request),
    "machine e1cc2c6f000000000000000000000002 runs fleet 1.2.3, whose engine does not know roll-outs: upgrade it first",
  );
  await api.leave("e1cc2c6f000000000000000000000002");
  await api.join(m1, "10.77.0.11");
  assert.equal((await post<RolloutEntity>("/apps/shop", request)).status, "running");
});

Deno.test("a roll-out that is aborted while its files are stored does not begin again", async () => {
  await using api = await ApiFixture.open();
  const { get, refusal } = clientOf(api);
  const { store } = api;
  const transact = store.transact.bind(store);
  const other = new ClusterRegistry({
    ...{ store, clock: systemClock, log: () => {} },
    ...{ writer: () => Promise.resolve("other"), agentTtl_s: 30, leaderTtl_s: 10 },
  });
  await other.open(undefined);
  let aborted: Rollout | undefined;
  store.transact = async (compares, ops) => {
    if (!aborted && ops.some((op) => "put" in op && op.put.startsWith("file/"))) {
      aborted = (await other.read()).rollouts!.get("shop")!;
      await other.updateRollout({ was: aborted, status: "aborted" });
    }
    return await transact(compares, ops);
  };
  assert.equal(
    await refusal(409, "POST", "/apps/shop", { units: [unit("a.service", "/bin/a")] }),
    "the roll-out of app shop was ended by another client before it began",
  );
  const { id, status } = await get<RolloutEntity>("/apps/shop/rollout");
  assert.deepEqual([id, status], [aborted?.id, "aborted"]);
  await other.close();
});

Deno.test("POST /apps/{app}/rollout controls the roll-out", async (test) => {
  await using api = await ApiFixture.open();
  const { get, post, refusal, revisionOf } = clientOf(api);
  await api.put("a.service", "launched", file("/bin/1"));
  await post("/apps/shop", {
    units: [unit("a.service", "/bin/2", await revisionOf("a.service")), unit("b.service", "/bin/b")],
  });
  const control = (action: string) => post<RolloutEntity>("/apps/shop/rollout", { action }, 200);

  await test.step("it is paused and resumed", async () => {
    const paused = await control("pause");
    assert.deepEqual([paused.status, paused.reason], ["paused", "paused by deployer"]);
    assert.equal((await get<RolloutEntity>("/apps/shop/rollout")).status, "paused");
    const resumed = await control("resume");
    assert.deepEqual([resumed.status, resumed.reason], ["running", undefined]);
  });

  await test.step("undo changes back what was changed", async () => {
    await api.advance("shop", "running", { "a.service": "healthy" });
    assert.equal((await control("undo")).status, "rolling-back");
    assert.equal(
      await refusal(409, "POST", "/apps/shop/rollout", { action: "pause" }),
      "cannot pause the roll-out of app shop: it is rolling-back",
    );
    assert.equal((await control("abort")).status, "aborted");
    assert.match(await refusal(409, "POST", "/apps/shop/rollout", { action: "abort" }), /it is aborted$/);
  });

  await test.step("a roll-out that has ended is undone by another one", async () => {
    const before = await get<RolloutEntity>("/apps/shop/rollout");
    const undo = await post<RolloutEntity>("/apps/shop/rollout", { action: "undo" }, 201);
    assert.notEqual(undo.id, before.id);
    assert.equal(undo.what, "rollback");
    assert.deepEqual(undo.steps?.map(({ name, from, to }) => [name, from?.hash, to?.hash]), [
      ["a.service", before.steps?.[0]?.to?.hash, before.steps?.[0]?.from?.hash],
    ]);
    await api.advance("shop", "failed", {}, "a reason");
    assert.equal((await get<RolloutEntity>("/apps/shop/rollout")).reason, "a reason");
    assert.equal(
      await refusal(409, "POST", "/apps/shop/rollout", { action: "undo" }),
      "the roll-out has changed no unit that could be changed back",
    );
  });

  await test.step("an undo that is done is not taken back by another undo", async () => {
    const revision = await revisionOf("a.service");
    await post("/apps/shop", { units: [unit("a.service", "/bin/wanted", revision)] });
    await api.advance("shop", "done", { "a.service": "healthy" });
    const undo = await post<RolloutEntity>("/apps/shop/rollout", { action: "undo" }, 201);
    await api.advance("shop", "done", { "a.service": "healthy" });
    assert.equal(
      await refusal(409, "POST", "/apps/shop/rollout", { action: "undo" }),
      "the roll-out was undone already: fleetctl rollback shop goes to another version",
    );
    assert.equal((await get<RolloutEntity>("/apps/shop/rollout")).id, undo.id);
  });

  await test.step("an unknown action, and an application without a roll-out, are refused", async () => {
    const expected = 'unknown action "stop": expect pause, resume, abort, undo';
    assert.equal(await refusal(400, "POST", "/apps/shop/rollout", { action: "stop" }), expected);
    assert.equal(await refusal(404, "POST", "/apps/none/rollout", { action: "pause" }), "application has no roll-out");
  });
});

Deno.test("GET /apps/{app} with a version returns the units as that version left them", async () => {
  await using api = await ApiFixture.open();
  const { get, post, refusal, revisionOf } = clientOf(api);
  await post("/apps/shop", { units: [unit("a.service", "/bin/1"), unit("b.service", "/bin/b")] });
  await api.advance("shop", "done", { "a.service": "healthy", "b.service": "healthy" });
  await post("/apps/shop", {
    units: [unit("a.service", "/bin/2", await revisionOf("a.service"), "loaded"), unit("c.service", "/bin/c")],
    destroy: [{ name: "b.service", revision: await revisionOf("b.service") }],
  });
  await api.advance("shop", "done", { "a.service": "healthy", "b.service": "healthy", "c.service": "healthy" });
  const at = async (version: number) => (await get<AppEntity>(`/apps/shop?version=${version}`)).units;
  const entity = (name: string, command: string, desiredState = "launched") => ({
    ...{ name, desiredState, options: optionsOf(file(command)) },
  });
  assert.deepEqual(await at(1), [entity("a.service", "/bin/1"), entity("b.service", "/bin/b")]);
  const second = [entity("a.service", "/bin/2", "loaded"), entity("c.service", "/bin/c")];
  assert.deepEqual(await at(2), second);
  await api.put("a.service", "launched", file("/bin/by-hand"));
  assert.equal((await api.send("DELETE", "/fleet/v1/units/c.service")).code, 204);
  assert.deepEqual(await at(2), second, "changes by hand are no part of a version");
  assert.equal(await refusal(404, "GET", "/apps/shop?version=3"), "application has no version 3: it has 1 to 2");
  assert.equal(
    await refusal(400, "GET", "/apps/shop?version=x"),
    'invalid version "x": expect the number of a version',
  );
  assert.deepEqual(
    (await api.send("GET", "/fleet/v1/apps/none?version=1")).text,
    errorText(404, "application does not exist"),
  );
});

Deno.test("a plan for an application knows its units", async (test) => {
  await using api = await ApiFixture.open();
  const { post, plan, refusal } = clientOf(api);
  await api.put("free.service", "launched", file("/bin/free"));
  await post("/apps/shop", { units: [unit("a.service", "/bin/a"), unit("b.service", "/bin/b")] });
  await api.advance("shop", "done", { "a.service": "healthy", "b.service": "healthy" });
  const changesOf = async (body: unknown) => {
    const { units = [], left } = await plan(body);
    return { units: units.map(({ name, change, refusal }) => [name, change, ...refusal ? [refusal] : []]), left };
  };

  await test.step("a unit without an owner is adopted, and units that are not named are left", async () => {
    const units = [unit("a.service", "/bin/a"), unit("free.service", "/bin/free")];
    const planned = [["a.service", "none"], ["free.service", "adopt"]];
    assert.deepEqual(await changesOf({ app: "shop", units }), { units: planned, left: ["b.service"] });
    assert.deepEqual(await changesOf({ units }), {
      units: [["a.service", "none"], ["free.service", "none"]],
      left: undefined,
    });
  });

  await test.step("with prune, units of the application that are not named are destroyed, and no others", async () => {
    assert.deepEqual(await changesOf({ app: "shop", prune: true, units: [unit("a.service", "/bin/a")] }), {
      units: [["a.service", "none"], ["b.service", "destroy"]],
      left: undefined,
    });
    assert.equal(await refusal(400, "POST", "/plan", { prune: true }), "prune needs app");
    assert.match(await refusal(400, "POST", "/plan", { app: "a/b" }), /^invalid app name/);
  });

  await test.step("a unit of another application is refused", async () => {
    const why = 'unit "a.service" belongs to application "shop": change it there, or destroy it first';
    assert.deepEqual(await changesOf({ app: "other", units: [unit("a.service", "/bin/2")], destroy: ["b.service"] }), {
      units: [["a.service", "refuse", why], ["b.service", "refuse", why.replace("a.service", "b.service")]],
      left: undefined,
    });
  });
});

Deno.test("the answer about a roll-out says what the changed units wait for", async () => {
  await using api = await ApiFixture.open();
  const { get, post } = clientOf(api);
  await post("/apps/shop", { units: [unit("a.service", "/bin/a"), unit("b.service", "/bin/b")] });
  await api.advance("shop", "running", { "a.service": "changing" });
  const waiting = ({ steps = [] }: RolloutEntity) => steps.map(({ name, waiting }) => [name, waiting]);
  const expected = [["a.service", "has no machine yet"], ["b.service", undefined]];
  assert.deepEqual(waiting(await get<RolloutEntity>("/apps/shop/rollout")), expected);
  assert.deepEqual(waiting((await get<AppEntity>("/apps/shop")).rollout!), expected);
});

Deno.test("an event of a roll-out has the steps that have changed", async () => {
  await using api = await ApiFixture.open();
  const { post } = clientOf(api);
  const cluster = () => api.registry.read();
  const views = [await cluster()];
  await post("/apps/shop", { units: [unit("a.service", "/bin/a"), unit("b.service", "/bin/b")] });
  views.push(await cluster());
  await api.advance("shop", "running", { "a.service": "changing" });
  views.push(await cluster());
  await api.advance("shop", "failed", {}, "a reason");
  views.push(await cluster());
  const eventsOf = (index: number) =>
    [...changes(views[index - 1], views[index]!, new Set())].filter(({ event }) => event === "rollout")
      .map(({ data }) => JSON.parse(data) as RolloutEvent)
      .map(({ app, rollout }) => [app, rollout?.status, rollout?.reason, rollout?.steps?.map(({ name }) => name)]);
  assert.deepEqual(eventsOf(1), [["shop", "running", undefined, ["a.service", "b.service"]]]);
  assert.deepEqual(eventsOf(2), [["shop", "running", undefined, ["a.service"]]]);
  assert.deepEqual(eventsOf(3), [["shop", "failed", "a reason", undefined]]);
  const present = [...changes(undefined, views[3]!, undefined)].filter(({ event }) => event === "rollout");
  assert.equal((JSON.parse(present[0]!.data) as RolloutEvent).rollout?.steps?.length, 2);
});

Deno.test("a global unit that is changed from machine to machine", async (test) => {
  await using api = await ApiFixture.open();
  const { get, post, refusal, plan, revisionOf } = clientOf(api);
  const [m2, m3, older] = [m1.replace(/1$/, "2"), m1.replace(/1$/, "3"), m1.replace(/1$/, "4")];
  const global = (command: string) => `${file(command)}\n[X-Fleet]\nGlobal=true`;
  const edge = async (command: string) => ({
    ...unit("edge.service", command, await revisionOf("edge.service")),
    options: optionsOf(global(command)),
  });
  await api.put("edge.service", "launched", global("/bin/1"));
  const begin = async (command: string) => await post<RolloutEntity>("/apps/edge", { units: [await edge(command)] });

  await test.step("is not changed while a machine may lead whose engine changes it everywhere", async () => {
    await api.join(m1, "", {}, undefined, "globals");
    const body = { units: [await edge("/bin/2")] };
    assert.equal(
      await refusal(409, "POST", "/apps/edge", body),
      `machine ${m1} runs fleet 1.2.3, whose engine cannot change global unit edge.service from machine to machine: ` +
        "upgrade it first",
    );
    // Other units are.
    await post("/apps/other", { units: [unit("a.service", "/bin/a")] });
    await api.leave(m1);
    await api.until(({ machines }) => machines.size === 0);
  });

  await test.step("says on how many machines it is healthy, in answers and in events", async () => {
    for (const id of [m1, m2, m3]) await api.join(id);
    await api.until(({ machines }) => machines.size === 3);
    await begin("/bin/2");
    const views = [await api.registry.read()];
    await api.advance("edge", "running", { "edge.service": "staging" }, undefined, [m2]);
    views.push(await api.registry.read());
    await api.advance("edge", "running", { "edge.service": "staging" }, undefined, [m2, m1]);
    views.push(await api.registry.read());
    const seen = ({ steps: [step] = [] }: RolloutEntity) => [step?.state, step?.machines, step?.machineID];
    const second = ["changing", { healthy: 1, total: 3 }, m1];
    const waiting = await get<RolloutEntity>("/apps/edge/rollout");
    assert.deepEqual(seen(waiting), second);
    assert.match(waiting.steps![0]!.waiting!, /^does not have its file on machine/);
    const view = views[2]!;
    const lost = { ...view, machines: new Map([...view.machines].filter(([id]) => id !== m1)) };
    const { steps: [step] = [] } = rolloutNow(lost, view.rollouts!.get("edge")!);
    assert.equal(step?.waiting, `is on machine ${m1.slice(0, 8)}, which is away`);
    const events = [1, 2].map((at) =>
      [...changes(views[at - 1], views[at]!, undefined)].filter(({ event }) => event === "rollout")
        .map(({ data }) => seen((JSON.parse(data) as RolloutEvent).rollout!))
    );
    assert.deepEqual(events, [[["changing", { healthy: 0, total: 3 }, m2]], [second]]);
    const machinesWithNext = views.slice(1).map((view) =>
      [...changes(undefined, view, undefined)].filter(({ event, unit }) => event === "unit" && unit === "edge.service")
        .map(({ data }) => (JSON.parse(data) as UnitEvent).next?.machines)
    );
    assert.deepEqual(machinesWithNext, [[[m2]], [[m2, m1]]]);
  });

  await test.step("has failed on a machine", async () => {
    const { rollouts, ...cluster } = await api.registry.read();
    const rollout = rollouts!.get("edge")!;
    const { steps: [step] = [] } = rolloutNow(cluster, {
      ...rollout,
      status: "failed",
      steps: rollout.steps.map((step) => ({ ...step, state: "failed" })),
    });
    assert.deepEqual([step?.state, step?.machines, step?.machineID], ["failed", { healthy: 1, total: 3 }, m1]);
  });

  await test.step("gets its old file again after a roll-out was aborted, by a plan that says so", async () => {
    await api.advance("edge", "aborted");
    const units = [await edge("/bin/1")];
    const planned = await plan({ app: "edge", units });
    assert.deepEqual(
      planned.units?.map(({ name, change, effects }) => [name, change, effects?.map(({ effect }) => effect)]),
      [["edge.service", "update", ["restart", "restart"]]],
    );
    await api.join(older, "", {}, undefined, "globals");
    for (
      const [path, body] of [["/apps/edge", { units }], ["/apps/edge/rollout", { action: "undo" }]] as const
    ) {
      assert.match(await refusal(409, "POST", path, body), /cannot change global unit edge\.service/, path);
    }
    await api.leave(older);
    await api.until(({ machines }) => machines.size === 3);
    const undoing = await post<RolloutEntity>("/apps/edge/rollout", { action: "undo" });
    await api.advance("edge", "aborted");
    const applying = await begin("/bin/1");
    for (const { steps: [step] = [] } of [undoing, applying]) {
      assert.equal(step?.from?.hash, step?.to?.hash);
      assert.equal(step?.change, "update");
    }
  });

  await test.step("keeps both files when its desired state is set, and has one when a file is put by hand", async () => {
    const hasNext = async () => (await api.registry.unit("edge.service")).unit?.next !== undefined;
    const set = async (body: unknown) => (await api.send("PUT", "/fleet/v1/units/edge.service", { body })).code;
    assert.equal(await set({ desiredState: "launched" }), 204);
    assert.equal(await set({ desiredState: "loaded" }), 204);
    assert.equal(await hasNext(), true);
    const { options } = await edge("/bin/1");
    assert.equal(await set({ desiredState: "loaded", options }), 204);
    assert.equal(await hasNext(), false);
  });
});

Deno.test("PUT of a unit keeps its owner, or sets it", async () => {
  await using api = await ApiFixture.open();
  const { post, revisionOf } = clientOf(api);
  await post("/apps/shop", { units: [unit("a.service", "/bin/a", await revisionOf("a.service"))] });
  await api.advance("shop", "done", { "a.service": "healthy" });
  const ownerOf = async (name: string) => (await api.registry.read()).units.get(name)?.app;
  await api.put("a.service", "loaded", file("/bin/b"));
  assert.equal(await ownerOf("a.service"), "shop");
  const put = async (body: unknown) => (await api.send("PUT", "/fleet/v1/units/a.service", { body })).code;
  assert.equal(await put({ desiredState: "loaded", app: "other" }), 204);
  assert.equal(await ownerOf("a.service"), "other");
  assert.equal(await put({ desiredState: "loaded", app: "no/name" }), 400);
});

Deno.test("an application may have a thousand instances with files of a kilobyte", async () => {
  await using api = await ApiFixture.open();
  const { post, plan } = clientOf(api);
  const command = `/bin/sh -c '${"echo a long command; ".repeat(60)}'`;
  const names = Array.from({ length: 1000 }, (_, index) => `web@${index + 1}.service`);
  const units = names.map((name) => ({ ...unit(name, command), desiredState: "loaded" }));
  assert.ok(JSON.stringify(units).length > 1024 * 1024);
  assert.equal((await plan({ app: "shop", units })).units?.length, 1000);
  assert.equal((await post<RolloutEntity>("/apps/shop", { units })).steps?.length, 1000);
});
