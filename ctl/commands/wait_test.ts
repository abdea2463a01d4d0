import assert from "node:assert/strict";
import { FakeApi, refusal } from "../testing/fake_api.ts";
import { type CommandResult, FakeIo, fleetctl } from "../testing/fake_terminal.ts";

const where = "454c34ef.../10.77.0.11";
const option = "Service.ExecStart=/bin/true";
const global = "X-Fleet.Global=true";

interface Case {
  name: string;
  line: string;
  units?: [string, string, ...string[]][];
  /** How the cluster differs from one that does at once what it is told. */
  prepare?: (api: FakeApi) => void;
  status?: number;
  stdout?: string;
  stderr?: string | RegExp;
  writes?: string[];
}

const put = (name: string, state: string) => `PUT /units/${name} {"name":"${name}","desiredState":"${state}"}`;

/** A cluster that is told, and does nothing. */
const asleep = (api: FakeApi) => {
  api.onDesiredState = () => {};
  api.onDelete = () => {};
  api.onRestart = () => {};
};

/** A cluster that launches, and whose systemd then reports these states one after the other. */
const runs = (...states: [active: string, sub: string, error?: string][]) => (api: FakeApi) => {
  api.onDesiredState = (name) => {
    const unit = api.units.get(name)!;
    unit.currentState = unit.desiredState;
    unit.machineID = api.machines[0]!.id;
    api.publishUnit(name);
    for (const [active, sub, error] of states) api.reportState(name, active, sub, error);
  };
};

const launched = `Unit a.service launched on ${where}\n`;

const cases: Case[] = [
  {
    name: "start: a oneshot that has finished is a success",
    line: "start a",
    units: [["a.service", "inactive", option]],
    prepare: runs(["activating", "start"], ["inactive", "dead"]),
    stdout: launched,
  },
  {
    name: "start: a unit that fails makes it fail, and says how",
    line: "start a",
    units: [["a.service", "inactive", option]],
    prepare: runs(["activating", "start"], ["failed", "failed", "exit-code"]),
    status: 1,
    stdout: launched,
    stderr: "Error waiting for units: unit a.service failed: systemd reports it loaded, failed (failed): exit-code\n" +
      "To see the log of a.service: fleetctl journal a.service\n",
  },
  {
    name: "start: a unit that takes for ever to start",
    line: "start --block-attempts=1 a",
    units: [["a.service", "inactive", option]],
    prepare: runs(["activating", "start"]),
    status: 1,
    stdout: launched,
    stderr: "Error waiting for units: timed out waiting for unit a.service to become active in systemd\n",
  },
  {
    name: "start: a unit that no machine takes",
    line: "start --block-attempts 1 a",
    units: [["a.service", "inactive", option]],
    prepare: asleep,
    status: 1,
    stderr: "Error waiting for units: timed out waiting for unit a.service to report state launched\n",
  },
  {
    name: "start: why an agent cannot do it is told while it is waited for",
    line: "start --block-attempts=1 a",
    units: [["a.service", "loaded", option]],
    prepare: (api) => api.onDesiredState = (name) => api.reportState(name, "inactive", "dead", "disk full"),
    status: 1,
    stderr: "Unit a.service: disk full\n" +
      "Error waiting for units: timed out waiting for unit a.service to report state launched\n",
  },
  {
    name: "load: a unit that no machine takes",
    line: "load --block-attempts=1 a",
    units: [["a.service", "inactive", option]],
    prepare: asleep,
    status: 1,
    stderr: "Error waiting for units: timed out waiting for unit a.service to report state loaded\n",
  },
  {
    name: "load: a refusal",
    line: "load a",
    units: [["a.service", "inactive", option]],
    prepare: (api) => api.intercept = (request) => request.method === "PUT" ? refusal(500, "") : undefined,
    status: 1,
    stderr:
      'Error loading units: googleapi: got HTTP response code 500 with body: {"error":{"code":500,"message":""}}\n',
  },
  {
    name: "stop: several, unknown ones named, exit 1",
    line: "stop a x b",
    status: 1,
    units: [["a.service", "launched", option], ["b.service", "launched", option]],
    stdout: `Unit a.service loaded on ${where}\nUnit b.service loaded on ${where}\n`,
    stderr: "Unit x.service is not in the cluster\nSuccessfully stopped units [a.service b.service].\n",
    writes: [put("a.service", "loaded"), put("b.service", "loaded")],
  },
  {
    name: "stop: a loaded unit is skipped",
    line: "stop a",
    units: [["a.service", "loaded", option]],
    stderr: "Successfully stopped units [].\n",
    writes: [],
  },
  {
    name: "stop: a loaded unit that is about to be launched is not",
    line: "stop a",
    units: [["a.service", "loaded", option]],
    prepare: (api) => api.units.get("a.service")!.desiredState = "launched",
    stdout: `Unit a.service loaded on ${where}\n`,
    stderr: "Successfully stopped units [a.service].\n",
  },
  {
    name: "stop: an inactive unit does not keep the others from being stopped",
    line: "stop a b c",
    units: [["a.service", "launched", option], ["b.service", "inactive", option], ["c.service", "launched", option]],
    status: 1,
    stdout: `Unit a.service loaded on ${where}\nUnit c.service loaded on ${where}\n`,
    stderr: "Unable to stop unit b.service in state inactive\n" +
      "Successfully stopped units [a.service c.service].\n",
    writes: [put("a.service", "loaded"), put("c.service", "loaded")],
  },
  {
    name: "stop: a loaded unit that something else has started is stopped",
    line: "stop a",
    units: [["a.service", "loaded", option]],
    prepare: (api) => api.reportState("a.service", "active", "running"),
    stdout: `Unit a.service loaded on ${where}\n`,
    stderr: "Successfully stopped units [a.service].\n",
    writes: ["POST /units/a.service/stop"],
  },
  {
    name: "stop: a loaded global that something else has started is stopped",
    line: "stop g",
    units: [["g.service", "loaded", option, global]],
    prepare: (api) => api.reportState("g.service", "active", "running"),
    stdout: "Triggered global unit g.service stop\n",
    stderr: "Successfully stopped units [].\n",
    writes: ["POST /units/g.service/stop"],
  },
  {
    name: "stop: a server that cannot stop what something else has started is told of",
    line: "stop a",
    units: [["a.service", "loaded", option]],
    prepare: (api) => {
      api.reportState("a.service", "active", "running");
      api.intercept = ({ method }) => method === "POST" ? refusal(404, "") : undefined;
    },
    status: 1,
    stderr: "Failed to stop units [a.service]. err: it is loaded, but something else on its machine has " +
      "started it, and this server cannot stop it there\n",
  },
  {
    name: "stop: a unit that waits for a machine is not started any more",
    line: "stop a",
    units: [["a.service", "inactive", option]],
    prepare: (api) => {
      api.units.get("a.service")!.desiredState = "launched";
      api.onDesiredState = () => {};
    },
    stdout: "Unit a.service waits to be loaded\n",
    stderr:
      "Unit a.service waits for a machine; it is wanted loaded now, so that it is not started when it gets one\n" +
      "Successfully stopped units [a.service].\n",
    writes: [put("a.service", "loaded")],
  },
  {
    name: "stop: a unit that waits for a machine to be loaded only is stopped already",
    line: "stop a",
    units: [["a.service", "inactive", option]],
    prepare: (api) => api.units.get("a.service")!.desiredState = "loaded",
    stderr: "Successfully stopped units [].\n",
    writes: [],
  },
  ...["stop", "destroy", "unload"].map((verb): Case => ({
    name: `${verb}: a unit that will not stop is told of with the reason of its machine`,
    line: `${verb} --block-attempts=1 a`,
    units: [["a.service", "launched", option]],
    prepare: (api) => {
      const stubborn = (name: string) => api.reportState(name, "active", "running", "disk full, not stopped");
      Object.assign(api, { onDesiredState: stubborn, onDelete: stubborn, onRestart: stubborn });
    },
    status: 1,
    stderr: /^Unit a\.service: disk full, not stopped\n[^]* timed out waiting for unit a\.service /,
  })),
  {
    name: "stop: globals are not waited for",
    line: "stop g",
    units: [["g.service", "launched", option, global]],
    stdout: "Triggered global unit g.service stop\n",
    stderr: "Successfully stopped units [].\n",
  },
  {
    name: "stop: --no-block",
    line: "stop --no-block a",
    units: [["a.service", "launched", option]],
    prepare: asleep,
    stdout: "Triggered unit a.service stop\n",
  },
  {
    name: "stop: a unit whose processes do not end has not stopped",
    line: "stop --block-attempts=1 a",
    units: [["a.service", "launched", option]],
    prepare: runs(["deactivating", "stop-sigterm"]),
    status: 1,
    stderr: "Failed to stop units [a.service]. err: timed out waiting for unit a.service to report state loaded\n",
  },
  {
    name: "stop: a refusal",
    line: "stop a",
    units: [["a.service", "launched", option]],
    prepare: (api) => api.intercept = (request) => request.method === "PUT" ? refusal(503, "away") : undefined,
    status: 1,
    stderr: "Failed to stop units [a.service]. err: googleapi: Error 503: away\n",
  },
  {
    name: "unload: a unit, and an inactive one skipped",
    line: "unload a b",
    units: [["a.service", "launched", option], ["b.service", "inactive", option]],
    stdout: "Unit a.service inactive\n",
    stderr: "Successfully unloaded units [a.service].\n",
    writes: [put("a.service", "inactive")],
  },
  {
    name: "unload: a unit that waits for a machine",
    line: "unload a",
    units: [["a.service", "inactive", option]],
    prepare: (api) => api.units.get("a.service")!.desiredState = "launched",
    stdout: "Unit a.service inactive\n",
    stderr: "Successfully unloaded units [a.service].\n",
    writes: [put("a.service", "inactive")],
  },
  {
    name: "unload: globals are not waited for",
    line: "unload g",
    units: [["g.service", "launched", option, global]],
    stdout: "Triggered global unit g.service unload\n",
    stderr: "Successfully unloaded units [].\n",
  },
  {
    name: "unload: a unit that stays on its machine",
    line: "unload --block-attempts=1 a",
    units: [["a.service", "launched", option]],
    prepare: runs(["deactivating", "stop-sigterm"]),
    status: 1,
    stderr: "Failed to unload units [a.service]. err: timed out waiting for unit a.service to report state inactive\n",
  },
  {
    name: "destroy: several",
    line: "destroy b a x",
    units: [["a.service", "launched", option], ["b.service", "inactive", option]],
    stdout: "Destroyed b.service\nDestroyed a.service\n",
    stderr: "Unit x.service is not in the cluster\n",
    writes: ["DELETE /units/b.service", "DELETE /units/a.service"],
  },
  {
    name: "destroy: a unit that stays on its machine",
    line: "destroy --block-attempts=1 a",
    units: [["a.service", "launched", option]],
    prepare: asleep,
    status: 1,
    stderr: "Error destroying units: timed out waiting for unit a.service to be gone from its machine\n",
  },
  {
    name: "destroy: --no-block does not wait",
    line: "destroy --no-block a",
    units: [["a.service", "launched", option]],
    prepare: asleep,
    stdout: "Destroyed a.service\n",
  },
  {
    name: "destroy: globals are not waited for",
    line: "destroy g",
    units: [["g.service", "launched", option, global]],
    prepare: asleep,
    stdout: "Destroyed g.service\n",
  },
  {
    name: "destroy: globals keep their place in the order",
    line: "destroy a g",
    units: [["a.service", "launched", option], ["g.service", "launched", option, global]],
    stdout: "Destroyed a.service\nDestroyed g.service\n",
  },
  {
    name: "destroy: a unit that somebody else has destroyed meanwhile is not spoken of",
    line: "destroy a b",
    units: [["a.service", "inactive", option], ["b.service", "inactive", option]],
    prepare: (api) =>
      api.intercept = ({ method }, path) =>
        method === "DELETE" && path.endsWith("/a.service") ? refusal(404, "unit does not exist") : undefined,
    stdout: "Destroyed b.service\n",
  },
  {
    name: "destroy: an error does not keep the others from being destroyed",
    line: "destroy a b",
    units: [["a.service", "inactive", option], ["b.service", "inactive", option]],
    prepare: (api) =>
      api.intercept = ({ method }, path) =>
        method === "DELETE" && path.endsWith("/a.service") ? refusal(400, "no") : undefined,
    status: 1,
    stdout: "Destroyed b.service\n",
    stderr: "Error destroying units: a.service: googleapi: Error 400: no\n",
  },
  {
    name: "restart: a launched unit is restarted where it is",
    line: "restart a",
    units: [["a.service", "launched", option]],
    prepare: (api) =>
      api.onRestart = (name) => {
        api.reportState(name, "deactivating", "stop-sigterm");
        api.reportState(name, "active", "running");
      },
    stdout: launched,
    stderr: "INFO Unit(a.service) was restarted.\n",
    writes: ["POST /units/a.service/restart"],
  },
  {
    name: "restart: several, one after the other",
    line: "restart b a",
    units: [["a.service", "launched", option], ["b.service", "launched", option]],
    stdout: `Unit b.service launched on ${where}\n${launched}`,
    stderr: "INFO Unit(b.service) was restarted.\nINFO Unit(a.service) was restarted.\n",
    writes: ["POST /units/b.service/restart", "POST /units/a.service/restart"],
  },
  {
    name: "restart: a unit that does not come back",
    line: "restart a",
    units: [["a.service", "launched", option]],
    prepare: (api) =>
      api.onRestart = (name) => {
        api.reportState(name, "deactivating", "stop-sigterm");
        api.reportState(name, "failed", "failed", "exit-code");
      },
    status: 1,
    stderr: "Error waiting for units: unit a.service failed: systemd reports it loaded, failed (failed): exit-code\n" +
      "To see the log of a.service: fleetctl journal a.service\n",
  },
  {
    name: "restart: a loaded unit is started",
    line: "restart a",
    units: [["a.service", "loaded", option]],
    stdout: launched,
    stderr: "INFO Unit(a.service) already loaded, starting.\n",
    writes: [put("a.service", "launched")],
  },
  {
    name: "restart: an inactive unit fails, and does not keep the others from being restarted",
    line: "restart a b",
    status: 1,
    units: [["a.service", "inactive", option], ["b.service", "launched", option]],
    stdout: `Unit b.service launched on ${where}\n`,
    stderr: "Unable to restart unit a.service in state inactive\nINFO Unit(b.service) was restarted.\n",
  },
  {
    name: "restart: globals are restarted everywhere and not waited for",
    line: "restart g",
    units: [["g.service", "launched", option, global]],
    prepare: asleep,
    stdout: "Triggered global unit g.service restart\n",
    writes: ["POST /units/g.service/restart"],
  },
  {
    name: "restart: a unit that is nowhere",
    line: "restart x",
    status: 1,
    stderr: "Error creating units: x.service: no such file in this directory and no such unit in the cluster\n",
  },
  {
    name: "restart: a refusal",
    line: "restart a",
    units: [["a.service", "launched", option]],
    prepare: (api) => api.intercept = ({ method }) => method === "POST" ? refusal(409, "no") : undefined,
    status: 1,
    stderr: "Error restarting unit a.service: googleapi: Error 409: no\n",
  },
  {
    name: "restart: a server without restarts stops and starts",
    line: "restart a",
    units: [["a.service", "launched", option]],
    prepare: (api) => api.intercept = ({ method }) => method === "POST" ? refusal(404, "") : undefined,
    stdout: launched,
    stderr: "INFO Unit(a.service) was restarted.\n",
    writes: ["POST /units/a.service/restart", put("a.service", "loaded"), put("a.service", "launched")],
  },
];

async function run({ line, units = [], prepare }: Case, streams: boolean): Promise<[CommandResult, FakeApi]> {
  const api = new FakeApi();
  for (const unit of units) api.add(...unit);
  prepare?.(api);
  const { intercept } = api;
  if (!streams) api.intercept = (request, path) => path === "/events" ? refusal(404, "") : intercept(request, path);
  return [await fleetctl(api, line), api];
}

function assertRan(ran: CommandResult, status: number, stdout: string, stderr: string | RegExp): void {
  if (stderr instanceof RegExp) assert.match(ran.stderr, stderr);
  assert.deepEqual(ran, { status, stdout, stderr: stderr instanceof RegExp ? ran.stderr : stderr });
}

for (const each of cases) {
  const { name, status = 0, stdout = "", stderr = "", writes } = each;
  Deno.test(name, async () => {
    const [ran, api] = await run(each, true);
    assertRan(ran, status, stdout, stderr);
    if (writes) assert.deepEqual(api.writes, writes);
  });
  // What only a stream tells is an agent's reason.
  if (/exit-code|disk full/.test(String(stderr))) continue;
  Deno.test(`${name}; the server cannot be followed`, async () => {
    const [ran, api] = await run(each, false);
    assertRan(ran, status, stdout, stderr);
    if (writes) assert.deepEqual(api.writes, writes);
  });
}

Deno.test("start: a unit that is slow holds back the lines of the others, but not for long", async () => {
  const api = new FakeApi();
  for (const name of ["a.service", "b.service"]) api.add(name, "inactive", option);
  api.onDesiredState = (name) => name === "b.service" && api.reconcile(name);
  const io = new FakeIo();
  const running = fleetctl(api, "start a b", io);
  while (io.stdout === "") await new Promise((resolve) => setTimeout(resolve, 1));
  assert.equal(io.stdout, `Unit b.service launched on ${where}\n`);
  api.reconcile("a.service");
  assert.equal((await running).stdout, `Unit b.service launched on ${where}\n${launched}`);
});

Deno.test("start: a stream that ends while waiting is opened again", async () => {
  const api = new FakeApi();
  api.add("a.service", "inactive", option);
  api.onDesiredState = () => {};
  const running = fleetctl(api, "start a");
  const streams = () => api.requests.filter((request) => request === "GET /events").length;
  while (streams() < 1) await new Promise((resolve) => setTimeout(resolve, 1));
  api.cutStreams();
  while (streams() < 2) await new Promise((resolve) => setTimeout(resolve, 1));
  api.reconcile("a.service");
  assert.deepEqual(await running, { status: 0, stdout: launched, stderr: "" });
});

Deno.test("start: a server that is away while waiting is asked again, and that is said once", async () => {
  const api = new FakeApi();
  api.add("a.service", "inactive", option);
  let refusals = 3;
  api.intercept = (_request, path) => path === "/events" && refusals-- > 0 ? refusal(503, "away") : undefined;
  const ran = await fleetctl(api, "start a");
  assert.deepEqual(ran, { status: 0, stdout: launched, stderr: "WARN googleapi: Error 503: away; trying again\n" });
});

Deno.test("start: a machine that the stream does not tell of is asked for", async () => {
  const api = new FakeApi();
  api.add("a.service", "inactive", option);
  api.intercept = (_request, path) => path === "/events" ? refusal(405, "") : undefined;
  assert.equal((await fleetctl(api, "start a")).stdout, launched);
  assert.ok(api.requests.includes("GET /machines"));
});

Deno.test("start: a unit that is destroyed while it is waited for", async () => {
  const api = new FakeApi();
  api.add("a.service", "inactive", option);
  api.onDesiredState = () => {};
  const running = fleetctl(api, "start a");
  while (!api.requests.includes("GET /events")) await new Promise((resolve) => setTimeout(resolve, 1));
  api.units.delete("a.service");
  api.publishUnit("a.service");
  const ran = await running;
  assert.equal(ran.status, 1);
  assert.match(ran.stderr, /^Error waiting for units: unit a.service no longer exists\n/);
});
