/** Units on a cluster of three real machines, from submit to destroy. */

import assert from "node:assert/strict";
import { type FleetCluster, sleeper, withFleet } from "../../lab/fleet_cluster.ts";
import { fleetctl } from "../../lab/fleet.ts";
import { until } from "../../lab/process.ts";
import { rollingUpgrade } from "../upgrade/upgrade_cases.ts";

const names = (count: number) => Array.from({ length: count }, (_, index) => `u${index + 1}.service`);

async function wholeCycle(cluster: FleetCluster): Promise<void> {
  const home = cluster.machine("m1");
  await home.writeFile("/root/a.service", sleeper);
  const output = async (...args: string[]) => {
    const { stdout, stderr } = await cluster.fleetctl(home, ...args);
    return `${stdout}${stderr}`.trim();
  };
  assert.equal(await output("submit", "/root/a.service"), "Unit a.service inactive");
  assert.match(await output("list-unit-files", "--no-legend"), /^a\.service\t+[0-9a-f]{7}\t+inactive\t+inactive\t+-$/);
  assert.equal(await output("cat", "a.service"), sleeper.trim());
  assert.match(await output("load", "a.service"), /Unit a\.service loaded on 01010101\.\.\.\/10\.77\.0\.11$/);
  assert.match(
    await output("list-units", "--no-legend"),
    /^a\.service\t+01010101\.\.\.\/10\.77\.0\.11\t+inactive\t+dead$/,
  );
  assert.match(await output("start", "a.service"), /Unit a\.service launched on 01010101\.\.\.\/10\.77\.0\.11$/);
  assert.match(
    await output("list-units", "--no-legend"),
    /^a\.service\t+01010101\.\.\.\/10\.77\.0\.11\t+active\t+running$/,
  );
  assert.equal((await home.must(["systemctl", "is-active", "a.service"])).trim(), "active");
  assert.match(await output("stop", "a.service"), /Successfully stopped units \[a\.service\]\.$/);
  assert.equal((await home.run(["systemctl", "is-active", "a.service"])).stdout.trim(), "inactive");
  assert.match(await output("unload", "a.service"), /Successfully unloaded units \[a\.service\]\.$/);
  assert.equal(await output("list-units", "--no-legend"), "");
  assert.equal((await home.run(["ls", "/run/fleet/units"])).stdout, "");
  assert.equal(await output("destroy", "a.service"), "Destroyed a.service");
  assert.equal(await output("list-unit-files", "--no-legend"), "");
}

async function finishedAndLoaded(cluster: FleetCluster): Promise<void> {
  const home = cluster.machine("m1");
  const oneshot = "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo ran >>/root/ran'\n";
  await home.writeFile("/root/once.service", oneshot);
  await home.writeFile("/root/idle.service", oneshot);
  await cluster.fleetctl(home, "load", "/root/idle.service");
  await cluster.fleetctl(home, "start", "/root/once.service");
  const states = await cluster.states(home);
  const once = states.find((state) => state.name === "once.service")!;
  const machine = cluster.byId(once.machineID!);
  assert.equal(once.systemdActiveState, "inactive", "it has finished");
  const { stdout } = await cluster.fleetctl(home, "list-unit-files", "--no-legend", "--fields=unit,dstate,state");
  assert.deepEqual(stdout.trim().split("\n").map((line) => line.split(/\t+/)), [
    ["idle.service", "loaded", "loaded"],
    ["once.service", "launched", "launched"],
  ]);
  // A daemon that restarts does not run finished units again.
  await machine.must(["systemctl", "kill", "--signal=SIGKILL", "fleet.service"]);
  await cluster.joined(cluster.lab.machines);
  await until("the daemon to have looked at its units", async () => {
    return (await machine.journal("fleet.service")).split("adopting").length > 1 ? true : undefined;
  });
  await cluster.statesWhere(home, "both units", (all) => all.length === 2);
  assert.equal(await machine.must(["cat", "/root/ran"]), "ran\n");
  await cluster.fleetctl(home, "destroy", "once.service", "idle.service");
}

async function spread(cluster: FleetCluster): Promise<void> {
  const [m1, m2, m3] = cluster.lab.machines;
  await Promise.all(names(6).map((name) => cluster.put(m1!, name, "launched", sleeper)));
  const where = await cluster.active(m1!, names(6));
  const counts = [m1, m2, m3].map((machine) => [...where.values()].filter((id) => id === machine!.id).length);
  assert.deepEqual(counts, [2, 2, 2]);
  // The APIs of all machines give the same answer.
  for (const machine of [m2!, m3!]) assert.deepEqual(await cluster.states(machine), await cluster.states(m1!));
  for (const name of names(6)) await cluster.destroy(m2!, name);
  await cluster.statesWhere(m3!, "no unit left", (states) => states.length === 0);
}

async function twoWriters(cluster: FleetCluster): Promise<void> {
  const [m1, m2] = cluster.lab.machines;
  const other = sleeper.replace("infinity", "100000");
  for (let round = 0; round < 10; round++) {
    const results = await Promise.all([
      cluster.request(m1!, "PUT", "/units/w.service", { desiredState: "launched", options: options(sleeper) }),
      cluster.request(m2!, "PUT", "/units/w.service", { desiredState: "launched", options: options(other) }),
    ]);
    for (const response of results) assert.equal(response.status, 201);
    // A read through either machine, right after, sees the same one.
    const [a, b] = await Promise.all([m1!, m2!].map((machine) => cluster.units(machine)));
    assert.deepEqual(a![0]!.options, b![0]!.options);
    await cluster.active(m1!, ["w.service"]);
    const hash = (await cluster.states(m1!))[0]!.hash;
    const text = (await cluster.fleetctl(m2!, "cat", "w.service")).stdout;
    const { stdout } = await cluster.fleetctl(m2!, "list-unit-files", "--no-legend", "--full", "--fields=hash");
    await until("the running unit to have the file that was written last", async () => {
      return (await cluster.states(m1!))[0]!.hash === stdout.trim() ? true : undefined;
    });
    assert.ok(text.includes("/bin/sleep"), `${hash}`);
    await cluster.destroy(round % 2 === 0 ? m1! : m2!, "w.service");
    assert.deepEqual(await cluster.units(round % 2 === 0 ? m2! : m1!), []);
    await cluster.statesWhere(m1!, "no unit left", (states) => states.length === 0);
  }
}

function options(text: string) {
  const command = /ExecStart=(.*)/.exec(text)![1]!;
  return [{ section: "Service", name: "ExecStart", value: command }];
}

async function hundredAtOnce(cluster: FleetCluster): Promise<void> {
  const [m1] = cluster.lab.machines;
  await Promise.all(
    names(100).map((name, index) => {
      return cluster.put(cluster.lab.machines[index % 3]!, name, "launched", sleeper);
    }),
  );
  const where = await cluster.active(m1!, names(100));
  for (const machine of cluster.lab.machines) {
    const share = [...where.values()].filter((id) => id === machine.id).length;
    assert.ok(share === 33 || share === 34, `${machine.name} runs ${share}`);
    const { stdout } = await machine.run([
      "sh",
      "-c",
      "systemctl list-units --plain --no-legend 'u*.service' | grep -c running",
    ]);
    assert.equal(Number(stdout), share, "the cluster and systemd agree");
  }
  await Promise.all(names(100).map((name) => cluster.destroy(m1!, name)));
  await cluster.statesWhere(m1!, "no unit left", (states) => states.length === 0);
  for (const machine of cluster.lab.machines) {
    assert.equal((await machine.run(["ls", "/run/fleet/units"])).stdout, "");
  }
}

async function badInput(cluster: FleetCluster): Promise<void> {
  const home = cluster.machine("m1");
  await home.writeFile("/root/broken.service", "[Service\nExecStart=/bin/true\n");
  await home.writeFile("/root/bad name.service", sleeper);
  await home.writeFile("/root/typo.service", `${sleeper}[X-Fleet]\nMachineMetdata=a=b\n`);
  const cases: readonly { args: string[]; code: number; says: RegExp }[] = [
    {
      args: ["start", "nosuch.service"],
      code: 1,
      says: /nosuch\.service: no file in this directory and no unit in the cluster has this name/,
    },
    { args: ["cat", "nosuch.service"], code: 1, says: /Unit nosuch\.service not found/ },
    { args: ["submit", "/root/broken.service"], code: 1, says: /broken\.service.*unable to find end of section/ },
    { args: ["submit", "/root/bad name.service"], code: 1, says: /invalid character ' ' in unit name/ },
    { args: ["submit", "/root/typo.service"], code: 1, says: /MachineMetdata.*MachineMetadata/s },
    { args: ["frobnicate"], code: 2, says: /unknown command "frobnicate"/ },
    { args: ["list-units", "--nosuch"], code: 2, says: /unknown flag --nosuch/ },
    { args: ["--endpoint", "unix:///nosuch.sock", "list-units"], code: 1, says: /nosuch\.sock/ },
  ];
  for (const { args, code, says } of cases) {
    const output = await fleetctl(home, ...args);
    assert.equal(output.code, code, `fleetctl ${args.join(" ")}: ${output.stdout}${output.stderr}`);
    assert.match(output.stderr, says);
  }
  assert.deepEqual(await cluster.units(home), [], "nothing was created");
  const refused = await cluster.request(home, "PUT", "/units/a.nosuch", { desiredState: "launched", options: [] });
  assert.equal(refused.status, 400);
  assert.match(await refused.text(), /invalid unit type/);
}

async function failing(cluster: FleetCluster): Promise<void> {
  const home = cluster.machine("m1");
  // A oneshot: a plain service is active for a moment before it fails, and may be seen so.
  await home.writeFile("/root/fails.service", "[Service]\nType=oneshot\nExecStart=/bin/false\n");
  const output = await fleetctl(home, "start", "/root/fails.service");
  assert.equal(output.code, 1, output.stdout);
  assert.match(output.stderr, /fails\.service/);
  const [state] = await cluster.states(home);
  assert.equal(state?.systemdActiveState, "failed");
  await cluster.fleetctl(home, "destroy", "fails.service");
}

Deno.test("on three machines", async (t) => {
  await withFleet({ machines: 3 }, async (cluster) => {
    await t.step("a unit is submitted, loaded, started, stopped, unloaded and destroyed", () => wholeCycle(cluster));
    await t.step("a finished unit stays launched, a loaded one loaded", () => finishedAndLoaded(cluster));
    await t.step("units spread over the machines", () => spread(cluster));
    await t.step("of two writers on different machines one wins everywhere", () => twoWriters(cluster));
    await t.step("a hundred units start at once", () => hundredAtOnce(cluster));
    await t.step("bad input is refused with a reason", () => badInput(cluster));
    await t.step("a unit that fails to start is an error", () => failing(cluster));
    await t.step(
      "the previous release is upgraded under a client: no unit is touched, and every acknowledged change survives",
      () => rollingUpgrade(cluster),
    );
  });
});
