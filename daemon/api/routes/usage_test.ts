import assert from "node:assert/strict";
import { ApiFixture, optionsOf } from "../../../tests/support/api_fixture.ts";
import { ManualClock } from "../../../tests/support/manual_clock.ts";
import { forwardedHeader } from "../machine/forwarding.ts";
import type { LocalMachine } from "../machine/port.ts";
import type { UsageEntity } from "../v1/types.ts";

const container = "[Container]\nImage=web\nServiceName=front";

/** Machine m1, which measures 1 s of processor time for each unit; `answers` are those of other machines by address. */
function machine(answers: Readonly<Record<string, (signal: AbortSignal) => Promise<Response>>> = {}) {
  const asked: string[] = [];
  const fail = () => Promise.reject(new Error("not asked for"));
  const local: LocalMachine = {
    id: () => "m1",
    journal: () => new Blob([]).stream(),
    ...{ statusText: fail, statusProperties: fail, verify: fail },
    usage: (units) => {
      asked.push(...units.values());
      return Promise.resolve({ cores: 2, units: [...units.keys()].map((name) => ({ name, cpuMicroseconds: 1e6 })) });
    },
    fetchPeer: (address, path, headers, signal) => {
      asked.push(`${address}${path} from ${headers[forwardedHeader]}`);
      return answers[address]!(signal);
    },
  };
  return { local, asked };
}

async function open(local: LocalMachine, clock = new ManualClock()): Promise<ApiFixture> {
  const api = await ApiFixture.open({ localMachine: local, clock });
  for (const [id, address] of [["m1"], ["m2", "http://m2"], ["m3", "http://m3"], ["m4"], ["m5", "http://m5"]]) {
    await api.join(id!, "", {}, address);
  }
  await api.put("web.container", "launched", container);
  await api.place("web.container", "m1");
  await api.report("m1", "web.container", { active: "active" });
  return api;
}

async function get(api: ApiFixture, path: string, headers: Readonly<Record<string, string>> = {}) {
  const { code, text } = await api.send("GET", `/fleet/v1/usage${path}`, { headers });
  return { code, text, machines: code === 200 ? (JSON.parse(text) as UsageEntity).machines : [] };
}

Deno.test("GET /usage asks every machine, and names those that do not answer", async () => {
  const usage = { machineID: "m2", cores: 4, units: [] };
  const { local, asked } = machine({
    "http://m2": () => Promise.resolve(Response.json({ machines: [usage] })),
    "http://m3": () => Promise.reject(new Error("connection refused")),
    "http://m5": () => Promise.resolve(Response.json({ error: { code: 403, message: "no token" } }, { status: 403 })),
  });
  await using api = await open(local);
  assert.deepEqual((await get(api, "")).machines, [
    { machineID: "m1", cores: 2, units: [{ name: "web.container", cpuMicroseconds: 1e6 }] },
    usage,
    { machineID: "m3", error: "it does not answer at http://m3: connection refused" },
    { machineID: "m4", error: "its API is closed to other machines: ask there, or set api_peer_*" },
    { machineID: "m5", error: "it refuses to answer at http://m5: no token" },
  ]);
  const path = (id: string) => `http://${id}/fleet/v1/usage?machineID=${id} from m1`;
  assert.deepEqual(asked.toSorted(), ["front.service", path("m2"), path("m3"), path("m5")]);
});

Deno.test("GET /usage of one machine asks no other, and none twice", async () => {
  const { local, asked } = machine();
  await using api = await open(local);
  assert.deepEqual((await get(api, "?machineID=m1&units=false")).machines, [{ machineID: "m1", cores: 2 }]);
  assert.deepEqual(asked, []);
  assert.equal((await get(api, "?machineID=m9")).code, 404);
  const forwarded = { [forwardedHeader]: "m2" };
  assert.deepEqual((await get(api, "?machineID=m1", forwarded)).code, 200);
  assert.deepEqual((await get(api, "?machineID=m2", forwarded)).code, 421);
});

Deno.test("a global Quadlet file is measured by the name that the machine's own version of it gives to the service", async () => {
  const { local, asked } = machine();
  await using api = await open(local);
  const global = (name: string) => `${container}\nServiceName=${name}\n[X-Fleet]\nGlobal=true`;
  await api.put("edge.container", "launched", global("old"));
  const { unit } = await api.registry.unit("edge.container");
  const changed = { name: "edge.container", desiredState: "launched", revision: unit!.revision };
  const begun = await api.send("POST", "/fleet/v1/apps/edge", {
    body: { units: [{ ...changed, options: optionsOf(global("next")) }] },
  });
  assert.equal(begun.code, 201, begun.text);
  await api.advance("edge", "running", { "edge.container": "staging" }, undefined, ["m2"]);
  await api.report("m1", "edge.container", { active: "active" });
  await get(api, "?machineID=m1");
  await api.advance("edge", "running", { "edge.container": "staging" }, undefined, ["m2", "m1"]);
  await get(api, "?machineID=m1");
  assert.deepEqual(asked, ["old.service", "front.service", "next.service", "front.service"]);
});

Deno.test("a machine that hangs is named after a while", async () => {
  const asked = Promise.withResolvers<void>();
  const { local } = machine({
    "http://m2": (signal) => {
      asked.resolve();
      return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    },
    "http://m3": () => Promise.reject(new Error("off")),
    "http://m5": () => Promise.reject(new Error("off")),
  });
  const clock = new ManualClock();
  await using api = await open(local, clock);
  const answer = get(api, "");
  await asked.promise;
  clock.advance(3_000);
  const { machines } = await answer;
  assert.equal(machines[1]?.error, "it does not answer at http://m2: no answer within 3 seconds");
});
