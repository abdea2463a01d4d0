/** Changes of etcd's members under a running cluster: one is replaced, and all are, which moves the cluster to another etcd. */

import assert from "node:assert/strict";
import { EtcdServer } from "../../lab/etcd.ts";
import { type FleetCluster, sleeper } from "../../lab/fleet_cluster.ts";
import { until } from "../../lab/process.ts";

/** Removes a member by its name; `through` is another one. */
async function remove(through: EtcdServer, name: string): Promise<void> {
  const line = (await through.must("member", "list")).split("\n").find((line) => line.split(", ")[2] === name);
  assert.ok(line, `etcd has no member ${name}`);
  // Refused for a moment while a new member is still catching up.
  await until(`member ${name} to be removed`, async () => {
    return (await through.ctl("member", "remove", line.split(",")[0]!)).code === 0 || undefined;
  });
}

/** Adds a member without data to the cluster of `through`, and waits until it is healthy. */
async function add(
  { lab }: FleetCluster,
  through: EtcdServer,
  { name, address, port }: { readonly name: string; readonly address: string; readonly port: number },
): Promise<EtcdServer> {
  const added = await until(`member ${name} to be added`, async () => {
    const { code, stdout } = await through.ctl("member", "add", name, `--peer-urls=http://${address}:${port + 1}`);
    return code === 0 ? stdout : undefined;
  });
  const dir = `${lab.dir}/${name}`;
  await Deno.mkdir(dir);
  const server = await EtcdServer.prepare({
    ...{ name, address, dir, netns: lab.network.path, client_port: port, peer_port: port + 1 },
    initial_cluster: /^ETCD_INITIAL_CLUSTER="(.*)"$/m.exec(added)![1]!,
    flags: ["--initial-cluster-state=existing"],
  });
  await server.start();
  return server;
}

/** Stores a unit through a machine; the change must be acknowledged, if need be by a later attempt. */
async function store(cluster: FleetCluster, name: string): Promise<void> {
  await until(`${name} to be acknowledged`, async () => {
    return await cluster.put(cluster.lab.machines[0]!, name, "inactive", sleeper).catch(() => undefined);
  });
}

/**
 * Replaces the third member, which has lost its data, by an empty one; then adds three members at other addresses, points
 * the machines to them, and removes the first three. Returns the new members.
 */
export async function replaceMembers(cluster: FleetCluster): Promise<readonly EtcdServer[]> {
  const { lab } = cluster;
  const [first, second, third] = lab.etcd.members as [EtcdServer, EtcdServer, EtcdServer];
  const [address] = lab.network.hosts(3) as [string];
  const stored: string[] = [];
  const change = async () => {
    stored.push(`stored${stored.length}.service`);
    await store(cluster, stored.at(-1)!);
  };
  await third.stop("SIGKILL");
  await change();
  await remove(first, third.name);
  const replaced = await add(cluster, first, { name: "again", address: lab.network.hosts(3)[2]!, port: 2379 });
  await change();

  const members: EtcdServer[] = [];
  for (const [at, name] of ["new0", "new1", "new2"].entries()) {
    members.push(await add(cluster, first, { name, address, port: 12379 + 10 * at }));
    await change();
  }
  const endpoints = members.map(({ endpoint }) => endpoint).join(",");
  for (const machine of lab.machines) {
    await machine.sh(
      `sed -i 's|^etcd_servers=.*|etcd_servers="${endpoints}"|' /etc/fleet/fleet.conf; systemctl reload fleet.service`,
    );
  }
  await change();
  for (const old of [first, second, replaced]) {
    await remove(members[0]!, old.name);
    await old.stop();
    await change();
  }
  for (const machine of lab.machines) {
    await until(`${machine.name} to see every acknowledged change`, async () => {
      const names = (await cluster.units(machine).catch(() => [])).map(({ name }) => name);
      return stored.every((name) => names.includes(name)) || undefined;
    });
  }
  for (const name of stored) await cluster.destroy(lab.machines[0]!, name);
  return members;
}
