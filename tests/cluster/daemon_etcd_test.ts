/** An etcd as operators run it: with TLS and passwords, of three members. */

import assert from "node:assert/strict";
import { type Authority, makeAuthority } from "../api/authority.ts";
import { EtcdServer } from "./etcd.ts";
import { buildFleet, FleetCluster, sleeper, withFleet } from "./fleet_cluster.ts";
import { type Lab, withLab } from "./lab.ts";
import type { Machine } from "./machine.ts";
import { until } from "./process.ts";

const address = "10.77.0.1";
const password = 'a#b;c "d';

/** An etcd that speaks TLS to machines, wants a certificate and a password, and plain HTTP to this test. */
async function startSecureEtcd(lab: Lab, authority: Authority): Promise<EtcdServer> {
  const dir = `${lab.dir}/secure-etcd`;
  await Deno.mkdir(dir);
  const plain = { netns: lab.network.path, address, client_port: 2381, dir };
  const setup = await EtcdServer.start(plain);
  await setup.must("user", "add", `root:${password}`);
  await setup.must("user", "grant-role", "root", "root");
  await setup.must("role", "add", "fleet");
  await setup.must("role", "grant-permission", "fleet", "--prefix=true", "readwrite", "/_coreos.com/fleet/");
  await setup.must("user", "add", `fleet:${password}`);
  await setup.must("user", "grant-role", "fleet", "fleet");
  await setup.must("auth", "enable");
  await setup.stop();
  // etcdctl(1) reads it; from here on nobody is answered without.
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

async function status(machine: Machine): Promise<string> {
  return await machine.must(["systemctl", "show", "--property=StatusText", "--value", "fleet.service"]);
}

async function says(machine: Machine, why: RegExp): Promise<void> {
  await until(`${machine.name} to say ${why}`, async () => why.test(await status(machine)) || undefined).catch(
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
    "/etc/fleet/cert.pem": authority.friend.cert,
    "/etc/fleet/key.pem": authority.friend.key,
    "/etc/systemd/system/fleet.service.d/password.conf": `[Service]\nEnvironment='FLEET_ETCD_PASSWORD=${password}'\n`,
  };
  try {
    await withLab({ machines: 2, etcd: 0, files, fleet: { dist, conf } }, async (lab) => {
      const cluster = new FleetCluster(lab);
      const [m1, m2] = lab.machines;
      const etcd = await startSecureEtcd(lab, authority);
      try {
        await t.step("a cluster over it", async () => {
          await cluster.joined(lab.machines);
          await cluster.put(m1!, "a.service", "launched", `${sleeper}[X-Fleet]\nMachineID=${m1!.id}\n`);
          await cluster.active(m2!, ["a.service"]);
        });
        const pid = await cluster.pid(m1!, "a.service");
        await t.step("over its restart, which ends every token", async () => {
          await etcd.stop();
          await etcd.start();
          await cluster.joined(lab.machines);
          await cluster.put(m2!, "b.service", "launched", sleeper);
          await cluster.active(m1!, ["a.service", "b.service"]);
          assert.equal(await cluster.pid(m1!, "a.service"), pid);
        });
        await t.step("the configuration is told without the password", async () => {
          const shown = await m1!.must(["fleetd", "--check-config"], { env: { FLEET_ETCD_PASSWORD: password } });
          assert.match(shown, /^etcd_password=\(hidden\) +# FLEET_ETCD_PASSWORD$/m);
          assert.ok(!shown.includes(password));
          assert.ok(!(await m1!.journal("fleet.service")).includes(password));
        });
        const others: readonly [what: string, files: Record<string, string>, why: RegExp][] = [
          ["another authority's client certificate", {
            "/etc/fleet/cert.pem": authority.stranger.cert,
            "/etc/fleet/key.pem": authority.stranger.key,
          }, /10\.77\.0\.1:2379/],
          ["a server that is not of the authority it knows", {
            "/etc/fleet/ca.pem": authority.stranger.cert,
          }, /10\.77\.0\.1:2379.*(certificate|issuer)/i],
        ];
        for (const [what, changed, why] of others) {
          await t.step(`${what} is refused, and units run on`, async () => {
            for (const [path, text] of Object.entries(changed)) await m1!.writeFile(path, text);
            await m1!.must(["systemctl", "reload", "fleet.service"]);
            await says(m1!, why);
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
  await withFleet({ machines: 2, etcd: 3 }, async (cluster) => {
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
    /** Each machine writes, and the other runs or reads it. */
    const works = async (name: string) => {
      await until(`${name} to be taken`, async () => {
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
    for (const at of [0, 1, 2]) {
      await t.step(`member ${at} killed`, async () => {
        await lab.etcd.members[at]!.stop("SIGKILL");
        await works(`killed${at}.service`);
        await lab.etcd.start(at);
      });
    }
    for (const at of [0, 1, 2]) {
      await t.step(`member ${at} hangs`, async () => {
        lab.etcd.pause(at);
        await works(`paused${at}.service`);
        lab.etcd.resume(at);
      });
    }
    await t.step("two of three gone: nothing is done, and nothing is stopped", async () => {
      await lab.etcd.members[0]!.stop("SIGKILL");
      await lab.etcd.members[1]!.stop("SIGKILL");
      await until("the API to refuse", async () => {
        return (await cluster.request(m1!, "GET", "/units")).status === 503 || undefined;
      });
      assert.deepEqual(await pids(), before);
      await lab.etcd.start(0, 1);
      await works("after.service");
    });
  });
});
