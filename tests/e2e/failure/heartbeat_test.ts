/** The renewal of a machine's lease does not depend on the daemon's work: on a busy CPU, a blocked bus or a stalled disk. */

import assert from "node:assert/strict";
import { type FleetCluster, sleeper, withFleet } from "../../lab/fleet_cluster.ts";
import type { Machine } from "../../lab/machine.ts";
import { until } from "../../lab/process.ts";

const ttl_ms = 6_000;

/** Returns the revision at which the machine's record was created: another one after its lease was lost. */
async function created({ lab }: FleetCluster, machine: Machine): Promise<number> {
  const { kvs: [record] } = JSON.parse(
    await lab.etcd.must("get", `/_coreos.com/fleet/machine/${machine.id}`, "--write-out=json"),
  );
  assert.ok(record, `${machine.name} has no record: its lease has expired`);
  return record.create_revision;
}

/** Waits for so long that a lease that is not renewed would expire. */
async function leaseTime(why: string): Promise<void> {
  const start_ms = performance.now();
  await until(`a lease to expire ${why}`, () => {
    return Promise.resolve(performance.now() - start_ms > 1.5 * ttl_ms || undefined);
  });
}

Deno.test("a lease is renewed while the daemon starts 200 units on a busy CPU, D-Bus is blocked and the disk stalls", async (t) => {
  const conf = { agent_ttl: `${ttl_ms / 1_000}s`, engine_reconcile_interval: 0.6 };
  await withFleet({ machines: 1, conf }, async (cluster) => {
    const m1 = cluster.machine("m1");
    await cluster.put(m1, "first.service", "launched", sleeper);
    await cluster.active(m1, ["first.service"]);
    const record = await created(cluster, m1);
    const invocation = await cluster.invocation(m1, "first.service");
    const unharmed = async () => {
      assert.equal(await created(cluster, m1), record, "the lease was lost");
      assert.equal(await cluster.invocation(m1, "first.service"), invocation, "a healthy unit was touched");
    };

    await t.step("200 units start while eight processes use the CPU", async () => {
      const hogs = Array.from({ length: 8 }, (_, index) => `hog${index}`);
      const loop = "while :; do :; done";
      for (const unit of hogs) await m1.must(["systemd-run", "--quiet", `--unit=${unit}`, "sh", "-c", loop]);
      const names = Array.from({ length: 200 }, (_, index) => `u${index}.service`);
      await Promise.all(names.map((name) => cluster.put(m1, name, "launched", sleeper)));
      await cluster.active(m1, names, 180_000);
      await leaseTime("on a busy CPU");
      await m1.must(["systemctl", "stop", ...hogs]);
      await unharmed();
    });

    await t.step("the bus does not answer", async () => {
      const pid = await cluster.pid(m1, "dbus.service");
      await m1.must(["kill", "-STOP", `${pid}`]);
      await cluster.put(m1, "bus.service", "launched", sleeper);
      await leaseTime("while the bus does not answer");
      await m1.must(["kill", "-CONT", `${pid}`]);
      await unharmed();
      await cluster.active(m1, ["bus.service"]);
    });

    await t.step("the record of a command cannot be written", async () => {
      // A write to a pipe without a reader blocks, as one to a disk that stalls.
      await m1.must(["sh", "-c", "cd /run/fleet && mv intents.jsonl saved && mkfifo intents.jsonl"]);
      await cluster.put(m1, "disk.service", "launched", sleeper);
      await leaseTime("while the record cannot be written");
      assert.equal(await cluster.pid(m1, "disk.service"), 0, "a unit is started only after its record");
      // The file is back before the pipe has a reader: the next record must not go to the pipe, too.
      const back = "mv intents.jsonl pipe && mv saved intents.jsonl && cat pipe >>intents.jsonl && rm pipe";
      await m1.must(["sh", "-c", `cd /run/fleet && ${back}`]);
      await unharmed();
      await cluster.active(m1, ["disk.service"]);
    });
  });
});
