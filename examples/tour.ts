/**
 * The guided tour of `deno task demo`: three real machines, a real etcd, real units.
 *
 * @module
 */

import { FleetCluster, withFleet } from "../tests/lab/fleet_cluster.ts";
import type { Machine } from "../tests/lab/machine.ts";
import { prepare } from "../tests/prepare_host.ts";

const unitsFolder = new URL("./units/", import.meta.url);
const started_ms = performance.now();

function title(text: string): void {
  const seconds = ((performance.now() - started_ms) / 1000).toFixed(1).padStart(5);
  console.log(`\n${seconds} s  === ${text}`);
}

/** Runs fleetctl on a machine, and shows the line and what it printed. */
async function show(cluster: FleetCluster, machine: Machine, ...args: string[]): Promise<void> {
  console.log(`\n$ fleetctl ${args.join(" ")}`);
  const { stdout, stderr } = await cluster.fleetctl(machine, ...args);
  for (const text of [stdout, stderr]) if (text.trim() !== "") console.log(text.trimEnd());
}

async function start(cluster: FleetCluster, home: Machine): Promise<void> {
  title("three machines");
  await show(cluster, home, "list-machines");

  title("a unit: fleet chooses its machine");
  await show(cluster, home, "start", "/root/hello.service");

  title("a template's instances, which keep off each other's machine: one on each");
  await show(cluster, home, "start", ...["web@1", "web@2", "web@3"].map((name) => `/root/${name}.service`));

  title("a global unit: one on every machine, also on those that join later");
  await show(cluster, home, "start", "/root/watcher.service");
  await cluster.statesWhere(home, "7 active units", (states) => {
    return states.filter((state) => state.systemdActiveState === "active").length === 7;
  });
  await show(cluster, home, "list-units");
}

/** Cuts the power of the machine that runs hello.service. */
async function powerCut(cluster: FleetCluster): Promise<Machine> {
  const where = await cluster.active(cluster.lab.machines[0]!, ["hello.service"]);
  const victim = cluster.byId(where.get("hello.service")!);
  const home = cluster.lab.machines.find((machine) => machine !== victim)!;
  title(`a power cut on ${victim.name} (${victim.id.slice(0, 8)}...), which runs hello.service`);
  await victim.powerCut();
  const cut_ms = performance.now();
  await cluster.statesWhere(home, "hello.service to be active elsewhere", (states) => {
    const hello = states.filter((state) => state.name === "hello.service");
    return hello.length === 1 && hello[0]!.machineID !== victim.id && hello[0]!.systemdActiveState === "active";
  });
  console.log(`active elsewhere ${((performance.now() - cut_ms) / 1000).toFixed(1)} s after the power cut`);
  await show(cluster, home, "list-machines");
  await show(cluster, home, "list-units");
  // The third web@ waits: each machine that is left has one already.
  await show(cluster, home, "list-unit-files");

  title(`${victim.name} has power again: the waiting instance and the global unit come back to it`);
  await victim.boot();
  await cluster.statesWhere(home, "7 active units", (states) => {
    return states.filter((state) => state.systemdActiveState === "active").length === 7;
  });
  await show(cluster, home, "list-units");
  return home;
}

async function finish(cluster: FleetCluster, home: Machine): Promise<void> {
  title("everything destroyed");
  const names = ["hello", "web@1", "web@2", "web@3", "watcher"].map((name) => `${name}.service`);
  await show(cluster, home, "destroy", ...names);
  await cluster.statesWhere(home, "no unit left", (states) => states.length === 0);
  await show(cluster, home, "list-units");
  await show(cluster, home, "list-unit-files");
}

/** Leaves everything up until ^C, which the lab cleans up after. */
async function keep(cluster: FleetCluster): Promise<void> {
  title("the cluster stays up until ^C. From another terminal, as root:");
  for (const { name, pid } of cluster.lab.machines) {
    console.log(`\n  nsenter -t ${pid} -a fleetctl list-units      # on ${name}; "-a bash" for a shell`);
  }
  await new Promise(() => setInterval(() => {}, 60_000));
}

/** Runs the tour. `keepUp` leaves the cluster up until ^C. Throws, saying what is missing, where no machine can be booted. */
export async function tour({ keepUp }: { readonly keepUp: boolean }): Promise<void> {
  await prepare();
  title("booting three machines and an etcd");
  // A short time to live, so that the demonstration need not wait half a minute for the dead machine to be missed.
  await withFleet({ machines: 3, conf: { agent_ttl: "5s" }, tcp: true }, async (cluster) => {
    const home = cluster.lab.machines[0]!;
    for await (const { name } of Deno.readDir(unitsFolder)) {
      const text = await Deno.readTextFile(new URL(name, unitsFolder));
      for (const machine of cluster.lab.machines) await machine.writeFile(`/root/${name}`, text);
    }
    await start(cluster, home);
    if (keepUp) return await keep(cluster);
    await finish(cluster, await powerCut(cluster));
    title("done");
  });
}
