/** Signals to a daemon on a real machine. */

import assert from "node:assert/strict";
import { type FleetCluster, sleeper, withFleet } from "../../lab/fleet_cluster.ts";
import type { Machine } from "../../lab/machine.ts";
import { until } from "../../lab/process.ts";

const conf_path = "/etc/fleet/fleet.conf";

async function confOf(machine: Machine): Promise<string> {
  return await machine.must(["cat", conf_path]);
}

/** Waits for a line in the journal beyond `start`, a length. Returns the journal from there. */
async function logged(machine: Machine, start: number, wanted: RegExp): Promise<string> {
  return await until(`${machine.name} to log ${wanted}`, async () => {
    const text = (await machine.journal("fleet.service")).slice(start);
    return wanted.test(text) ? text : undefined;
  });
}

/** Replaces fleet.conf and reloads. Returns the daemon's log line; exit status and Status of the unit must match it. */
async function reload(machine: Machine, conf: string): Promise<string> {
  const start = (await machine.journal("fleet.service")).length;
  await machine.writeFile(conf_path, conf);
  const { code } = await machine.run(["systemctl", "reload", "fleet.service"]);
  const text = await logged(machine, start, /configuration (not )?reloaded.*\n/);
  const refusal = /configuration not reloaded, the old one stays in force: (.*)\n/.exec(text)?.[1];
  assert.equal(code, refusal === undefined ? 0 : 1, text);
  assert.equal((await machine.must(["systemctl", "is-active", "fleet.service"])).trim(), "active");
  const status = await machine.must(["systemctl", "show", "--property=StatusText", "--value", "fleet.service"]);
  const expected = refusal === undefined ? "" : `; configuration not reloaded: ${refusal}`;
  assert.equal(status.trim(), `member of the cluster${expected}`);
  return text;
}

/** Sends requests, four at a time, until `end` is called, which returns their number. */
function keepAsking(cluster: FleetCluster, machine: Machine): { end: () => Promise<number> } {
  let over = false;
  let asked = 0;
  const ask = async () => {
    while (!over) {
      const path = ["/machines", "/units", "/state"][asked++ % 3]!;
      const response = await cluster.request(machine, "GET", path);
      assert.equal(response.status, 200, `GET ${path}: ${await response.text()}`);
    }
  };
  const askers = Promise.all(Array.from({ length: 4 }, ask));
  // `end` reports a failure; without this line it would fail the whole file.
  askers.catch(() => {});
  return {
    end: async () => {
      over = true;
      await askers;
      return asked;
    },
  };
}

interface Before {
  readonly daemon: number;
  readonly unit: number;
  readonly invocation: string;
}

async function look(cluster: FleetCluster, machine: Machine): Promise<Before> {
  return {
    daemon: await cluster.pid(machine, "fleet.service"),
    unit: await cluster.pid(machine, "a.service"),
    invocation: await cluster.invocation(machine, "a.service"),
  };
}

async function reloads(cluster: FleetCluster): Promise<void> {
  const [m1] = cluster.lab.machines;
  const metadata = async () => {
    const response = await cluster.request(m1!, "GET", "/machines");
    return (await response.json()).machines.find((one: { id: string }) => one.id === m1!.id).metadata;
  };
  await cluster.put(m1!, "a.service", "launched", `${sleeper}[X-Fleet]\nMachineID=${m1!.id}\n`);
  await cluster.active(m1!, ["a.service"]);
  const before = await look(cluster, m1!);
  const conf = await confOf(m1!);
  const asking = keepAsking(cluster, m1!);

  await reload(m1!, `${conf}metadata=role=web\n`);
  await until("the new metadata", async () => (await metadata())?.role === "web" || undefined);

  assert.match(await reload(m1!, `${conf}agent_ttl=30\n`), /not reloaded.*fleet\.conf:\d+: option agent_ttl "30"/);
  assert.match(await reload(m1!, `${conf}units_directory=/run/fleet/others/\n`), /not reloaded.*units_directory/);
  assert.match(await reload(m1!, `${conf}etcd_cafile=/nosuch\n`), /not reloaded.*etcd_cafile.*\/nosuch/);
  const noCertificate = "api_certfile=/etc/os-release\napi_keyfile=/etc/os-release\n";
  assert.match(
    await reload(m1!, conf + noCertificate),
    /not reloaded.*api_certfile \/etc\/os-release: there is no cert/,
  );
  assert.equal((await metadata())?.role, "web", "the old configuration is still in force");

  // Another lease, another page size, more log lines.
  await reload(m1!, `${conf}agent_ttl=6s\ntoken_limit=1\nverbosity=1\nmetadata=role=db\n`);
  assert.equal((await (await cluster.request(m1!, "GET", "/machines")).json()).machines.length, 1);
  await logged(m1!, 0, /HTTP GET \S*\/machines/);
  const ttl = async () => {
    const { stdout } = await cluster.lab.etcd.ctl("get", "-w=json", `/_coreos.com/fleet/machine/${m1!.id}`);
    const { kvs } = JSON.parse(stdout) as { kvs: { lease: number }[] };
    // A 64-bit number: it is taken from the text.
    const lease = /"lease":(\d+)/.exec(stdout)?.[1] ?? String(kvs[0]!.lease);
    const hex = BigInt(lease).toString(16);
    return Number(/granted with TTL\((\d+)s\)/.exec(await cluster.lab.etcd.must("lease", "timetolive", hex))?.[1]);
  };
  await until("a lease of the new length", async () => (await ttl()) === 6 || undefined);

  // The same store by another way: its name.
  await reload(m1!, conf.replaceAll("10.77.0.1:2379", "10.77.0.1:2379,http://10.77.0.1:2379"));
  await reload(m1!, conf);
  assert.equal((await metadata())?.role, undefined);

  const asked = await asking.end();
  assert.ok(asked > 50, `${asked} requests`);
  assert.deepEqual(await look(cluster, m1!), before, "neither the daemon nor the unit has been touched");
  assert.deepEqual((await cluster.members(m1!)).length, 2);
}

async function checks(cluster: FleetCluster): Promise<void> {
  const [m1] = cluster.lab.machines;
  const wrong = { FLEET_AGENT_TTL: "30", FLEET_VERBOSITY: "x" };
  assert.deepEqual(await m1!.run(["fleetd", "--check-config"], { env: wrong }), {
    code: 1,
    stdout: "",
    stderr: 'error: FLEET_VERBOSITY: option verbosity "x": expected a whole number\n' +
      'error: FLEET_AGENT_TTL: option agent_ttl "30": expected a duration such as 30s, 1m30s or 500ms: ' +
      'missing unit in duration "30"\n',
  });
  const fine = await m1!.run(["fleetd", "--check-config"], { env: { FLEET_AGENT_TLL: "1s" } });
  assert.equal(fine.code, 0);
  assert.match(fine.stdout, /^etcd_servers=http:\/\/10\.77\.0\.1:2379 +# \/etc\/fleet\/fleet\.conf:1$/m);
  assert.equal(
    fine.stderr,
    "warning: Config option agent_tll is not known and is ignored (FLEET_AGENT_TLL); did you mean agent_ttl? " +
      "Its default is in force: 30s\n",
  );
}

async function hupBurst(cluster: FleetCluster): Promise<void> {
  const [m1] = cluster.lab.machines;
  const before = await look(cluster, m1!);
  const conf = await confOf(m1!);
  const asking = keepAsking(cluster, m1!);
  for (let round = 0; round < 10; round++) {
    await m1!.writeFile(conf_path, `${conf}agent_ttl=${20 + round}s\n`);
    await m1!.must(["systemctl", "kill", "--signal=HUP", "fleet.service"]);
  }
  await m1!.writeFile(conf_path, conf);
  await reload(m1!, conf);
  await asking.end();
  await cluster.joined(cluster.lab.machines);
  assert.deepEqual(await look(cluster, m1!), before);
}

/** Checks that systemd logged a successful end of the daemon. */
async function endedWell(machine: Machine, start: number): Promise<void> {
  const text = await logged(
    machine,
    start,
    /fleet\.service: Deactivated successfully|fleet\.service: Failed with result/,
  );
  assert.doesNotMatch(text, /Failed with result/);
}

/** Waits for a daemon with another PID. */
async function replaced(cluster: FleetCluster, machine: Machine, old: number): Promise<void> {
  await until("another daemon", async () => {
    const pid = await cluster.pid(machine, "fleet.service");
    return (pid > 0 && pid !== old) || undefined;
  });
}

/** At whatever moment of a reload SIGTERM comes, the daemon ends soon, and the next one has the new configuration. */
async function terminatedReloading(cluster: FleetCluster): Promise<void> {
  const [m1] = cluster.lab.machines;
  const conf = await confOf(m1!);
  const { unit, invocation } = await look(cluster, m1!);
  const elsewhere = conf.replaceAll("10.77.0.1:2379", "10.77.0.1:2379,http://10.77.0.9:2379");
  const nowhere = conf.replaceAll("10.77.0.1:2379", "10.77.0.9:2379");
  const cases: readonly (readonly [conf: string, pause_s: number])[] = [
    ...[0, 0.01, 0.03, 0.1].map((pause_s) => [elsewhere, pause_s] as const),
    ...[0.05, 0.5, 1.2].map((pause_s) => [nowhere, pause_s] as const),
  ];
  for (const [changed, pause_s] of cases) {
    const start = (await m1!.journal("fleet.service")).length;
    const pid = await cluster.pid(m1!, "fleet.service");
    await m1!.writeFile(conf_path, changed);
    await m1!.sh(`kill -HUP ${pid}; sleep ${pause_s}; kill -TERM ${pid}`);
    await m1!.writeFile(conf_path, conf);
    const begun_ms = performance.now();
    await endedWell(m1!, start);
    assert.ok(performance.now() - begun_ms < 15_000, "the daemon ends before systemd's timeout");
    await replaced(cluster, m1!, pid);
    // The new daemon may have read the changed file.
    await m1!.must(["systemctl", "reload", "fleet.service"]);
    await cluster.joined(cluster.lab.machines);
    const after = await look(cluster, m1!);
    assert.deepEqual([after.unit, after.invocation], [unit, invocation], `after ${pause_s} s`);
  }
}

/** Waits until the API answers that etcd cannot be reached. */
async function saysWhy(cluster: FleetCluster, machine: Machine): Promise<void> {
  await until("the API to say why it does not answer", async () => {
    const response = await cluster.request(machine, "GET", "/units");
    return response.status === 503 && /10\.77\.0\.1:2379/.test(await response.text());
  });
}

/** Sends signals, a restart and a stop while etcd cannot be reached, to a daemon that has joined and to one that has not. */
async function endedWithoutStore(cluster: FleetCluster): Promise<void> {
  const [m1] = cluster.lab.machines;
  const { unit, invocation } = await look(cluster, m1!);
  await cluster.lab.etcd.stop();
  // The end of etcd's connections may crash the runtime (denoland/deno#36788); systemd has started another daemon then.
  await saysWhy(cluster, m1!);
  const commands = ["kill --signal=TERM", "kill --signal=INT", "restart", "kill --signal=TERM", "kill --signal=KILL"];
  for (const command of commands) {
    const start = (await m1!.journal("fleet.service")).length;
    const pid = await cluster.pid(m1!, "fleet.service");
    await m1!.must(["systemctl", ...command.split(" "), "fleet.service"]);
    if (!command.includes("KILL")) await endedWell(m1!, start);
    await replaced(cluster, m1!, pid);
    await saysWhy(cluster, m1!);
    const after = await look(cluster, m1!);
    assert.deepEqual([after.unit, after.invocation], [unit, invocation], `after ${command}`);
  }
  await cluster.lab.etcd.start();
  await cluster.joined(cluster.lab.machines);
  const after = await look(cluster, m1!);
  assert.deepEqual([after.unit, after.invocation], [unit, invocation], "after etcd is back");
  for (const joined of [true, false]) {
    await cluster.lab.etcd.stop();
    await saysWhy(cluster, m1!);
    if (!joined) await m1!.must(["systemctl", "restart", "fleet.service"]);
    const start = (await m1!.journal("fleet.service")).length;
    await m1!.must(["systemctl", "stop", "fleet.socket", "fleet.service"]);
    await endedWell(m1!, start);
    assert.equal(await cluster.pid(m1!, "a.service"), 0, "a stop unloads units also without the store");
    assert.equal(await m1!.must(["ls", "/run/fleet/units"]), "");
    await cluster.lab.etcd.start();
    await m1!.must(["systemctl", "start", "fleet.socket", "fleet.service"]);
    await until("the unit to run again", async () => await cluster.pid(m1!, "a.service") > 0 || undefined);
    await cluster.joined(cluster.lab.machines);
  }
}

async function dumps(cluster: FleetCluster): Promise<void> {
  const [m1] = cluster.lab.machines;
  const start = (await m1!.journal("fleet.service")).length;
  await m1!.must(["systemctl", "kill", "--signal=USR2", "fleet.service"]);
  const text = await logged(m1!, start, /\{"Agent".*\}\n/);
  const state = JSON.parse(/\{"Agent".*\}/.exec(text)![0]);
  assert.deepEqual(state.Agent, { Cache: { TargetStates: { "a.service": "launched" } } });
  const { UnitHash, ...published } = state.UnitStatePublisher.Cache["a.service"];
  assert.match(UnitHash, /^[0-9a-f]{40}$/);
  assert.deepEqual(published, {
    LoadState: "loaded",
    ActiveState: "active",
    SubState: "running",
    MachineID: m1!.id,
    UnitName: "a.service",
  });
  assert.deepEqual(state.UnitStateGenerator, { Subscribed: ["a.service"] });
  assert.equal(state.Server.Ready, true);
}

/** The runtime would open a debugger on SIGUSR1. */
async function usr1(cluster: FleetCluster): Promise<void> {
  const [m1] = cluster.lab.machines;
  const before = await look(cluster, m1!);
  await m1!.must(["systemctl", "kill", "--signal=USR1", "fleet.service"]);
  // A later signal is handled, so both of these have been delivered.
  await m1!.must(["systemctl", "kill", "--signal=USR1", "fleet.service"]);
  await dumps(cluster);
  const listening = await m1!.must(["ss", "--listening", "--tcp", "--numeric", "--no-header"]);
  assert.doesNotMatch(listening, /:92\d\d\b/);
  const pending = await m1!.sh(`grep -E '^(SigBlk|ShdPnd)' /proc/${before.daemon}/status`);
  // SIGUSR1 is the tenth signal (signal(7)).
  assert.match(pending, /ShdPnd:\s+[0-9a-f]*2[0-9a-f]{2}\n/, "the signal stays pending");
  assert.deepEqual(await look(cluster, m1!), before);
}

async function watchdog(cluster: FleetCluster): Promise<void> {
  const [m1] = cluster.lab.machines;
  await m1!.writeFile("/run/systemd/system/fleet.service.d/watchdog.conf", "[Service]\nWatchdogSec=3s\n");
  await m1!.must(["systemctl", "daemon-reload"]);
  await m1!.must(["systemctl", "restart", "fleet.service"]);
  await cluster.joined(cluster.lab.machines);
  const before = await look(cluster, m1!);
  // Longer than the watchdog's period: the daemon runs on because it reports.
  const alive_ms = Date.now() + 5_000;
  await until("five seconds", () => Promise.resolve(Date.now() > alive_ms || undefined), { every_ms: 200 });
  assert.deepEqual(await look(cluster, m1!), before);
  await m1!.must(["systemctl", "kill", "--signal=STOP", "fleet.service"]);
  await until("another daemon", async () => {
    const pid = await cluster.pid(m1!, "fleet.service");
    return (pid > 0 && pid !== before.daemon) || undefined;
  });
  await cluster.joined(cluster.lab.machines);
  const { unit, invocation } = await look(cluster, m1!);
  assert.deepEqual([unit, invocation], [before.unit, before.invocation]);
}

Deno.test("signals on a real machine", async (t) => {
  await withFleet({ machines: 2 }, async (cluster) => {
    await t.step("a reload puts a new configuration in force and refuses a bad one", () => reloads(cluster));
    await t.step("--check-config lists every mistake", () => checks(cluster));
    await t.step("requests are answered during many reloads", () => hupBurst(cluster));
    await t.step("SIGUSR2 prints the daemon's state", () => dumps(cluster));
    await t.step("SIGUSR1 opens no debugger", () => usr1(cluster));
    await t.step("SIGTERM during a reload ends the daemon", () => terminatedReloading(cluster));
    await t.step("the daemon ends while etcd cannot be reached", () => endedWithoutStore(cluster));
    await t.step("a daemon that hangs is replaced if the service has a watchdog", () => watchdog(cluster));
  });
});
