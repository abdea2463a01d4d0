/** Daemons on an etcd with TLS and passwords, and on an etcd of three members. */

import assert from "node:assert/strict";
import { type Authority, makeAuthority } from "../../api/authority.ts";
import { EtcdServer } from "../../lab/etcd.ts";
import { buildFleet, FleetCluster, optionsOf, sleeper, withFleet } from "../../lab/fleet_cluster.ts";
import { type Lab, withLab } from "../../lab/lab.ts";
import type { Machine } from "../../lab/machine.ts";
import { until } from "../../lab/process.ts";

const address = "10.77.0.1";
/** Contains characters that fleet.conf and environment files treat specially. */
const password = 'a#b;c "d';
const quotable = "a#b;c d";

/** Starts an etcd that requires TLS, a client certificate and a password of machines, and serves plain HTTP to this test. */
async function startSecureEtcd(lab: Lab, authority: Authority): Promise<EtcdServer> {
  const dir = `${lab.dir}/secure-etcd`;
  await Deno.mkdir(dir);
  const plain = { netns: lab.network.path, address, client_port: 2381, dir };
  const setup = await EtcdServer.start(plain);
  await giveUsers(setup, password);
  await setup.must("auth", "enable");
  await setup.stop();
  // etcdctl(1) reads this variable; from here on etcd refuses requests without a password.
  Deno.env.set("ETCDCTL_USER", `root:${password}`);
  return await EtcdServer.start({
    ...plain,
    flags: [
      ...["--listen-client-urls", `http://${address}:2381,https://${address}:2379`],
      ...["--advertise-client-urls", `https://${address}:2379`],
      ...["--cert-file", `${authority.directory}/server.crt`, "--key-file", `${authority.directory}/server.key`],
      ...["--client-cert-auth", "--trusted-ca-file", `${authority.directory}/ours.crt`],
    ],
  });
}

/** Adds the users and the role that docs/guides/operate.md describes. */
async function giveUsers(etcd: { must(...args: string[]): Promise<string> }, password: string): Promise<void> {
  await etcd.must("user", "add", `root:${password}`);
  await etcd.must("user", "grant-role", "root", "root");
  await etcd.must("role", "add", "fleet");
  await etcd.must("role", "grant-permission", "fleet", "--prefix=true", "readwrite", "/_coreos.com/fleet/");
  await etcd.must("user", "add", `fleet:${password}`);
  await etcd.must("user", "grant-role", "fleet", "fleet");
}

async function status(machine: Machine): Promise<string> {
  return await machine.must(["systemctl", "show", "--property=StatusText", "--value", "fleet.service"]);
}

async function reports(machine: Machine, why: RegExp): Promise<void> {
  await until(`${machine.name} to report ${why}`, async () => why.test(await status(machine)) || undefined).catch(
    async (error) => {
      throw new Error(`${error.message}, not: ${await status(machine)}`, { cause: error });
    },
  );
}

Deno.test("etcd with TLS, client certificates and passwords", async (t) => {
  const dist = await buildFleet();
  const authority = await makeAuthority(`IP:${address}`);
  const conf = {
    etcd_servers: `https://${address}:2379`,
    etcd_cafile: "/etc/fleet/ca.pem",
    etcd_certfile: "/etc/fleet/cert.pem",
    etcd_keyfile: "/etc/fleet/key.pem",
    etcd_username: "fleet",
  };
  const files = {
    "/etc/fleet/ca.pem": authority.ca,
    "/etc/fleet/cert.pem": authority.trusted.cert,
    "/etc/fleet/key.pem": authority.trusted.key,
    "/etc/fleet/password": `FLEET_ETCD_PASSWORD='${password}'\n`,
    "/etc/systemd/system/fleet.service.d/password.conf": "[Service]\nEnvironmentFile=/etc/fleet/password\n",
  };
  try {
    await withLab({ machines: 2, etcd: 0, files, fleet: { dist, conf } }, async (lab) => {
      const cluster = new FleetCluster(lab);
      const [m1, m2] = lab.machines;
      const etcd = await startSecureEtcd(lab, authority);
      try {
        await t.step("machines join and run units over a secure etcd", async () => {
          await cluster.joined(lab.machines);
          await cluster.put(m1!, "a.service", "launched", `${sleeper}[X-Fleet]\nMachineID=${m1!.id}\n`);
          await cluster.active(m2!, ["a.service"]);
        });
        const pid = await cluster.pid(m1!, "a.service");
        await t.step(
          "units keep running and can be added after a restart of etcd, which ends every token",
          async () => {
            await etcd.stop();
            await etcd.start();
            await cluster.joined(lab.machines);
            await cluster.put(m2!, "b.service", "launched", sleeper);
            await cluster.active(m1!, ["a.service", "b.service"]);
            assert.equal(await cluster.pid(m1!, "a.service"), pid);
          },
        );
        await t.step("the configuration is printed without the password", async () => {
          const shown = await m1!.must(["fleetd", "--check-config"], { env: { FLEET_ETCD_PASSWORD: password } });
          assert.match(shown, /^etcd_password=\(hidden\) +# FLEET_ETCD_PASSWORD$/m);
          assert.ok(!shown.includes(password));
        });
        await t.step("no other user of the machine finds the password or a key", async () => {
          await m1!.sh("chmod 0600 /etc/fleet/password /etc/fleet/key.pem; systemctl kill --signal=USR2 fleet.service");
          const dumped = /"etcd_password=\(hidden\) *# FLEET_ETCD_PASSWORD"/;
          await until("the dump", async () => dumped.test(await m1!.journal("fleet.service")) || undefined);
          const look = "systemctl show fleet.service fleet.socket; cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ; " +
            "find / -xdev -readable -type f -path '*fleet*' -exec cat {} +; true";
          const { stdout } = await m1!.run([
            "setpriv",
            "--reuid=core",
            "--regid=core",
            "--clear-groups",
            "sh",
            "-c",
            look,
          ]);
          const found = `${stdout}${await m1!.journal("fleet.service")}`;
          assert.match(found, /^EnvironmentFiles=\/etc\/fleet\/password/m);
          assert.match(found, /etcd_certfile=/);
          for (const secret of [password, authority.trusted.key.split("\n")[1]!]) assert.ok(!found.includes(secret));
        });
        await t.step("a reload with unchanged TLS files keeps the connections to etcd", async () => {
          const connections = () => m1!.must(["ss", "-Htn", "state", "established", "dst", `${address}:2379`]);
          const reloads = async () => (await m1!.journal("fleet.service")).split("configuration reloaded").length;
          const ports = async () => (await connections()).match(/(?<=:)\d+(?=\s+10\.77\.0\.1:2379)/g)?.sort();
          const [before, reloadsBefore] = [await ports(), await reloads()];
          assert.ok(before && before.length > 0);
          await m1!.must(["systemctl", "reload", "fleet.service"]);
          await until("the reload to be done", async () => (await reloads()) > reloadsBefore || undefined);
          assert.deepEqual(await ports(), before);
          assert.equal(await cluster.pid(m1!, "a.service"), pid);
        });
        const others: readonly [what: string, files: Record<string, string>, why: RegExp][] = [
          ["another authority's client certificate", {
            "/etc/fleet/cert.pem": authority.foreign.cert,
            "/etc/fleet/key.pem": authority.foreign.key,
          }, /10\.77\.0\.1:2379/],
          ["a server certificate of an authority that is not trusted", {
            "/etc/fleet/ca.pem": authority.foreign.cert,
          }, /10\.77\.0\.1:2379.*(certificate|issuer)/i],
        ];
        for (const [what, changed, why] of others) {
          await t.step(`${what} is refused, and units keep running`, async () => {
            for (const [path, text] of Object.entries(changed)) await m1!.writeFile(path, text);
            await m1!.must(["systemctl", "reload", "fleet.service"]);
            await reports(m1!, why);
            assert.equal(await cluster.pid(m1!, "a.service"), pid);
            for (const path of Object.keys(changed)) await m1!.writeFile(path, files[path as keyof typeof files]);
            await m1!.must(["systemctl", "reload", "fleet.service"]);
            await cluster.joined([m1!, m2!]);
            assert.equal(await cluster.pid(m1!, "a.service"), pid);
          });
        }
      } finally {
        Deno.env.delete("ETCDCTL_USER");
        await etcd[Symbol.asyncDispose]();
      }
    });
  } finally {
    await Deno.remove(authority.directory, { recursive: true });
  }
});

Deno.test("an etcd of three members", async (t) => {
  // m2 has no user name for etcd, which does not require one at first.
  const machines = [{ conf: { etcd_username: "fleet", etcd_password: quotable } }, {}];
  await withFleet({ machines, etcd: 3, etcdFlags: ["--quota-backend-bytes=8000000"] }, async (cluster) => {
    const { lab } = cluster;
    const [m1, m2] = lab.machines;
    await cluster.put(m1!, "a.service", "launched", sleeper);
    await cluster.put(m1!, "b.service", "launched", sleeper);
    await cluster.active(m1!, ["a.service", "b.service"]);
    const pids = () =>
      Promise.all(
        lab.machines.flatMap((machine) => [cluster.pid(machine, "a.service"), cluster.pid(machine, "b.service")]),
      );
    const before = await pids();
    /** Writes through each machine, and reads or runs the unit on the other one. */
    const works = async (name: string) => {
      await until(`${name} to be accepted`, async () => {
        const response = await cluster.request(m1!, "PUT", `/units/${name}`, {
          desiredState: "launched",
          options: [{ section: "Service", name: "ExecStart", value: "/bin/sleep infinity" }],
        });
        return response.status === 201 || undefined;
      });
      await cluster.active(m2!, [name]);
      await cluster.destroy(m2!, name);
      assert.deepEqual(await pids(), before);
    };
    for (const [index, machine] of lab.machines.entries()) {
      const name = `noise${index + 1}.service`;
      await cluster.put(m1!, name, "launched", `${sleeper}[X-Fleet]\nMachineID=${machine.id}\n`);
      await cluster.active(m1!, [name]);
    }
    for (const at of [0, 1, 2]) {
      await t.step(`the cluster works while member ${at} is killed`, async () => {
        await lab.etcd.members[at]!.stop("SIGKILL");
        await works(`killed${at}.service`);
        await lab.etcd.start(at);
      });
    }
    for (const at of [0, 1, 2]) {
      await t.step(`the cluster works while member ${at} hangs`, async () => {
        lab.etcd.pause(at);
        await works(`paused${at}.service`);
        lab.etcd.resume(at);
      });
    }
    await t.step("no unit is stopped while two of three members are gone", async () => {
      await lab.etcd.members[0]!.stop("SIGKILL");
      await lab.etcd.members[1]!.stop("SIGKILL");
      await until("the API to refuse", async () => {
        return (await cluster.request(m1!, "GET", "/units")).status === 503 || undefined;
      });
      assert.deepEqual(await pids(), before);
      await lab.etcd.start(0, 1);
      await works("after.service");
    });
    await t.step("requests get nothing worse than a 503 while the leader of etcd changes repeatedly", async () => {
      const loggedBefore = (await m1!.journal("fleet.service")).length;
      const asking = keepAsking(cluster, m1!);
      const leaders = new Set<string>();
      for (let move = 0; move < 6; move++) leaders.add(await lab.etcd.moveLeader());
      assert.ok(leaders.size > 1);
      assert.deepEqual([...await asking.end()].filter((status) => ![200, 201, 204, 404, 503].includes(status)), []);
      await works("led.service");
      assert.doesNotMatch((await m1!.journal("fleet.service")).slice(loggedBefore), / (ERROR|FATAL) /);
    });
    await t.step(
      "a full etcd serves reads and refuses writes with the reason, until it has space again",
      () => outOfSpace(cluster),
    );
    assert.deepEqual(await pids(), before);
    await works("space.service");
    await t.step("units keep running when etcd begins to require passwords", () => locked(cluster));
    assert.deepEqual(await pids(), before);
    await works("unlocked.service");
  });
});

/** Sends reads and writes until `end` is called, which returns the statuses of all responses. */
function keepAsking(cluster: FleetCluster, machine: Machine): { readonly end: () => Promise<Set<number>> } {
  const statuses = new Set<number>();
  let over = false;
  const ask = async (name: string) => {
    const unit = { desiredState: "inactive", options: optionsOf(sleeper) };
    while (!over) {
      for (
        const [method, path, body] of [["GET", "/units"], ["PUT", name, unit], ["GET", "/state"], ["DELETE", name]]
      ) {
        statuses.add((await cluster.request(machine, method as string, path as string, body)).status);
      }
    }
    await until(`${name} to be gone`, async () => {
      return [204, 404].includes((await cluster.request(machine, "DELETE", name)).status) || undefined;
    });
  };
  const asked = Promise.all(["/units/asked1.service", "/units/asked2.service"].map(ask));
  asked.catch(() => {}); // `end` throws it
  return {
    end: async () => {
      over = true;
      await asked;
      return statuses;
    },
  };
}

/** Puts a unit, and expects a refusal with this status and a reason that matches `why`. */
async function refuses(
  cluster: FleetCluster,
  machine: Machine,
  name: string,
  why: RegExp,
  status = 503,
): Promise<void> {
  const body = { desiredState: "launched", options: optionsOf(sleeper) };
  const response = await cluster.request(machine, "PUT", `/units/${name}`, body);
  const text = await response.text();
  assert.equal(response.status, status, text);
  assert.match(text, why);
}

async function outOfSpace(cluster: FleetCluster): Promise<void> {
  const [m1] = cluster.lab.machines;
  const { etcd } = cluster.lab;
  const filler = "x".repeat(120_000); // near the limit of an argument's length (execve(2))
  await until("etcd to be full", async () => {
    return (await etcd.ctl("put", "filler", filler)).stderr.includes("space exceeded") || undefined;
  }, { every_ms: 0 });
  // Until all members know of the alarm, one may still apply a write although its response is a refusal.
  await until("the alarm", async () => (await etcd.must("alarm", "list")).includes("NOSPACE") || undefined);
  await refuses(cluster, m1!, "full.service", /10\.77\.0\.1:2379.* takes no writes \(.*etcdctl alarm disarm\)/, 507);
  const names = (await cluster.units(m1!)).map(({ name }) => name);
  // Writes that were pending at hanging members have not brought destroyed units back.
  assert.deepEqual(names.sort(), ["a.service", "b.service", "noise1.service", "noise2.service"]);
  await breaks(m1!, "noise1.service", /presence could not be written.*takes no writes/);
  await etcd.reclaimSpace();
  await publishesFailure(cluster, m1!, "noise1.service");
}

async function locked(cluster: FleetCluster): Promise<void> {
  const [m1, m2] = cluster.lab.machines;
  const { etcd } = cluster.lab;
  await giveUsers(etcd, quotable);
  await etcd.must("auth", "enable");
  // m1 has a password and authenticates. m2 has none: it keeps its units running and reports the missing option.
  await cluster.put(m1!, "let.service", "inactive", sleeper);
  await cluster.destroy(m1!, "let.service");
  const why = /10\.77\.0\.1:2379.* requires authentication \(set etcd_username and etcd_password, .*reload fleet\)/;
  await refuses(cluster, m2!, "locked.service", why);
  await breaks(m2!, "noise2.service", /presence could not be written.*requires authentication/);
  const conf = await m2!.must(["cat", "/etc/fleet/fleet.conf"]);
  await m2!.writeFile("/etc/fleet/fleet.conf", `${conf}etcd_username=fleet\netcd_password='${quotable}'\n`);
  await m2!.must(["systemctl", "reload", "fleet.service"]);
  await until(
    "etcd to accept m2",
    async () => (await cluster.request(m2!, "GET", "/units")).status === 200 || undefined,
  );
  await cluster.joined([m2!, m1!]);
  await publishesFailure(cluster, m2!, "noise2.service");
  await etcd.must("--user", `root:${quotable}`, "auth", "disable");
}

/** Kills a unit whose machine cannot publish its state, and waits for the machine to log the reason. */
async function breaks(machine: Machine, unit: string, why: RegExp): Promise<void> {
  await machine.must(["systemctl", "kill", "--signal=KILL", unit]);
  await until(`${machine.name} to log ${why}`, async () => {
    return why.test(await machine.journal("fleet.service")) || undefined;
  });
}

/** Waits until the machine has published the unit's failure, and destroys the unit. */
async function publishesFailure(cluster: FleetCluster, machine: Machine, unit: string): Promise<void> {
  await cluster.statesWhere(machine, `${unit} to have failed`, (states) => {
    return states.some(({ name, systemdActiveState }) => name === unit && systemdActiveState === "failed");
  });
  await cluster.destroy(machine, unit);
}
