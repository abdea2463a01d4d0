/** The start of fleetd while the store or the bus is missing, or with a configuration that cannot work. */

import assert from "node:assert/strict";
import { buildFleet, FleetCluster, sleeper, withFleet } from "../../lab/fleet_cluster.ts";
import { withLab } from "../../lab/lab.ts";
import type { Machine } from "../../lab/machine.ts";
import { until } from "../../lab/process.ts";

/** Runs fleetd by hand on a machine whose own daemon is stopped, until it ends by itself. */
async function fleetd(machine: Machine, env: Record<string, string>, ...args: string[]) {
  return await machine.run(["fleetd", ...args], { env });
}

/** Waits until the API answers 503 with a reason, because the daemon is not a member. */
async function unready(cluster: FleetCluster, machine: Machine, why: RegExp): Promise<void> {
  await until(`${machine.name} to say ${why}`, async () => {
    const response = await cluster.request(machine, "GET", "/machines");
    return response.status === 503 && why.test(await response.text()) ? true : undefined;
  });
}

async function storeComesLate(): Promise<void> {
  const dist = await buildFleet();
  await withLab({ machines: 2, fleet: { dist, conf: {} } }, async (lab) => {
    const cluster = new FleetCluster(lab);
    const [m1] = lab.machines;
    await cluster.joined(lab.machines);
    await cluster.put(m1!, "a.service", "launched", sleeper);
    await cluster.active(m1!, ["a.service"]);
    await lab.etcd.stop();
    for (const machine of lab.machines) await machine.must(["systemctl", "restart", "fleet.service"]);
    for (const machine of lab.machines) {
      await unready(cluster, machine, /unable to communicate with etcd.*10\.77\.0\.1:2379/);
      const status = await machine.must(["systemctl", "show", "--property=StatusText", "--value", "fleet.service"]);
      assert.match(status, /10\.77\.0\.1:2379/);
      assert.equal((await machine.must(["systemctl", "is-active", "fleet.service"])).trim(), "active");
    }
    const { code, stderr } = await m1!.run(["fleetctl", "start", "a.service"]);
    assert.equal(code, 1);
    assert.match(stderr, /etcd/);
    await lab.etcd.start();
    await cluster.joined(lab.machines);
    await cluster.active(m1!, ["a.service"]);
    // A stop works also while the store cannot be reached.
    await lab.etcd.stop();
    await m1!.must(["systemctl", "stop", "fleet.socket", "fleet.service"]);
    assert.match(await m1!.journal("fleet.service"), /Deactivated successfully/);
  });
}

/** Runs the sequence of fleet 1.0's manual: every request after `systemctl start` has returned gets 200, and never 503. */
async function answersOnceStarted(cluster: FleetCluster): Promise<void> {
  const [m1] = cluster.lab.machines;
  const sequences = [
    "systemctl stop fleet.service; systemctl restart fleet.socket; systemctl start fleet.service",
    "systemctl restart fleet.service",
  ];
  for (const sequence of [...sequences, ...sequences, ...sequences]) {
    await m1!.sh(sequence);
    const response = await cluster.request(m1!, "GET", "/machines");
    const text = await response.text();
    assert.equal(response.status, 200, `after ${sequence}: ${text}`);
  }
}

async function busComesLate(cluster: FleetCluster): Promise<void> {
  const [m1] = cluster.lab.machines;
  await cluster.put(m1!, "a.service", "launched", sleeper);
  await cluster.active(m1!, ["a.service"]);
  const pid = await cluster.pid(m1!, "a.service");
  await m1!.must(["systemctl", "stop", "dbus.socket", "dbus.service"]);
  const start = (await m1!.journal("fleet.service")).length;
  await m1!.must(["systemctl", "kill", "--signal=SIGKILL", "fleet.service"]);
  await until("the next daemon to say that there is no bus", async () => {
    const logged = (await m1!.journal("fleet.service")).slice(start);
    return /Starting fleetd[^]*system_bus_socket/.test(logged) ? true : undefined;
  });
  await cluster.joined([m1!]);
  await cluster.put(m1!, "b.service", "launched", sleeper);
  await m1!.must(["systemctl", "start", "dbus.socket"]);
  await cluster.active(m1!, ["a.service", "b.service"]);
  assert.equal(await cluster.pid(m1!, "a.service"), pid);
  for (const name of ["a.service", "b.service"]) await cluster.destroy(m1!, name);
  await cluster.statesWhere(m1!, "no unit left", (states) => states.length === 0);
}

async function refusals(cluster: FleetCluster): Promise<void> {
  const [m1] = cluster.lab.machines;
  await m1!.writeFile("/root/bad.conf", "verbosity=1\nagent_ttl=30\n");
  await m1!.writeFile("/root/torn.conf", "verbosity\n");
  const cases: readonly { args: string[]; env?: Record<string, string>; code: number; says: RegExp }[] = [
    { args: ["--version"], code: 0, says: /^fleetd version \d/ },
    { args: ["list-units"], code: 1, says: /takes no arguments. Did you mean to invoke fleetctl instead\?/ },
    { args: ["--nosuch"], code: 2, says: /flag provided but not defined: -nosuch/ },
    { args: ["--config", "/nosuch"], code: 1, says: /Unable to use config file \/nosuch/ },
    { args: ["--config", "/root"], code: 1, says: /Provided config \/root is a directory, not a file/ },
    { args: ["--config", "/root/bad.conf"], code: 1, says: /\/root\/bad\.conf:2: option agent_ttl "30".*missing unit/ },
    { args: ["--config", "/root/torn.conf"], code: 1, says: /\/root\/torn\.conf:1: expected OPTION=VALUE/ },
    { args: [], env: { FLEET_TOKEN_LIMIT: "many" }, code: 1, says: /FLEET_TOKEN_LIMIT: option token_limit "many"/ },
    {
      args: [],
      env: { FLEET_PUBLIC_IP: "10.0.0.1/24" },
      code: 1,
      says: /public_ip "10\.0\.0\.1\/24": expected one IP/,
    },
    { args: ["--listen", "nonsense"], code: 1, says: /nonsense/ },
    { args: ["--listen", "127.0.0.1:22"], code: 1, says: /127\.0\.0\.1:22.*(in use|occupied)/i },
    {
      args: ["--listen", "unix:/tmp/x"],
      code: 1,
      says: /unix:\/tmp\/x: .*only in and below \/run\/fleet, \/run\/user and \/var\/lib\/fleet: name a path there\n$/,
    },
    {
      args: [],
      env: { FLEET_UNITS_DIRECTORY: "/srv/fleet/units" },
      code: 1,
      says: /\/srv\/fleet.*permission.*compile\.sh/is,
    },
  ];
  for (const { args, env = {}, code, says } of cases) {
    const output = await fleetd(m1!, env, ...args);
    const printed = `${output.stdout}${output.stderr}`;
    assert.equal(output.code, code, `fleetd ${args.join(" ")}: ${printed}`);
    assert.match(printed, says);
  }
}

Deno.test("daemons wait for a store that cannot be reached when they start", storeComesLate);

/** Gives a machine a name server that never answers, and no names in files, not even localhost. */
async function deadResolver(cluster: FleetCluster): Promise<void> {
  const [m1] = cluster.lab.machines;
  await m1!.writeFile("/root/resolv.conf", "nameserver 127.0.0.9\noptions timeout:10 attempts:1\n");
  await m1!.writeFile("/root/hosts", "");
  await m1!.sh(
    "touch /etc/resolv.conf; mount --bind /root/resolv.conf /etc/resolv.conf; mount --bind /root/hosts /etc/hosts",
  );
  // A name server that takes every question and answers none.
  await m1!.must([
    ...["systemd-run", "--quiet", "--unit=nameserver", "--socket-property=ListenDatagram=127.0.0.9:53"],
    ...["sleep", "infinity"],
  ]);
  const dead = await m1!.run(["getent", "ahosts", "localhost.example"], { timeout_ms: 30_000 });
  assert.equal(dead.code, 2, "no name can be resolved");
  await m1!.must(["systemctl", "restart", "fleet.service"]);
  await cluster.joined([m1!]);
  await cluster.put(m1!, "a.service", "launched", sleeper);
  await cluster.active(m1!, ["a.service"]);
  for (const command of ["list-machines", "list-units", "cat a.service", "status a.service", "journal a.service"]) {
    const begun_ms = performance.now();
    await cluster.fleetctl(m1!, ...command.split(" "));
    const took_ms = performance.now() - begun_ms;
    assert.ok(took_ms < 9_000, `fleetctl ${command} took ${took_ms} ms: it has looked up a name`);
  }
  await cluster.destroy(m1!, "a.service");
  await m1!.sh("umount /etc/resolv.conf /etc/hosts; systemctl stop nameserver.socket nameserver.service");
}

Deno.test("one machine", async (t) => {
  await withFleet({ machines: 1 }, async (cluster) => {
    await t.step("the daemon waits for a bus that is missing when it starts", () => busComesLate(cluster));
    await t.step("requests are answered as soon as systemctl start has returned", () => answersOnceStarted(cluster));
    await t.step("a start that can never work fails with the reason", () => refusals(cluster));
    await t.step("no name is resolved for a unix socket", () => deadResolver(cluster));
  });
});

Deno.test("of two machines with one machine ID the second does not join, and its status names the first", async () => {
  const id = "ab".repeat(16);
  const dist = await buildFleet();
  const machines = [{ id }, { id, on: false }];
  await withLab({ machines, fleet: { dist, conf: { agent_ttl: "5s" } } }, async (lab) => {
    const cluster = new FleetCluster(lab);
    const [m1, m2] = lab.machines;
    await cluster.joined([m1!]);
    await cluster.put(m1!, "a.service", "launched", sleeper);
    await cluster.active(m1!, ["a.service"]);
    const pid = await cluster.pid(m1!, "a.service");
    await m2!.boot();
    await unready(cluster, m2!, /machine ID abab.*10\.77\.0\.11/);
    assert.equal(await cluster.pid(m1!, "a.service"), pid);
    assert.deepEqual(await cluster.members(m1!), [id]);
    // After the first machine has left, the second joins.
    await m1!.powerCut();
    await cluster.joined([m2!]);
    await cluster.active(m2!, ["a.service"]);
  });
});
