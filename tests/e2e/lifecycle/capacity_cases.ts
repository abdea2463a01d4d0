/** Cases of options_test.ts: reservations that fill a machine, and units that keep failing on one. */

import assert from "node:assert/strict";
import type { ExplanationEntity } from "../../../daemon/api/v1/types.ts";
import { type FleetCluster, sleeper } from "../../lab/fleet_cluster.ts";
import { until } from "../../lab/process.ts";

async function explained(cluster: FleetCluster, unit: string): Promise<ExplanationEntity> {
  const response = await cluster.request(cluster.machine("m1"), "GET", `/units/${unit}/explain`);
  return await response.json() as ExplanationEntity;
}

async function destroy(cluster: FleetCluster, ...names: readonly string[]): Promise<void> {
  const home = cluster.machine("m1");
  await Promise.all(names.map((name) => cluster.destroy(home, name)));
  await cluster.statesWhere(home, "the units to be gone", (all) => !all.some(({ name }) => names.includes(name)));
}

/** A unit whose reservation fits nowhere waits with the figures, and is placed when another one leaves. */
export async function capacity(cluster: FleetCluster): Promise<void> {
  const m1 = cluster.machine("m1");
  const rendering = `${sleeper}[X-Fleet]\nResources=gpu=1\nMemoryReserve=1M\n`;
  await cluster.put(m1, "render@1.service", "launched", rendering);
  const where = await cluster.active(m1, ["render@1.service"]);
  assert.equal(cluster.byId(where.get("render@1.service")!).name, "m2", "only m2 has a GPU");
  const list = async () => (await cluster.fleetctl(m1, "list-machines", "--fields=capacity,reserved")).stdout;
  assert.match(await list(), /, gpu=1\s+1 MiB, gpu=1\n/);

  await cluster.put(m1, "render@2.service", "launched", rendering);
  await until("render@2.service to wait for a GPU", async () => {
    const { outcome, machines = [] } = await explained(cluster, "render@2.service");
    const reasons = machines.flatMap(({ reasons = [] }) => reasons.map(({ reason }) => reason));
    const isFull = reasons.includes("needs 1 gpu, 0 of 1 are free") &&
      reasons.filter((reason) => reason === "needs 1 gpu, the machine has none").length === machines.length - 1;
    return outcome === "waiting" && isFull ? true : undefined;
  });
  await cluster.put(m1, "huge.service", "launched", `${sleeper}[X-Fleet]\nMemoryReserve=1P\n`);
  await until("huge.service to wait for memory", async () => {
    const { outcome, machines = [] } = await explained(cluster, "huge.service");
    const isRefused = machines.every(({ reasons = [] }) => {
      return reasons.some(({ reason }) => /^needs 1 PiB of memory, [\d.]+ [MG]iB of [\d.]+ GiB are free$/.test(reason));
    });
    return outcome === "waiting" && isRefused ? true : undefined;
  });

  await cluster.destroy(m1, "render@1.service");
  assert.equal((await cluster.active(m1, ["render@2.service"])).get("render@2.service"), cluster.machine("m2").id);
  await destroy(cluster, "render@2.service", "huge.service");
}

/** A unit that fails on one machine moves to another one, where it runs. */
export async function failureMoves(cluster: FleetCluster): Promise<void> {
  const m1 = cluster.machine("m1");
  const bad = cluster.machine("m2");
  await bad.writeFile("/root/broken", "");
  // It prefers the machine on which it fails.
  const text = "[Service]\nExecStart=/bin/sh -c 'test ! -e /root/broken && exec sleep infinity'\n" +
    "[X-Fleet]\nPrefer=region=eu\nOnFailure=move\nMoveAfter=2/10m\n";
  await cluster.put(m1, "fragile.service", "launched", text);
  await cluster.statesWhere(
    m1,
    "fragile.service to run elsewhere",
    (all) =>
      all.some(({ name, machineID, systemdActiveState }) =>
        name === "fragile.service" && machineID !== bad.id && systemdActiveState === "active"
      ),
  );
  const { why, machineID } = await explained(cluster, "fragile.service");
  assert.equal(why, `it failed 2 times within 10m on machine ${bad.id.slice(0, 8)}...`);
  assert.notEqual(machineID, bad.id);

  // One that fails everywhere ends with a reason, and does not go around in circles.
  await cluster.put(
    m1,
    "hopeless.service",
    "launched",
    text.replace("test ! -e /root/broken", "false").replace("2/", "1/"),
  );
  await until("hopeless.service to have failed on every machine", async () => {
    const { notes = [], machines = [] } = await explained(cluster, "hopeless.service");
    const error = machines.find(({ eligibility }) => eligibility === "assigned")?.error;
    const isStuck = notes.some((note) => /and stays there: no other machine takes it$/.test(note));
    return isStuck && error === "it has failed 1 time within 10m, and is not started again here (OnFailure=move)"
      ? true
      : undefined;
  });
  await bad.must(["rm", "/root/broken"]);
  await destroy(cluster, "fragile.service", "hopeless.service");
}
