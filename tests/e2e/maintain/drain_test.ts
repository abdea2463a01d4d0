/** Drains of real machines, under requests: units move, nothing is down, and failures in the middle change nothing about that. */

import assert from "node:assert/strict";
import type { DrainEntity, UnitStateEntity } from "../../../daemon/api/v1/types.ts";
import { type FleetCluster, sleeper, withFleet } from "../../lab/fleet_cluster.ts";
import { fleetctl } from "../../lab/fleet.ts";
import type { Machine } from "../../lab/machine.ts";
import { until } from "../../lab/process.ts";
import { Traffic, webServer } from "../../lab/traffic.ts";

const ports = [8081, 8082, 8083];
const web = ports.map((port) => `web@${port % 10}.service`);
const webFile = `[Service]\nExecStart=/usr/local/bin/deno run --no-config -A /opt/web.js 808%i v1\n` +
  `[X-Fleet]\nMinHealthyTime=1s\nHealthCheck=http://localhost:808%i/health\nHealthInterval=1s\n`;

/** Waits until the drain of a machine passes a test. Returns it. */
async function drainOf(
  cluster: FleetCluster,
  home: Machine,
  id: string,
  what: string,
  test: (drain: DrainEntity) => boolean,
): Promise<DrainEntity> {
  let last: DrainEntity | undefined;
  return await until(what, async () => {
    const response = await cluster.request(home, "GET", "/drains");
    const { drains } = await response.json() as { drains: DrainEntity[] };
    last = drains.find(({ machineID }) => machineID === id);
    return last && test(last) ? last : undefined;
  }, { deadline_ms: 120_000, every_ms: 50 }).catch((error) => {
    throw new Error(`${error.message}; last: ${JSON.stringify(last)}`, { cause: error });
  });
}

/** Returns the number of requests that have failed so far. */
async function failures(traffic: Traffic): Promise<number> {
  return (await traffic.now()).failed.length;
}

/** Returns another machine than these. */
function other(cluster: FleetCluster, ...machines: readonly Machine[]): Machine {
  return cluster.lab.machines.find((machine) => !machines.includes(machine))!;
}

/** A machine is drained while clients send requests: no request fails, other units are not touched. */
async function drained(cluster: FleetCluster, traffic: Traffic): Promise<void> {
  const home = cluster.machine("m1");
  const where = await cluster.active(home, web);
  assert.equal(new Set(where.values()).size, 3, "each machine has an instance");
  const leader = await cluster.leader();
  const machine = other(cluster, home, leader);
  const stay = web.filter((name) => where.get(name) !== machine.id);
  const invocations = () => Promise.all(stay.map((name) => cluster.invocation(cluster.byId(where.get(name)!), name)));
  const before = await invocations();
  const { stdout } = await cluster.fleetctl(home, "drain", "--yes", machine.id);
  assert.match(stdout, /web@\d\.service -> .* \(starts there before it stops here\)/);
  assert.match(stdout, /Machine .* is drained\n$/);
  const after = await cluster.active(home, web);
  assert.ok([...after.values()].every((id) => id !== machine.id), "no instance is left");
  assert.deepEqual(await invocations(), before, "the other instances run on");
  assert.equal((await machine.run(["systemctl", "is-active", "--quiet", "node.service"])).code !== 0, true);
  const starts = async () => (await machine.journal("node.service")).match(/Started/g)?.length;
  const started = await starts();
  assert.match((await cluster.fleetctl(home, "drain", "--yes", machine.id)).stdout, /is drained\n$/);
  assert.equal(await starts(), started, "a second request starts no global unit again");
  const report = await traffic.now();
  assert.deepEqual(report.failed, []);
  await cluster.put(home, "late.service", "launched", sleeper);
  assert.notEqual((await cluster.active(home, ["late.service"])).get("late.service"), machine.id, "it takes no unit");
  await cluster.destroy(home, "late.service");
  await cluster.fleetctl(home, "undrain", machine.id);
  await until(
    "the global unit to be back",
    async () => (await machine.run(["systemctl", "is-active", "--quiet", "node.service"])).code === 0 || undefined,
  );
}

/** Units that fit nowhere block a drain, and are named. */
async function blocked(cluster: FleetCluster): Promise<void> {
  const home = cluster.machine("m1");
  const machine = cluster.machine("m2");
  await cluster.put(home, "pinned.service", "launched", `${sleeper}[X-Fleet]\nMachineID=${machine.id}\n`);
  await cluster.active(home, ["pinned.service"]);
  const { code, stdout, stderr } = await fleetctl(home, "drain", "--yes", machine.id);
  assert.equal(code, 1, stdout + stderr);
  assert.match(stderr, /is not drained: pinned\.service cannot move/);
  assert.match(stderr, new RegExp(`agent ID ".*" does not match required "${machine.id}"`));
  assert.ok(await cluster.pid(machine, "pinned.service") > 0, "it runs on");
  await cluster.destroy(home, "pinned.service");
  await drainOf(cluster, home, machine.id, "the drain to end by itself", ({ status }) => status === "done");
  await cluster.fleetctl(home, "undrain", machine.id);
}

/** A second copy that has failed for good is given up at once, and its reason is reported until the move is tried again. */
async function copyFails(cluster: FleetCluster): Promise<void> {
  const home = cluster.machine("m1");
  const name = "picky.service";
  const { machines } = cluster.lab;
  for (const machine of machines) await machine.writeFile("/run/picky", "");
  const condition = "ExecStartPre=/usr/bin/test -e /run/picky\n[X-Fleet]\nHealthyDeadline=15min\n";
  await cluster.put(home, name, "launched", sleeper + condition);
  const from = cluster.byId((await cluster.active(home, [name])).get(name)!);
  const invocation = await cluster.invocation(from, name);
  const others = machines.filter((machine) => machine !== from);
  for (const machine of others) await machine.must(["rm", "/run/picky"]);
  await cluster.fleetctl(home, "drain", "--yes", "--no-wait", from.id);
  const reason =
    /^its last move failed, and is tried again: its second copy failed on machine [0-9a-f]{8} with result exit-code$/;
  await drainOf(
    cluster,
    home,
    from.id,
    "the failure to be reported",
    ({ units = [] }) => units.some((unit) => unit.name === name && reason.test(unit.why ?? "")),
  );
  assert.equal(await cluster.invocation(from, name), invocation, "the old copy runs on");
  for (const machine of others) await machine.writeFile("/run/picky", "");
  await drainOf(cluster, home, from.id, "the drain to be done", ({ status }) => status === "done");
  await cluster.fleetctl(home, "undrain", from.id);
  await cluster.destroy(home, name);
}

/** A second copy whose first starts fail, and that systemd starts again, takes over without another try. */
async function copyRestarts(cluster: FleetCluster): Promise<void> {
  const home = cluster.machine("m1");
  const name = "flaky.service";
  // The third start on each machine is the first that does not fail.
  const count = `n=$(cat /run/flaky || echo 0); echo $((n+1)) >/run/flaky; test "$n" -ge 2`;
  const file = `${sleeper}ExecStartPre=/bin/sh -c '${
    count.replaceAll("$", "$$$$")
  }'\nRestart=on-failure\nRestartSec=1s\n`;
  await cluster.put(home, name, "launched", `${file}[X-Fleet]\nMinHealthyTime=1s\n`);
  const from = cluster.byId((await cluster.active(home, [name])).get(name)!);
  await cluster.fleetctl(home, "drain", "--yes", from.id);
  const to = cluster.byId((await cluster.active(home, [name])).get(name)!);
  assert.notEqual(to, from);
  assert.equal((await to.must(["cat", "/run/flaky"])).trim(), "3", "it was started three times there");
  const untouched = other(cluster, from, to);
  assert.notEqual((await untouched.run(["test", "-e", "/run/flaky"])).code, 0, "no other machine was tried");
  await cluster.fleetctl(home, "undrain", from.id);
  await cluster.destroy(home, name);
}

/** The next leader completes two drains at once, and no request fails. */
async function leaderKilled(cluster: FleetCluster, traffic: Traffic): Promise<void> {
  const leader = await cluster.leader();
  const machines = cluster.lab.machines.filter((machine) => machine !== leader);
  const failed = await failures(traffic);
  for (const machine of machines) await cluster.fleetctl(leader, "drain", "--yes", "--no-wait", machine.id);
  const moving = ({ units = [], status }: DrainEntity) =>
    status !== "moving" || units.some(({ state }) => state === "moving");
  await drainOf(cluster, machines[0]!, machines[0]!.id, "a unit to move", moving);
  await leader.must(["systemctl", "kill", "--signal=SIGKILL", "fleet.service"]);
  for (const machine of machines) {
    await drainOf(cluster, machines[0]!, machine.id, "both drains to be done", ({ status }) => status === "done");
  }
  const where = await cluster.active(machines[0]!, web);
  assert.deepEqual(new Set(where.values()), new Set([leader.id]), "no unit went from one to the other");
  assert.equal(await failures(traffic), failed);
  await cluster.joined(cluster.lab.machines);
  for (const machine of machines) await cluster.fleetctl(leader, "undrain", machine.id);
}

/** The load is evened out like a drain: no request fails. */
async function rebalanced(cluster: FleetCluster, traffic: Traffic): Promise<void> {
  const home = cluster.machine("m1");
  const failed = await failures(traffic);
  const { stdout } = await cluster.fleetctl(home, "rebalance", "--yes");
  assert.match(stdout, /^move web@\d\.service from .* to /);
  const where = await cluster.active(home, web);
  assert.equal(new Set(where.values()).size, 3, "each machine has an instance");
  assert.match((await cluster.fleetctl(home, "rebalance")).stdout, /nothing to move/);
  assert.equal(await failures(traffic), failed);
}

/** The recipe of docs/guides/maintain.md for a reboot, as it is printed there. */
function rebootRecipe(): { commands: string; path: string; unit: string } {
  const page = Deno.readTextFileSync(new URL("../../../docs/guides/maintain.md", import.meta.url));
  const section = page.split(/^## /m).find((part) => part.startsWith("Reboot\n"))!;
  const [, commands] = /^```sh\n(.*?)^```$/ms.exec(section)!;
  const [, unit, path] = /^```ini\n(# (\S+)\n.*?)^```$/ms.exec(section)!;
  return { commands: commands!, path: path!, unit: unit! };
}

/** A machine reboots as the guide says: its unit moves before, no request fails, and then it takes units again. */
async function rebooted(cluster: FleetCluster, traffic: Traffic): Promise<void> {
  const home = cluster.machine("m1");
  const machine = other(cluster, home);
  const where = await cluster.active(home, web);
  assert.ok([...where.values()].includes(machine.id), "the machine has an instance");
  const failed = await failures(traffic);
  const { commands, path, unit } = rebootRecipe();
  await machine.writeFile(path, unit);
  await machine.must(["systemctl", "enable", path.slice(path.lastIndexOf("/") + 1)]);
  // Another shell reboots the machine, so that this one ends; without -e, as an operator's.
  const follow = `systemctl() { echo "$*"; }\n${commands}`;
  const failed_drain = await machine.run(["sh", "-c", follow], { env: { FLEETCTL_ENDPOINT: "unix:///nowhere.sock" } });
  assert.doesNotMatch(failed_drain.stdout, /reboot/);
  assert.notEqual(failed_drain.code, 0);
  assert.match(await machine.must(["sh", "-c", follow]), /is drained\nreboot\n$/);
  const moved = await cluster.active(home, web);
  assert.ok([...moved.values()].every((id) => id !== machine.id), "its unit has moved before it goes down");
  await machine.reboot();
  await cluster.joined([home, ...cluster.lab.machines.filter((one) => one !== home)]);
  const name = "back.service";
  await cluster.put(home, name, "launched", `${sleeper}[X-Fleet]\nMachineID=${machine.id}\n`);
  assert.equal((await cluster.active(home, [name])).get(name), machine.id, "it takes units without a command");
  await cluster.destroy(home, name);
  assert.equal(await failures(traffic), failed);
}

/**
 * The machine that a unit moves to loses its power when the new copy runs: the old copy is not stopped, although the leader
 * learns of the loss only when the lease of that machine ends.
 */
async function destinationLost(cluster: FleetCluster): Promise<void> {
  const name = "kept.service";
  await cluster.put(cluster.machine("m1"), name, "launched", `${sleeper}[X-Fleet]\nMinHealthyTime=8s\n`);
  const from = cluster.byId((await cluster.active(cluster.machine("m1"), [name])).get(name)!);
  const invocation = await cluster.invocation(from, name);
  await cluster.fleetctl(from, "drain", "--yes", "--no-wait", from.id);
  const copyOn = async (what: string, isThere: (machine: string) => boolean) => {
    const copy = (state: UnitStateEntity) =>
      state.name === name && state.systemdActiveState === "active" && state.machineID !== from.id &&
      isThere(state.machineID!);
    return (await cluster.statesWhere(from, what, (all) => all.some(copy))).find(copy)!.machineID!;
  };
  const lost = cluster.byId(await copyOn("the second copy to run", () => true));
  await lost.powerCut();
  await copyOn("a copy on the third machine", (machine) => machine !== lost.id);
  assert.equal(await cluster.invocation(from, name), invocation, "the old copy has run all the time");
  await drainOf(cluster, from, from.id, "the drain to be done", ({ status }) => status === "done");
  assert.equal((await cluster.active(from, [name])).get(name), other(cluster, from, lost).id);
  await lost.boot();
  await cluster.joined([from, ...cluster.lab.machines.filter((machine) => machine !== from)]);
  await cluster.fleetctl(from, "undrain", from.id);
  await cluster.fleetctl(from, "restart", name);
  const { stdout: history } = await cluster.fleetctl(from, "history", "--no-legend", "--fields=by,what", name);
  assert.match(history, /^uid 0\trestart\nengine\ton .*: machine .* is drained.*\nengine\ton .*: .*\nuid 0\t-\n$/);
  await cluster.destroy(from, name);
}

/** A machine loses its power while it is drained: its units are elsewhere soon, once each. */
async function powerCut(cluster: FleetCluster): Promise<void> {
  // Its copy takes so long to count as healthy that the power fails before.
  await cluster.put(cluster.machine("m1"), "slow.service", "launched", `${sleeper}[X-Fleet]\nMinHealthyTime=15min\n`);
  const where = await cluster.active(cluster.machine("m1"), [...web, "slow.service"]);
  const victim = cluster.byId(where.get("slow.service")!);
  const home = other(cluster, victim);
  await cluster.fleetctl(home, "drain", "--yes", "--no-wait", victim.id);
  await drainOf(
    cluster,
    home,
    victim.id,
    "the unit to run on both machines",
    ({ units = [] }) => units.some(({ name, state }) => name === "slow.service" && state === "moving"),
  );
  const copies = await cluster.statesWhere(
    home,
    "the second copy to run",
    (all) =>
      all.filter(({ name, systemdActiveState }) => name === "slow.service" && systemdActiveState === "active")
        .length === 2,
  );
  const to = copies.find(({ name, machineID }) => name === "slow.service" && machineID !== victim.id)!.machineID!;
  const invocation = await cluster.invocation(cluster.byId(to), "slow.service");
  await victim.powerCut();
  const after = await cluster.active(home, [...web, "slow.service"]);
  assert.equal(after.get("slow.service"), to, "the second copy takes over");
  assert.equal(await cluster.invocation(cluster.byId(to), "slow.service"), invocation, "and runs on");
  assert.ok([...after.values()].every((id) => id !== victim.id));
  await drainOf(cluster, home, victim.id, "the drain to be done", ({ status }) => status === "done");
}

Deno.test("drains of real machines", async (test) => {
  const files = { "/opt/web.js": webServer };
  await withFleet({ machines: 3, conf: { agent_ttl: "10s" }, files }, async (cluster) => {
    const home = cluster.machine("m1");
    await cluster.put(home, "node.service", "launched", `${sleeper}[X-Fleet]\nGlobal=true\n`);
    for (const name of web) await cluster.put(home, name, "launched", webFile);
    await using traffic = await Traffic.start(cluster.lab, ports);
    await traffic.until("all instances", ({ healthy }) => Object.keys(healthy).length === web.length);
    await test.step("a drain under requests: none fails", () => drained(cluster, traffic));
    await test.step("a unit that fits nowhere blocks a drain, with its reasons", () => blocked(cluster));
    await test.step("a second copy that fails is given up at once, with its reason", () => copyFails(cluster));
    await test.step("a second copy that systemd starts again takes over", () => copyRestarts(cluster));
    await test.step("two drains at once outlive their leader", () => leaderKilled(cluster, traffic));
    await test.step("the load is evened out", () => rebalanced(cluster, traffic));
    await test.step("a machine reboots by the recipe of the guide: no request fails", () => rebooted(cluster, traffic));
    await test.step("a unit runs on while its new machine loses its power", () => destinationLost(cluster));
    await test.step("a drain outlives its machine", () => powerCut(cluster));
  });
});
