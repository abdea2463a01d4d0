/** One real machine with the embedded store. */

import assert from "node:assert/strict";
import { type FleetCluster, sleeper, withFleet } from "../../lab/fleet_cluster.ts";
import { checkFiles } from "../../lab/file_table.ts";
import type { Machine } from "../../lab/machine.ts";
import { until } from "../../lab/process.ts";

const unit = "a.service";

/** Waits until the unit runs. Returns its main process and invocation. */
async function running(cluster: FleetCluster): Promise<string> {
  const machine = cluster.machine("m1");
  await cluster.joined([machine]);
  await cluster.active(machine, [unit]);
  return `${await cluster.pid(machine, unit)} ${await cluster.invocation(machine, unit)}`;
}

/** A reload keeps the open store, because only one process may have the file open. */
async function reloaded(cluster: FleetCluster, machine: Machine): Promise<void> {
  const conf = await machine.must(["cat", "/etc/fleet/fleet.conf"]);
  const pid = await cluster.pid(machine, "fleet.service");
  for (const more of ["metadata=role=web", "agent_ttl=9s", "etcd_servers=http://10.77.0.9:2379", "token_limit=5"]) {
    const before = (await machine.journal("fleet.service")).length;
    await machine.writeFile("/etc/fleet/fleet.conf", `${conf}${more}\nmetadata=line=${more.length}\n`);
    await machine.must(["systemctl", "reload", "fleet.service"]);
    await until(`the daemon to reload with ${more}`, async () => {
      const logged = (await machine.journal("fleet.service")).slice(before);
      assert.doesNotMatch(logged, /not reloaded/);
      return /configuration reloaded/.test(logged) || undefined;
    });
    await until(`the machine's record to change with ${more}`, async () => {
      const { stdout } = await machine.run(["fleetctl", "list-machines", "--no-legend"]);
      return stdout.includes(`line=${more.length}`) || undefined;
    });
    await cluster.put(machine, "late.service", "launched", sleeper);
    await cluster.active(machine, ["late.service"]);
    await cluster.destroy(machine, "late.service");
    await cluster.statesWhere(machine, "one unit", (states) => states.length === 1);
  }
  await machine.writeFile("/etc/fleet/fleet.conf", conf.replace("embedded", "etcd"));
  assert.equal((await machine.run(["systemctl", "reload", "fleet.service"])).code, 1);
  await until("the daemon to refuse another store", async () => {
    return /not reloaded.*registry cannot change while fleetd runs/.test(await machine.journal("fleet.service")) ||
      undefined;
  });
  await machine.writeFile("/etc/fleet/fleet.conf", conf);
  assert.equal(await cluster.pid(machine, "fleet.service"), pid);
}

async function kept(cluster: FleetCluster): Promise<void> {
  const machine = cluster.machine("m1");
  await machine.writeFile("/root/a.service", sleeper);
  const { stdout } = await cluster.fleetctl(machine, "start", "/root/a.service");
  assert.match(stdout, /Unit a\.service launched on 01010101\.\.\./);
  const before = await running(cluster);

  for (const command of [["restart"], ["kill", "--signal=SIGKILL"]]) {
    const pid = await cluster.pid(machine, "fleet.service");
    await machine.must(["systemctl", ...command, "fleet.service"]);
    await until("another daemon", async () => {
      const now = await cluster.pid(machine, "fleet.service");
      return now > 0 && now !== pid ? true : undefined;
    });
    assert.equal(await running(cluster), before, `the unit after systemctl ${command[0]}`);
  }

  const second = await machine.run(["fleetd", "--config=/etc/fleet/fleet.conf"]);
  assert.equal(second.code, 1);
  assert.match(second.stderr, /cannot open the store \/var\/lib\/fleet\/fleet\.db: another process is using it/);
  assert.equal(await running(cluster), before, "the unit after a second daemon was refused");

  await reloaded(cluster, machine);
  assert.equal(await running(cluster), before, "the unit after reloads");

  await machine.reboot();
  assert.notEqual(
    await running(cluster),
    before,
    "a reboot starts the unit again, because its desired state is launched",
  );

  await cluster.fleetctl(machine, "destroy", unit);
  assert.equal((await machine.run(["systemctl", "is-active", "--quiet", unit])).code !== 0, true);
  await checkFiles(machine, "root", ["/run/fleet", "/var/lib/fleet"], ["/var/lib/fleet", "/var/lib/fleet/fleet.db*"]);
}

Deno.test("a single machine keeps its units in a file", async () => {
  await withFleet({ machines: 1, etcd: 0, conf: { registry: "embedded" } }, kept);
});
