/** The log of a daemon on a real machine: JSON lines, no line while nothing happens, and few lines for a lasting cause. */

import assert from "node:assert/strict";
import { apiSocket } from "../../lab/fleet.ts";
import { type FleetCluster, sleeper, withFleet } from "../../lab/fleet_cluster.ts";
import type { Machine } from "../../lab/machine.ts";
import { until } from "../../lab/process.ts";

/** Longer than the period of every timer: loops and the API's copy of the store look again after a minute. */
const idle_ms = 70_000;

/** Returns the lines that the daemon itself has logged, with journald's priority. */
async function lines(machine: Machine): Promise<{ readonly message: string; readonly priority: string }[]> {
  const text = await machine.must(["journalctl", "--unit=fleet", "--identifier=fleetd", "--output=json", "--no-pager"]);
  return text.trim().split("\n").map((line) => JSON.parse(line)).map(({ MESSAGE, PRIORITY }) => {
    return { message: MESSAGE, priority: PRIORITY };
  });
}

async function json(cluster: FleetCluster): Promise<void> {
  const [m1] = cluster.lab.machines;
  await cluster.put(m1!, "a.service", "launched", sleeper);
  await cluster.active(m1!, ["a.service"]);
  await m1!.must(["fleetctl", "start", "--no-block", "a.service"]);
  const logged = (await lines(m1!)).filter(({ message }) => message.startsWith("{"))
    .map(({ message, priority }) => ({ ...JSON.parse(message), priority }));
  const start = logged.find(({ message }) => message.startsWith("start: "));
  assert.deepEqual(
    [start.level, start.component, start.unit, start.priority, typeof start.time],
    ["info", "agent", "a.service", "6", "string"],
  );
  assert.ok(logged.some(({ component, unit }) => component === "engine" && unit === "a.service"));
}

async function metrics(cluster: FleetCluster): Promise<void> {
  const [m1] = cluster.lab.machines;
  using client = Deno.createHttpClient({ proxy: { transport: "unix", path: apiSocket(m1!) } });
  const response = await fetch("http://localhost/metrics", { client });
  assert.equal(response.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  const text = await response.text();
  const value = (line: string) => Number(new RegExp(`^${line.replace(/[{}]/g, "\\$&")} (.*)$`, "m").exec(text)?.[1]);
  assert.equal(value("fleet_ready"), 1);
  assert.equal(value('fleet_units{state="active"}'), 1);
  assert.equal(value('fleet_engine_task_count_total{type="attemptscheduleunit"}'), 1);
  assert.equal(value('fleet_systemd_call_count_total{type="start"}'), 1);
  assert.ok(value('fleet_unit_cpu_seconds_total{unit="a.service"}') > 0, text);
  const age_s = value("fleet_lease_age_seconds");
  assert.ok(age_s >= 0 && age_s < 30, `${age_s}`);
  assert.ok(value("fleet_engine_leader_start_time") > Date.now() / 1000 - 600);
  assert.ok(value('fleet_registry_operation_duration_second_count{ops="transact"}') > 0);
}

async function idle(cluster: FleetCluster): Promise<void> {
  const [m1] = cluster.lab.machines;
  const look = async () => {
    const [status] = JSON.parse(await cluster.lab.etcd.must("endpoint", "status", "--write-out=json"));
    return { revision: status.Status.header.revision, lines: (await lines(m1!)).length };
  };
  const before = await look();
  const end_ms = performance.now() + idle_ms;
  await until("a minute and a bit", () => Promise.resolve(performance.now() > end_ms || undefined), {
    deadline_ms: 2 * idle_ms,
    every_ms: 1_000,
  });
  assert.deepEqual(await look(), before, "neither a line nor a write");
}

/** Lines of warnings and errors since a moment, by cause: how often each was written, numbers and identifiers left aside. */
async function causes(machine: Machine, since: number): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  for (const { message, priority } of (await lines(machine)).slice(since)) {
    if (Number(priority) > 4) continue;
    const { level, component, message: text, error = "", unit = "" } = JSON.parse(message);
    const cause = [level, component, text, error, unit].join(" ").replace(/\d+/g, "N");
    counts.set(cause, (counts.get(cause) ?? 0) + 1);
  }
  return counts;
}

async function metric(machine: Machine, name: string): Promise<number> {
  using client = Deno.createHttpClient({ proxy: { transport: "unix", path: apiSocket(machine) } });
  const text = await (await fetch("http://localhost/metrics", { client })).text();
  const values = [...text.matchAll(new RegExp(`^${name}(?:\\{.*\\})? (.*)$`, "gm"))];
  return values.map((match) => Number(match[1])).reduce((sum, value) => sum + value, 0);
}

async function fullDisk(cluster: FleetCluster): Promise<void> {
  const [m1] = cluster.lab.machines;
  const before = (await lines(m1!)).length;
  await m1!.sh(
    "dd if=/dev/zero of=/run/filler bs=64k 2>/dev/null || true; systemctl --no-block kill --signal=KILL fleet",
  );
  const why = /cannot write \/run\/fleet\/\w+(\.json)?: No space left on device/;
  const refused = async () => [...await causes(m1!, before)].filter(([cause]) => why.test(cause));
  await until("the log to name a file", async () => (await refused()).length > 0 || undefined);
  // The daemon joins all the same: without it, the machine's units would be moved.
  await cluster.joined([m1!]);
  // Each change wakes the agent, which tries to write the files again.
  for (const name of ["b.service", "c.service", "d.service"]) {
    const reads = await metric(m1!, "fleet_agent_reconcile_count_total");
    await cluster.put(m1!, name, "inactive", sleeper);
    await cluster.put(m1!, name, "loaded");
    await until("a round of the agent", async () => {
      return await metric(m1!, "fleet_agent_reconcile_count_total") > reads || undefined;
    });
  }
  assert.deepEqual((await refused()).filter(([, count]) => count > 1), [], "one line for each file");
  await m1!.sh("rm /run/filler");
  await until("the log to report that the files are written again", async () => {
    const logged = (await lines(m1!)).slice(before);
    return logged.some(({ message }) => message.includes("the daemon's files can be written again")) || undefined;
  }, { deadline_ms: 90_000 });
}

async function etcdAway(cluster: FleetCluster): Promise<void> {
  const [m1] = cluster.lab.machines;
  const before = (await lines(m1!)).length;
  await cluster.lab.etcd.stop();
  const failed = "fleet_registry_operation_failed_count_total";
  const failures = await metric(m1!, failed);
  await until("a line that counts its cause's lines", async () => {
    return (await lines(m1!)).slice(before).some(({ message }) => JSON.parse(message).repeated > 1) || undefined;
  }, { deadline_ms: 120_000, every_ms: 1_000 });
  assert.ok(await metric(m1!, failed) >= failures + 10);
  const counts = await causes(m1!, before);
  assert.deepEqual([...counts].filter(([, count]) => count > 2), [], "one line, and one with the count");
  await cluster.lab.etcd.start();
  await cluster.joined([m1!]);
}

/** The daemon's own machine is cut off for longer than agent_ttl: etcd deletes what was bound to its lease. */
async function expiredLease(cluster: FleetCluster): Promise<void> {
  const [m1] = cluster.lab.machines;
  const before = (await lines(m1!)).length;
  const records = async () =>
    await cluster.lab.etcd.must("get", "--prefix", "--keys-only", "/_coreos.com/fleet/machine/");
  await m1!.partition();
  await until("the machine's record to expire", async () => (await records()).trim() === "" || undefined);
  await m1!.heal();
  await cluster.joined([m1!]);
  const why =
    "this machine's lease has expired and its keys were deleted with it: writing them again under a new lease";
  await until("the log to name the cause", async () => {
    return (await lines(m1!)).slice(before).some(({ message }) => JSON.parse(message).message === why) || undefined;
  });
  const all = (await lines(m1!)).slice(before).map(({ message }) => message);
  assert.deepEqual(all.filter((line) => line.includes("deleted or overwritten")), []);
}

Deno.test("the log of a daemon", async (t) => {
  await withFleet(
    { machines: 1, conf: { log_format: "json", metrics_units: "true", agent_ttl: "10s" } },
    async (cluster) => {
      await t.step("has JSON lines that name component and unit", () => json(cluster));
      await t.step("agrees with the metrics", () => metrics(cluster));
      await t.step("has no line in an idle minute, in which the store is not written either", () => idle(cluster));
      await t.step("has one line about each file that a full /run keeps from being written", () => fullDisk(cluster));
      await t.step("has each cause of an outage of etcd once, and then its count", () => etcdAway(cluster));
      await t.step("names an expired lease as such", () => expiredLease(cluster));
    },
  );
});
