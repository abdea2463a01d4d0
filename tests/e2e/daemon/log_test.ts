/** What a daemon says on a real machine: JSON lines where they are asked for, and nothing while nothing happens. */

import assert from "node:assert/strict";
import { apiSocket } from "../../lab/fleet.ts";
import { type FleetCluster, sleeper, withFleet } from "../../lab/fleet_cluster.ts";
import type { Machine } from "../../lab/machine.ts";
import { until } from "../../lab/process.ts";

/** Everything that looks again by itself has done so: the safety net, and the API's copy of the store, have a minute. */
const idle_ms = 70_000;

/** What the daemon itself has logged, line by line, with the priority that journald took. */
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
  const said = (await lines(m1!)).filter(({ message }) => message.startsWith("{"))
    .map(({ message, priority }) => ({ ...JSON.parse(message), priority }));
  const start = said.find(({ message }) => message.startsWith("start: "));
  assert.deepEqual(
    [start.level, start.component, start.unit, start.priority, typeof start.time],
    ["info", "agent", "a.service", "6", "string"],
  );
  assert.ok(said.some(({ component, unit }) => component === "engine" && unit === "a.service"));
}

/** The library that writes them is in the bundle, and is loaded only now. */
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

Deno.test("what a daemon logs", async (t) => {
  await withFleet({ machines: 1, conf: { log_format: "json" } }, async (cluster) => {
    await t.step("JSON lines that name part and unit", () => json(cluster));
    await t.step("metrics, which tell of the same", () => metrics(cluster));
    await t.step("nothing in an idle minute, nor anything written to the store", () => idle(cluster));
  });
});
