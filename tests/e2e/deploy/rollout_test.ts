/** Health checks and roll-outs of an application on real machines, under requests. */

import assert from "node:assert/strict";
import type { RolloutEntity, UnitStateEntity } from "../../../daemon/api/v1/types.ts";
import { type FleetCluster, sleeper, withFleet } from "../../lab/fleet_cluster.ts";
import { fleetctl } from "../../lab/fleet.ts";
import type { Machine } from "../../lab/machine.ts";
import { until } from "../../lab/process.ts";
import { followGuide } from "./guide_cases.ts";
import { Traffic, webServer } from "../../lab/traffic.ts";
import type { TrafficReport } from "../../lab/traffic_client.ts";

/** Waits until the health of a unit on its only machine is as wanted. Returns its state. */
async function health(cluster: FleetCluster, unit: string, wanted: string, why = /^/): Promise<UnitStateEntity> {
  const states = await cluster.statesWhere(cluster.machine("m1"), `${unit} to be ${wanted}`, (all) => {
    const ours = all.filter(({ name }) => name === unit);
    return ours.length === 1 && ours[0]!.health === wanted && why.test(ours[0]!.healthReason ?? "");
  });
  return states.find(({ name }) => name === unit)!;
}

/** Checks by a request and by a command. Their results follow the unit, and change nothing about it. */
async function checked(cluster: FleetCluster): Promise<void> {
  const home = cluster.machine("m1");
  const web = `[Service]\nExecStart=/usr/local/bin/deno run --no-config -A /opt/web.js 8090 v1\n` +
    `[X-Fleet]\nHealthCheck=http://localhost:8090/health\nHealthInterval=1s\nHealthTimeout=1s\n`;
  const job = `${sleeper}User=daemon\n[X-Fleet]\nHealthInterval=1s\n` +
    `HealthCheck=/bin/sh -c 'test "$(id -un)" = daemon && test -e /tmp/%p'\n`;
  await cluster.put(home, "page.service", "launched", web);
  await cluster.put(home, "job.service", "launched", job);
  await health(cluster, "page.service", "passing");
  // On a busy host, a check may also end at its time limit.
  const failing = await health(cluster, "job.service", "failing", /^it exited with status 1$/);
  assert.ok(failing.healthSince! > 0);
  const machine = cluster.byId(failing.machineID!);
  const before = await cluster.invocation(machine, "job.service");
  await machine.must(["touch", "/tmp/job"]);
  const passing = await health(cluster, "job.service", "passing");
  assert.equal(passing.healthReason, undefined);
  await machine.must(["rm", "/tmp/job"]);
  await health(cluster, "job.service", "failing");
  assert.equal(await cluster.invocation(machine, "job.service"), before, "a failing check does not restart the unit");
  await until("both results in the list of units", async () => {
    const { stdout } = await cluster.fleetctl(home, "list-units", "--no-legend", "--fields=unit,health");
    return /^job\.service\t+failing\npage\.service\t+passing$/.test(stdout.trim());
  });
  // A unit that is stopped has no health.
  await cluster.put(home, "job.service", "loaded");
  await cluster.statesWhere(home, "no health of a stopped unit", (all) => {
    const state = all.find(({ name }) => name === "job.service");
    return state?.systemdActiveState === "inactive" && state.health === undefined;
  });
  // Without its server, the check of the page fails; the unit itself stays active.
  const page = cluster.byId((await health(cluster, "page.service", "passing")).machineID!);
  await page.must(["systemctl", "kill", "--signal=SIGSTOP", "page.service"]);
  await health(cluster, "page.service", "failing", /has not answered within 1s$/);
  await page.must(["systemctl", "kill", "--signal=SIGCONT", "page.service"]);
  await health(cluster, "page.service", "passing");
  for (const unit of ["page.service", "job.service"]) await cluster.destroy(home, unit);
  await until("no transient service to be left", async () => {
    const left = await machine.must(["systemctl", "list-units", "--all", "--plain", "--no-legend", "fleet-health-*"]);
    return left.trim() === "" || undefined;
  });
}

/** Applies examples/apps/shop, uses it as a client, and removes it. */
async function exampleRuns(cluster: FleetCluster): Promise<void> {
  const home = cluster.machine("m1");
  const folder = new URL("../../../examples/apps/shop/", import.meta.url);
  for (const { name } of Deno.readDirSync(folder)) {
    await home.writeFile(`/root/example/${name}`, Deno.readTextFileSync(new URL(name, folder)));
  }
  const applied = await cluster.fleetctl(home, "apply", "--yes", "/root/example");
  assert.match(applied.stdout, /^The roll-out of example is done: 14 created\.$/m);
  assert.doesNotMatch(applied.stdout + applied.stderr, /WARN (?!.*trying again)/);
  const where = await cluster.active(home, [
    "api.socket",
    ...[1, 2, 3].flatMap((n) => [`web@${n}.service`, `web-log@${n}.service`]),
  ]);
  assert.equal(new Set([1, 2, 3].map((n) => where.get(`web@${n}.service`))).size, 3);
  for (const n of [1, 2, 3]) assert.equal(where.get(`web-log@${n}.service`), where.get(`web@${n}.service`));
  const machine = cluster.byId(where.get("api.socket")!);
  assert.equal(machine.id, where.get("web@1.service"));
  const get = "import urllib.request as http; print(http.urlopen('http://127.0.0.1:8081/').status)";
  const request = () => machine.run(["python3", "-c", get]);
  await until("an answer through the socket", async () => (await request()).stdout === "200\n" || undefined);
  const invocation = await cluster.invocation(machine, "api.service");
  // Its desired state stays "loaded". That does not stop a service which its socket has started.
  await cluster.statesWhere(
    home,
    "the state of the service",
    (all) => all.some(({ name, systemdActiveState }) => name === "api.service" && systemdActiveState === "active"),
  );
  assert.equal((await request()).stdout, "200\n");
  assert.equal(await cluster.invocation(machine, "api.service"), invocation);
  const names = (await cluster.units(home)).map(({ name }) => name!);
  await cluster.fleetctl(home, "destroy", ...names);
  await cluster.statesWhere(home, "no unit to be left", (all) => !all.some(({ name }) => names.includes(name!)));
}

const ports = [8081, 8082, 8083, 8084];
const web = ports.map((port) => `web@${port % 10}.service`);

/** The unit files of a version of the application. Its server's version may be another one; `more` are options of the template. */
function application(version: string, more = "MinHealthyTime=1s\nHealthyDeadline=1min\n"): Record<string, string> {
  const fleet = (options: string) => `[X-Fleet]\nMinHealthyTime=1s\n${options}`;
  return {
    "web@.service": `[Service]\nExecStart=/usr/local/bin/deno run --no-config -A /opt/web.js 808%i ${version}\n` +
      `Restart=always\nRestartSec=100ms\n[X-Fleet]\nInstances=4\nMaxParallel=2\n` +
      `HealthCheck=http://localhost:808%i/health\n${more}`,
    "side.service": `${sleeper}Environment=VERSION=${version}\n${fleet("MachineOf=web@1.service\n")}`,
    "node.service": `${sleeper}Environment=VERSION=${version}\n${fleet("Global=true\n")}`,
    "migrate.service": `[Unit]\nBefore=web@1.service\n[Service]\nType=oneshot\n` +
      `ExecStart=/bin/sh -c 'echo ${version} >>/root/migrations'\n${fleet("")}`,
    "tick.timer": `[Timer]\nOnActiveSec=1h\n${fleet("")}`,
    "tick.service": `[Service]\nType=oneshot\nExecStart=/bin/true\n${fleet("Desired=loaded\nMachineOf=tick.timer\n")}`,
    "echo.socket": `[Socket]\nListenStream=127.0.0.1:7000\n${fleet("")}`,
    "echo.service": `${sleeper}${fleet("Desired=loaded\nMachineOf=echo.socket\n")}`,
  };
}

/** Writes an application to the disk of a machine. Returns the arguments of fleetctl that apply it. */
async function written(machine: Machine, files: Readonly<Record<string, string>>, app = "shop"): Promise<string[]> {
  for (const [name, text] of Object.entries(files)) await machine.writeFile(`/root/${app}/${name}`, text);
  return ["apply", "--yes", `/root/${app}`];
}

/** Waits until an application's roll-out passes a test. Returns it. */
async function rollout(
  cluster: FleetCluster,
  machine: Machine,
  what: string,
  test: (rollout: RolloutEntity) => boolean,
  app = "shop",
): Promise<RolloutEntity> {
  let last: RolloutEntity | undefined;
  return await until(what, async () => {
    const response = await cluster.request(machine, "GET", `/apps/${app}/rollout`);
    last = await response.json() as RolloutEntity;
    return response.status === 200 && test(last) ? last : undefined;
  }, { deadline_ms: 120_000, every_ms: 50 }).catch((error) => {
    throw new Error(`${error.message}; last: ${JSON.stringify(last)}`, { cause: error });
  });
}

/** True if some instance of the server is being changed. */
const isChangingWeb = ({ steps = [] }: RolloutEntity) =>
  steps.some(({ name, state }) => name.startsWith("web@") && state === "changing");

const edgePort = 8091;

/** The unit file of a version of a web server on every machine. */
const edge = (version: string): Record<string, string> => ({
  "edge.service": `[Service]\nExecStart=/usr/local/bin/deno run --no-config -A /opt/web.js ${edgePort} ${version}\n` +
    `[X-Fleet]\nGlobal=true\nHealthCheck=http://localhost:${edgePort}/health\n`,
});

/** True if the web server of every machine has this version. */
const isEverywhere = (version: string) => ({ healthy }: TrafficReport) =>
  Object.keys(healthy).length === 3 && Object.values(healthy).every((each) => each === version);

/** A global unit changes on one machine after the other, so that two of three answer at all times. */
async function machineByMachine(cluster: FleetCluster): Promise<void> {
  const home = cluster.machine("m1");
  const apply = async (version: string) => await written(home, edge(version), "edge");
  const invocations = () =>
    Promise.all(cluster.lab.machines.map((machine) => cluster.invocation(machine, "edge.service")));
  await cluster.fleetctl(home, ...await apply("v1"));
  await using traffic = await Traffic.start(cluster.lab, [edgePort]);
  await traffic.until("v1 everywhere", isEverywhere("v1"));

  const progress = ({ steps: [step] = [] }: RolloutEntity) => step?.machines;
  await cluster.fleetctl(home, ...await apply("v2"), "--no-block");
  await rollout(cluster, home, "a machine to be changed", (now) => progress(now) !== undefined, "edge");
  await cluster.fleetctl(home, "rollout", "pause", "edge");
  const { stdout } = await cluster.fleetctl(home, "rollout", "status", "edge");
  assert.match(stdout, /^edge\.service\s+replace\s+changing \(\d of 3 machines\)/m);
  await cluster.fleetctl(home, "rollout", "resume", "--no-block", "edge");
  // The leader's daemon is killed on the way: the next leader continues.
  await rollout(cluster, home, "a machine to be healthy", (now) => (progress(now)?.healthy ?? 3) > 0, "edge");
  await (await cluster.leader()).must(["systemctl", "kill", "--signal=SIGKILL", "fleet.service"]);
  const ended = await rollout(cluster, home, "the end", ({ status }) => status !== "running", "edge");
  assert.equal(ended.status, "done", JSON.stringify(ended));
  const updated = await traffic.until("v2 everywhere", isEverywhere("v2"));
  assert.deepEqual(updated.failed, []);
  assert.ok(updated.answered["v1"]! > 0 && updated.answered["v2"]! > 0);

  // A version that crashes reaches one machine, and goes back there.
  const before = await invocations();
  const { code, stderr } = await fleetctl(home, ...await apply("v3-crash"));
  assert.equal(code, 1);
  assert.match(stderr, /edge\.service failed on machine/);
  await rollout(cluster, home, "the end", ({ status }) => status === "rolled-back", "edge");
  const report = await traffic.until("v2 everywhere again", isEverywhere("v2"));
  const after = await invocations();
  assert.equal(after.filter((id, at) => id !== before[at]).length, 1, "one machine was changed");
  assert.deepEqual(report.failed.filter(({ version }) => version !== "v3-crash"), [], "the others answer all the time");
  assert.ok(report.fewest >= 2, `${report.fewest} machines answered`);
  await cluster.destroy(home, "edge.service");
}

/** True if every instance serves this version, and nothing else does. */
const serves = (version: string) => ({ healthy }: TrafficReport) =>
  Object.keys(healthy).length === web.length && Object.values(healthy).every((each) => each === version);

/** Returns the machine and the invocation of each unit. */
async function runs(cluster: FleetCluster, home: Machine, names: readonly string[]): Promise<string[]> {
  const states = (await cluster.states(home)).filter(({ name }) => names.includes(name));
  return await Promise.all(states.map(async ({ name, machineID }) => {
    return `${name} ${machineID} ${await cluster.invocation(cluster.byId(machineID!), name)}`;
  }));
}

/** Changes every kind of unit, with at least two instances healthy at all times: no request fails. */
async function updated(cluster: FleetCluster, traffic: Traffic): Promise<void> {
  const home = cluster.machine("m1");
  const untouched = ["tick.timer", "echo.socket"];
  const before = await runs(cluster, home, untouched);
  await cluster.fleetctl(home, ...await written(home, application("v2")));
  const report = await traffic.until("v2 everywhere", serves("v2"));
  assert.deepEqual(report.failed, []);
  assert.ok(report.fewest >= 2, `${report.fewest} instances were healthy`);
  assert.ok(report.answered["v1"]! > 0 && report.answered["v2"]! > 0);
  assert.deepEqual(await runs(cluster, home, untouched), before, "what has not changed is not touched");
  const states = await cluster.states(home);
  const [first] = states.filter(({ name }) => name === web[0]);
  const [side] = states.filter(({ name }) => name === "side.service");
  assert.equal(side!.machineID, first!.machineID);
  for (const machine of cluster.lab.machines) {
    const environment = await machine.must(["systemctl", "show", "--property=Environment", "--value", "node.service"]);
    assert.equal(environment.trim(), "VERSION=v2");
  }
  const migrations = await Promise.all(
    cluster.lab.machines.map((machine) => machine.sh("cat /root/migrations 2>/dev/null || true")),
  );
  assert.deepEqual(migrations.join("").trim().split("\n").sort(), ["v1", "v2"]);
}

/** A version that ends after two seconds changes one batch, and that goes back. */
async function rolledBack(cluster: FleetCluster, traffic: Traffic): Promise<void> {
  const home = cluster.machine("m1");
  const before = await runs(cluster, home, web.slice(2));
  const seen = await traffic.now();
  const files = application("v2");
  // It must stay up for much longer than it does: its machine may report the crash late.
  const bad = application("v3-crash", "MinHealthyTime=20s\nHealthyDeadline=8s\n")["web@.service"]!;
  const { code, stderr } = await fleetctl(home, ...await written(home, { ...files, "web@.service": bad }));
  assert.equal(code, 1);
  assert.match(stderr, /web@[12]\.service/);
  const ended = await rollout(cluster, home, "the end", ({ status }) => status === "rolled-back");
  assert.match(ended.reason!, /web@[12]\.service/);
  const report = await traffic.until("v2 everywhere", serves("v2"));
  assert.deepEqual(await runs(cluster, home, web.slice(2)), before, "the second batch was not begun");
  const failed = report.failed.slice(seen.failed.length);
  assert.deepEqual(failed.filter(({ version }) => version !== "v3-crash"), [], "other instances answer all the time");
  assert.ok(report.answered["v2"]! > seen.answered["v2"]!);
}

/** The machine of the leader dies while an instance is being changed: the next leader completes the roll-out. */
async function leaderLost(cluster: FleetCluster, traffic: Traffic): Promise<void> {
  const leader = await cluster.leader();
  const home = cluster.lab.machines.find((machine) => machine !== leader)!;
  const seen = await traffic.now();
  const apply = await written(home, application("v4"));
  await cluster.fleetctl(home, ...apply, "--no-block", "--max-parallel=1");
  await rollout(cluster, home, "an instance to be changed", isChangingWeb);
  await leader.powerCut();
  const ended = await rollout(cluster, home, "the end", ({ status }) => status !== "running");
  assert.equal(ended.status, "done", JSON.stringify(ended));
  const report = await traffic.until("v4 everywhere", serves("v4"));
  const failed = report.failed.slice(seen.failed.length);
  assert.deepEqual(failed.filter(({ instance }) => !instance.startsWith(`${leader.ip}:`)), []);
  await leader.boot();
  await cluster.joined(cluster.lab.machines);
}

/** A roll-out outlives its client, etcd and the daemons, and another one is refused meanwhile. */
async function clientLost(cluster: FleetCluster, traffic: Traffic): Promise<void> {
  const [home, other] = [cluster.machine("m1"), cluster.machine("m2")];
  const seen = await traffic.now();
  const apply = await written(home, application("v5"));
  const pid = await home.sh(`fleetctl ${apply.join(" ")} >/root/apply.log 2>&1 & echo $!`);
  const begun = await rollout(cluster, home, "an instance to be changed", isChangingWeb);
  await home.must(["kill", "-KILL", pid.trim()]);
  await cluster.fleetctl(home, "rollout", "pause", "shop");
  const second = await fleetctl(other, ...await written(other, application("v6")));
  assert.equal(second.code, 1);
  assert.match(second.stderr, /has a roll-out that is paused/);
  await cluster.fleetctl(other, "rollout", "resume", "--no-block", "shop");
  await cluster.lab.etcd.stop();
  await cluster.lab.etcd.start();
  await Promise.all(cluster.lab.machines.map((machine) => machine.must(["systemctl", "restart", "fleet.service"])));
  const ended = await rollout(cluster, home, "the end", ({ status }) => status !== "running");
  assert.deepEqual([ended.id, ended.status], [begun.id, "done"], JSON.stringify(ended));
  const report = await traffic.until("v5 everywhere", serves("v5"));
  assert.deepEqual(report.failed.slice(seen.failed.length), []);
}

/**
 * Of two clients that apply at once one wins, and the other is refused. Then another client changes a unit that is still to
 * be changed: the roll-out stops and names it.
 */
async function changedByHand(cluster: FleetCluster): Promise<void> {
  const home = cluster.machine("m1");
  const rivals = await Promise.all([[home, "v7"], [cluster.machine("m2"), "v8"]].map(async ([machine, version]) => {
    const apply = await written(machine as Machine, application(version as string));
    return await fleetctl(machine as Machine, ...apply, "--no-block");
  }));
  assert.deepEqual(rivals.map(({ code }) => code).sort(), [0, 1], JSON.stringify(rivals));
  const loser = rivals.find(({ code }) => code === 1)!;
  assert.match(loser.stderr, /has a roll-out that is (preparing|running)|since the plan was made/);
  await rollout(cluster, home, "an instance to be changed", isChangingWeb);
  await cluster.put(home, web[3]!, "loaded");
  const ended = await rollout(cluster, home, "the end", ({ status }) => status !== "running");
  assert.equal(ended.status, "failed");
  assert.match(ended.reason!, /web@4\.service was changed by .* during the roll-out/);
  const { stdout } = await cluster.fleetctl(home, "rollout", "status", "shop");
  assert.match(stdout, /web@4\.service was changed/);
}

Deno.test("roll-outs on real machines", async (test) => {
  const files = { "/opt/web.js": webServer };
  await withFleet({ machines: 3, conf: { agent_ttl: "10s" }, files }, async (cluster) => {
    await test.step("health checks follow their units, and change nothing about them", () => checked(cluster));
    await test.step("the guide on applications shows what fleetctl prints", () => followGuide(cluster));
    await test.step("the application of the examples runs, and its socket leads to its web server", () =>
      exampleRuns(cluster));
    await test.step("a global unit changes on one machine after the other", () => machineByMachine(cluster));
    const home = cluster.machine("m1");
    await cluster.fleetctl(home, ...await written(home, application("v1")));
    await using traffic = await Traffic.start(cluster.lab, ports);
    await traffic.until("all instances", serves("v1"));
    await test.step("an update changes batches of instances, and no request fails", () => updated(cluster, traffic));
    await test.step("a version that crashes goes back after its first batch", () => rolledBack(cluster, traffic));
    await test.step("the next leader completes a roll-out", () => leaderLost(cluster, traffic));
    await test.step("a roll-out outlives its client, etcd and the daemons", () => clientLost(cluster, traffic));
    await test.step("a change by hand stops a roll-out", () => changedByHand(cluster));
  });
});
