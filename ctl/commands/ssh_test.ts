import assert from "node:assert/strict";
import { FakeApi } from "../testing/fake_api.ts";
import { FakeHosts } from "../testing/fake_remote.ts";
import { FakeIo, fleetctl } from "../testing/fake_terminal.ts";

const one = "454c34ef00000000000000000000cafe";
const two = "454c99ff00000000000000000000beef";

/** Two machines; a.service is on the first, g.service on both. */
function cluster(): FakeApi {
  const api = new FakeApi();
  api.machines = [{ id: one, primaryIP: "10.0.0.1" }, { id: two, primaryIP: "10.0.0.2" }];
  api.add("a.service", "launched", "Service.ExecStart=/bin/true");
  api.add("g.service", "launched", "Service.ExecStart=/bin/true", "X-Fleet.Global=true");
  const state = { systemdLoadState: "loaded", systemdActiveState: "active", systemdSubState: "running" };
  const onEach = [one, two].map((machineID) =>
    [machineID, { state: { name: "g.service", machineID, ...state } }] as const
  );
  api.states.set("g.service", new Map(onEach));
  return api;
}

Deno.test("ssh alone passes standard input on, and forwards the agent only with -A", async () => {
  const hosts = new FakeHosts();
  for (const line of ["ssh -A a", "ssh a id", "status a"]) await fleetctl(cluster(), line, new FakeIo(), hosts);
  assert.deepEqual(hosts.attachments, [
    { input: true, forwardAgent: true },
    { input: true, forwardAgent: false },
    { input: false, forwardAgent: false },
  ]);
});

/** Returns an API that answers requests for a journal or status with their query and this text. */
function reporting(text: string): FakeApi {
  const api = cluster();
  api.intercept = (request, path) =>
    /\/(journal|status)$/.test(path) ? new Response(`${new URL(request.url).search}\n${text}`) : undefined;
  return api;
}

Deno.test("status and journal come from the API if it can read them", async () => {
  const hosts = new FakeHosts();
  const running = reporting("   Active: active (running)\n");
  assert.deepEqual(await fleetctl(running, "status a", new FakeIo(), hosts), {
    status: 0,
    stdout: `?machineID=${one}\n   Active: active (running)\n`,
    stderr: "",
  });
  assert.equal((await fleetctl(reporting("   Active: failed\n"), "status a", new FakeIo(), hosts)).status, 3);
  const { stdout } = await fleetctl(running, "journal --lines=3 --machine=454c9 g", new FakeIo(), hosts);
  assert.match(stdout, new RegExp(`^\\?machineID=${two}&lines=3&output=short\n`));
  assert.deepEqual(hosts.ran, []);
});
