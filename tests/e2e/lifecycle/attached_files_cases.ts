/** Files that units name by File=, on real machines: delivered, replaced, restored and removed with their units. */

import assert from "node:assert/strict";
import type { FleetCluster } from "../../lab/fleet_cluster.ts";
import { fleetctl } from "../../lab/fleet.ts";
import type { Machine } from "../../lab/machine.ts";
import { until } from "../../lab/process.ts";

const unit = "attached.service";
const directory = `/run/fleet/files/${unit}`;
/** The lab's only machine in Europe. */
const inEurope = "MachineMetadata=region=eu";

/** A service without rights that reads its files in three ways when it starts, and fails without one of them. */
const service = `[Service]
User=daemon
LoadCredential=secret:%t/fleet/files/%n/secret
BindReadOnlyPaths=%t/fleet/files/%n/etc:/mnt
ExecStartPre=/bin/sh -c 'cat %t/fleet/files/%n/app.conf /mnt/bound.conf "$$CREDENTIALS_DIRECTORY/secret"'
ExecStart=/bin/sleep infinity
[X-Fleet]
${inEurope}
File=app.conf
File=bound.conf:/etc/bound.conf:0444
File=secret::0600
`;

async function active(cluster: FleetCluster, name = unit): Promise<Machine> {
  const where = await cluster.active(cluster.machine("m1"), [name]);
  return cluster.byId(where.get(name)!);
}

/** Returns the permissions, owner and content of the unit's files on a machine. */
async function delivered(machine: Machine): Promise<string[]> {
  const list = `cd ${directory} && find . -type f -printf '%P %m %u ' -exec sha256sum {} \\;`;
  const lines = (await machine.sh(list)).trim().split("\n");
  return lines.map((line) => line.replace(/(\w{8})\w{56} .*/, "$1")).sort();
}

async function gone(machine: Machine): Promise<void> {
  await until(`${directory} to be gone from ${machine.name}`, async () => {
    return (await machine.run(["test", "-e", directory])).code === 0 ? undefined : true;
  });
}

/** Attached files from the first start to the end of the unit. */
export async function attachedFiles(cluster: FleetCluster): Promise<void> {
  const [m1, m2] = [cluster.machine("m1"), cluster.machine("m2")];
  await m1.writeFile(`/root/attached/${unit}`, service);
  await m1.writeFile("/root/attached/app.conf", "port=80\n");
  await m1.writeFile("/root/attached/bound.conf", "bound\n");
  await m1.writeFile("/root/attached/secret", "s3cret\n");
  // Sixteen files of 64 KiB, all that a unit may have together with little else.
  const random = `for n in $(seq 15); do head -c 65536 /dev/urandom >blob$n; done`;
  await m1.sh(`mkdir -p /root/attached/files/${unit}/sub && cd /root/attached/files/${unit}/sub && ${random}`);
  const started = await cluster.fleetctl(m1, "start", `/root/attached/${unit}`);
  assert.equal(await active(cluster), m2, started.stderr);
  const first = await delivered(m2);
  assert.equal(first.length, 18);
  assert.deepEqual(first.slice(0, 2).map((line) => line.slice(0, -9)), [
    "app.conf 644 root",
    "etc/bound.conf 444 root",
  ]);
  const sums = "sha256sum sub/blob* | sort";
  const local = await m1.sh(`cd /root/attached/files/${unit} && ${sums}`);
  assert.equal(await m2.sh(`cd ${directory} && ${sums}`), local);
  const shown = (await cluster.fleetctl(m1, "cat", "--files", unit)).stdout;
  assert.match(shown, /\n# app\.conf \(0644, 8 bytes\)\nport=80\n/);

  // Another content is another version of the unit, which goes back with its file.
  const pid = await cluster.pid(m2, unit);
  await m1.writeFile("/root/attached/app.conf", "port=81\n");
  const diff = await fleetctl(m1, "diff", "/root/attached");
  assert.equal(diff.code, 2, diff.stderr);
  assert.match(diff.stdout, /file app\.conf\n +@@ .* @@\n +-port=80\n +\+port=81\n/);
  await cluster.fleetctl(m1, "apply", "--yes", "/root/attached");
  await active(cluster);
  assert.equal(await m2.sh(`cat ${directory}/app.conf`), "port=81\n");
  assert.notEqual(await cluster.pid(m2, unit), pid);
  await cluster.fleetctl(m1, "rollback", unit);
  await active(cluster);
  assert.deepEqual(await delivered(m2), first);
}

/** Files that were deleted or changed by hand come back, and the unit runs on. */
export async function restoredFiles(cluster: FleetCluster): Promise<void> {
  const m2 = cluster.machine("m2");
  const before = await delivered(m2);
  const pid = await cluster.pid(m2, unit);
  const damage = `cd ${directory} && rm app.conf && echo wrong >secret && chmod 666 etc/bound.conf && touch foreign`;
  await m2.sh(damage);
  await m2.must(["systemctl", "restart", "fleet.service"]);
  await until("the files to be restored", async () => {
    return (await delivered(m2)).join() === before.join() ? true : undefined;
  });
  assert.equal(await cluster.pid(m2, unit), pid);

  // A unit does not start without its files, although nothing has looked at them since.
  await m2.sh(`rm -r ${directory}`);
  await cluster.fleetctl(cluster.machine("m1"), "restart", unit);
  await active(cluster);
  assert.deepEqual(await delivered(m2), before);
}

/** Files go along with their unit to another machine, and go with it in the end. */
export async function movedFiles(cluster: FleetCluster): Promise<void> {
  const [m1, m2] = [cluster.machine("m1"), cluster.machine("m2")];
  const before = await delivered(m2);
  for (const [machine, region] of [[m1, "eu"], [m2, "us"]] as const) {
    await cluster.fleetctl(m1, "machine", "label", machine.id, `region=${region}`);
  }
  await until(`${unit} to run on m1`, async () => {
    return (await m1.run(["systemctl", "is-active", "--quiet", unit])).code === 0 ? true : undefined;
  });
  assert.deepEqual(await delivered(m1), before);
  await gone(m2);
  for (const [machine, region] of [[m1, "us"], [m2, "eu"]] as const) {
    await cluster.fleetctl(m1, "machine", "label", machine.id, `region=${region}`);
  }
  await cluster.fleetctl(m1, "destroy", unit);
  await gone(m1);
  await gone(m2);
}

/** A secret that only systemd on the unit's machine can decrypt; and files that are refused. */
export async function secretAndRefusedFiles(cluster: FleetCluster): Promise<void> {
  const [m1, m2] = [cluster.machine("m1"), cluster.machine("m2")];
  for (const machine of [m1, m2]) {
    const encrypted = await machine.sh("printf s3cret | systemd-creds encrypt --with-key=host --name=token - -");
    await m1.writeFile(`/root/secret/files/secret.service/${machine.id}.cred`, encrypted);
  }
  const text = `[Service]
LoadCredentialEncrypted=token:%t/fleet/files/%n/%m.cred
ExecStartPre=/bin/sh -c 'test "$$(cat "$$CREDENTIALS_DIRECTORY/token")" = s3cret'
ExecStart=/bin/sleep infinity
[X-Fleet]
${inEurope}
`;
  await m1.writeFile("/root/secret/secret.service", text);
  await cluster.fleetctl(m1, "start", "/root/secret/secret.service");
  assert.equal(await active(cluster, "secret.service"), m2);
  await cluster.fleetctl(m1, "destroy", "secret.service");

  await m1.sh("head -c 65537 /dev/zero >/root/secret/large");
  await m1.writeFile("/root/secret/refused.service", `${text}File=large\n`);
  const refused = await fleetctl(m1, "start", "/root/secret/refused.service");
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /refused\.service: line 7: File=large: file "large" has 65537 bytes \(max 65536\)/);
}
