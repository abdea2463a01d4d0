/** Containers by Quadlet on real machines: two with podman, and one without. */

import assert from "node:assert/strict";
import type { ExplanationEntity } from "../../../daemon/api/v1/types.ts";
import { type FleetCluster, sleeper, withFleet } from "../../lab/fleet_cluster.ts";
import { checkFiles } from "../../lab/file_table.ts";
import type { Machine } from "../../lab/machine.ts";
import { until } from "../../lab/process.ts";
import { container_root } from "../../lab/rootfs.ts";

/** A Quadlet file of a container that runs `command`. In a machine of a lab, containers get no control group of their own. */
const container = (command: string, ...lines: string[]) =>
  [
    "[Container]",
    `Rootfs=${container_root}`,
    `Exec=${command}`,
    "Network=host",
    "PodmanArgs=--cgroups=disabled --stop-timeout=1",
    ...lines,
  ]
    .join("\n") + "\n";

async function explain(cluster: FleetCluster, name: string): Promise<ExplanationEntity> {
  return await (await cluster.request(cluster.machine("m3"), "GET", `/units/${name}/explain`)).json();
}

/** Waits until a unit is active on one machine, and returns that. */
async function home(cluster: FleetCluster, name: string): Promise<Machine> {
  return cluster.byId((await cluster.active(cluster.machine("m3"), [name])).get(name)!);
}

const running = (machine: Machine) => machine.must(["podman", "ps", "--noheading", "--format={{.Names}} {{.Command}}"]);

async function startsAndUpdates(cluster: FleetCluster): Promise<void> {
  const m3 = cluster.machine("m3");
  await m3.writeFile("/root/web.container", container("/bin/sleep 1001"));
  await cluster.fleetctl(m3, "start", "/root/web.container");
  const machine = await home(cluster, "web.container");
  assert.notEqual(machine, m3, "a machine without podman takes no container");
  assert.match(await running(machine), /^systemd-web \/bin\/sleep 1001$/m);
  const { machines } = await explain(cluster, "web.container");
  const refusal = machines!.find(({ machineID }) => machineID === m3.id)!;
  assert.deepEqual(refusal.reasons?.map(({ rule }) => rule), ["Quadlet"]);

  // The status and the journal are those of the service.
  const { stdout } = await cluster.fleetctl(m3, "list-units", "--no-legend", "--fields=unit,active,sub");
  assert.match(stdout, /^web\.container\tactive\trunning$/m);
  const status = await cluster.request(machine, "GET", "/units/web.container/status");
  assert.match(await status.text(), /web\.service[^]*Active: active \(running\)/);

  // A new version stops the container and starts the new one in its place.
  await m3.writeFile("/root/web.container", container("/bin/sleep 1002"));
  await cluster.fleetctl(m3, "start", "--replace", "/root/web.container");
  await until("the new container", async () => {
    return /^systemd-web \/bin\/sleep 1002$/m.test(await running(machine)) ? true : undefined;
  });
  assert.equal(await home(cluster, "web.container"), machine, "it stays on its machine");
}

/** Kills the daemon of a machine, and waits until the next one has joined. */
async function kill(cluster: FleetCluster, machine: Machine): Promise<void> {
  const pid = () => machine.must(["systemctl", "show", "--value", "--property=MainPID", "fleet.service"]);
  const killed = await pid();
  await machine.must(["systemctl", "kill", "--signal=KILL", "--kill-whom=main", "fleet.service"]);
  await until("the next daemon", async () => ["0", killed.trim()].includes((await pid()).trim()) ? undefined : true);
  await cluster.joined(cluster.lab.machines);
}

async function adopts(cluster: FleetCluster): Promise<void> {
  const machine = await home(cluster, "web.container");
  const invocation = () => machine.must(["systemctl", "show", "--value", "--property=InvocationID", "web.service"]);
  const before = await invocation();
  // An upgrade of podman takes its generator away for a moment.
  const generator = "/usr/lib/systemd/system-generators/podman-system-generator";
  await machine.must(["mv", generator, "/root/generator"]);
  await kill(cluster, machine);
  // When this unit runs, the new daemon has looked at all units of the machine.
  const m3 = cluster.machine("m3");
  await cluster.put(m3, "probe.service", "launched", `${sleeper}[X-Fleet]\nMachineID=${machine.id}\n`);
  assert.equal(await home(cluster, "probe.service"), machine);
  await cluster.destroy(m3, "probe.service");
  assert.equal(await home(cluster, "web.container"), machine);
  const { machines } = await explain(cluster, "web.container");
  assert.equal(machines?.find(({ machineID }) => machineID === machine.id)?.error, undefined);
  await machine.must(["mv", "/root/generator", generator]);
  await kill(cluster, machine);
  assert.equal(await home(cluster, "web.container"), machine);
  assert.equal(await invocation(), before, "a daemon that is killed leaves containers running");
}

async function referredTo(cluster: FleetCluster): Promise<void> {
  const m3 = cluster.machine("m3");
  await m3.writeFile("/root/data.volume", "[Volume]\nLabel=a=b\n");
  await m3.writeFile("/root/db.container", container("/bin/sleep 1003", "Volume=data.volume:/var"));
  await cluster.fleetctl(m3, "load", "/root/data.volume");
  await cluster.fleetctl(m3, "start", "/root/db.container");
  const machine = await home(cluster, "db.container");
  assert.match(await machine.must(["podman", "volume", "ls", "--noheading"]), /systemd-data/);
  const directory = "/run/containers/systemd/fleet";
  await checkFiles(machine, "root", [directory], [directory, `${directory}/*`]);
  const { machineID } = await explain(cluster, "data.volume");
  assert.equal(machineID, machine.id, "a file that another refers to is on its machine");

  // A new version of the volume stops the container, too. It is started again.
  const show = (property: string) =>
    machine.must(["systemctl", "show", "--value", `--property=${property}`, "db.service"]);
  const before = await show("InvocationID");
  await m3.writeFile("/root/data.volume", "[Volume]\nLabel=a=c\n");
  await cluster.fleetctl(m3, "load", "--replace", "/root/data.volume");
  await until("the container to be started again", async () => {
    const [state, invocation] = [await show("ActiveState"), await show("InvocationID")];
    return state.trim() === "active" && invocation !== before ? true : undefined;
  }, { deadline_ms: 60_000 });
  await Promise.all(["db.container", "data.volume"].map((name) => cluster.destroy(m3, name)));
}

async function broken(cluster: FleetCluster): Promise<void> {
  const m3 = cluster.machine("m3");
  await cluster.put(m3, "bad.container", "launched", container("/bin/sleep 1", "Exek=x"));
  const { machines } = await until("the reason of the generator", async () => {
    const shown = await explain(cluster, "bad.container");
    return shown.machines?.some(({ error }) => error !== undefined) ? shown : undefined;
  });
  const [error] = machines!.flatMap(({ error }) => error ?? []);
  assert.equal(
    error,
    `cannot install "bad.container": podman makes no service of it: unsupported key 'Exek' in group 'Container'`,
  );
  const machine = await home(cluster, "web.container");
  assert.match(await running(machine), /1002/, "other containers run on");
  await cluster.destroy(m3, "bad.container");

  // A service and a container of one name exclude each other on a machine.
  await cluster.put(m3, "web.service", "launched", `${sleeper}[X-Fleet]\nMachineOf=web.container\n`);
  await until("the refusal of the taken name", async () => {
    const shown = await explain(cluster, "web.service");
    return shown.machines?.some(({ error }) => error?.includes("web.container")) ? true : undefined;
  });
  await cluster.destroy(m3, "web.service");
}

async function moves(cluster: FleetCluster): Promise<void> {
  const from = await home(cluster, "web.container");
  const to = cluster.machine(from.name === "m1" ? "m2" : "m1");
  await from.powerCut();
  await cluster.statesWhere(
    cluster.machine("m3"),
    "web.container to have moved",
    (all) =>
      all.some(({ name, machineID, systemdActiveState }) =>
        name === "web.container" && machineID === to.id && systemdActiveState === "active"
      ),
  );
  assert.match(await running(to), /^systemd-web \/bin\/sleep 1002$/m);
  await cluster.destroy(cluster.machine("m3"), "web.container");
  await until("the files to be gone", async () => {
    return (await to.must(["ls", "/run/containers/systemd/fleet"])) === "" ? true : undefined;
  });
  assert.equal((await running(to)).trim(), "");
}

Deno.test("containers by Quadlet", async (t) => {
  const machines = [{ base: "podman" }, { base: "podman" }, {}] as const;
  await withFleet({ machines, conf: { agent_ttl: "5s" } }, async (cluster) => {
    await t.step(
      "a container starts on a machine with podman, and a new version replaces it",
      () => startsAndUpdates(cluster),
    );
    await t.step("containers run on while the daemon is killed", () => adopts(cluster));
    await t.step("a volume is placed beside the container that refers to it", () => referredTo(cluster));
    await t.step("a file that podman refuses has the reason, and others run on", () => broken(cluster));
    await t.step(
      "a container moves from a machine that is lost, and is removed when it is destroyed",
      () => moves(cluster),
    );
  });
});
