/** One real machine without etcd. */

import assert from "node:assert/strict";
import { type FleetCluster, sleeper, withFleet } from "./fleet_cluster.ts";
import { until } from "./process.ts";

const unit = "a.service";

/** The unit runs, and the daemon says so; returns its main process and invocation. */
async function running(cluster: FleetCluster): Promise<string> {
  const machine = cluster.machine("m1");
  await cluster.joined([machine]);
  await cluster.active(machine, [unit]);
  return `${await cluster.pid(machine, unit)} ${await cluster.invocation(machine, unit)}`;
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

  const intruder = await machine.run(["fleetd", "--config=/etc/fleet/fleet.conf"]);
  assert.equal(intruder.code, 1);
  assert.match(intruder.stderr, /cannot open the store \/var\/lib\/fleet\/fleet\.db: another process is using it/);
  assert.equal(await running(cluster), before, "the unit after a second daemon was refused");

  await machine.reboot();
  assert.notEqual(await running(cluster), before, "a reboot starts it anew, since it is still wanted");

  await cluster.fleetctl(machine, "destroy", unit);
  assert.equal((await machine.run(["systemctl", "is-active", "--quiet", unit])).code !== 0, true);
  assert.equal((await machine.must(["stat", "--format=%a", "/var/lib/fleet"])).trim(), "700");
}

Deno.test("a machine alone keeps its units in a file", async () => {
  await withFleet({ machines: 1, etcd: 0, conf: { registry: "embedded" } }, kept);
});
