/**
 * The guided tour of `deno task demo`: three real machines, a real etcd, real units.
 *
 * @module
 */

import { existsSync } from "node:fs";
import { connect } from "../ctl/api/http.ts";
import { pageProxy } from "../ctl/api/page_proxy.ts";
import { terminal } from "../ctl/terminal/deno.ts";
import { newKey, openPageServer } from "../ctl/terminal/page_server.ts";
import { apiSocket } from "../tests/lab/fleet.ts";
import { FleetCluster, withFleet } from "../tests/lab/fleet_cluster.ts";
import type { Lab } from "../tests/lab/lab.ts";
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

/** Serves the cluster page on a loopback port of the host, which has no route to the machines, and returns its address. */
async function pageAddress(machine: Machine): Promise<string> {
  const settings = {
    endpoint: `unix://${apiSocket(machine)}`,
    timeout_ms: 30_000,
    caFile: "",
    certFile: "",
    keyFile: "",
  };
  const client = await connect(settings, terminal(false));
  const key = newKey();
  const { host } = openPageServer("127.0.0.1", 0, (host) => pageProxy(client.send, host, key));
  return `http://${host}/ui/#key=${key}`;
}

/** The folder of the scripts that open a shell on a machine. */
const entries = ".cache/demo";

/** Writes the script that runs a command on a machine, or opens a shell there. */
async function writeEntry({ name, pid }: Machine): Promise<void> {
  const path = new URL(`../${entries}/${name}`, import.meta.url);
  const script = `#!/bin/sh
# Runs a command on the machine ${name} of the demo, or opens a shell there.
if ! grep -qs '^NSpid:.*[[:space:]]1$' /proc/${pid}/status; then
  echo "${name} is off, or the demo has ended: Enter in the terminal of the demo switches it on" >&2
  exit 1
fi
if [ $# -eq 0 ]; then set -- bash -i; fi
exec nsenter -t ${pid} -a env -i HOME=/root LANG=C.UTF-8 TERM="\${TERM-dumb}" \\
  PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin sh -c 'cd && exec "$@"' sh "$@"
`;
  await Deno.mkdir(new URL(".", path), { recursive: true });
  await replaceFile(path, script);
}

/** Writes a program. A rename, since another process may run the former one. */
async function replaceFile(path: URL, text: string): Promise<void> {
  const next = new URL(`${path}.new`);
  await Deno.writeTextFile(next, text, { mode: 0o755 });
  await Deno.rename(next, path);
}

/** Boots the machines that have gone off. */
async function switchOn(machines: readonly Machine[]): Promise<void> {
  const off = machines.filter(({ pid }) => !existsSync(`/proc/${pid}`));
  for (const machine of off) {
    await machine.powerCut(); // its processes have ended; this waits for its container
    await machine.boot();
    await writeEntry(machine);
  }
  console.log(off.length === 0 ? "no machine is off" : `switched on: ${off.map(({ name }) => name).join(" ")}`);
}

/** Leaves everything up until ^C, which the lab cleans up after. */
async function keep({ machines }: Lab): Promise<void> {
  for (const machine of machines) await writeEntry(machine);
  title("the machines m1, m2 and m3 are up. From another terminal, as root, in this folder:");
  console.log(`
  ${entries}/m1                           a shell on m1
  ${entries}/m1 fleetctl list-machines    a command on m1
  ${await pageAddress(machines.at(-1)!)}
                                           the cluster page, in a browser of this machine

Enter, here: switches on the machines that have gone off. ^C, here: removes everything.`);
  for await (const _line of Deno.stdin.readable) await switchOn(machines);
  await new Promise(() => setInterval(() => {}, 60_000)); // without a terminal
}

/**
 * Runs the tour. With `keepUp`, boots the machines only, and leaves them up until ^C. Throws, saying what is missing, where
 * no machine can be booted.
 */
export async function tour({ keepUp }: { readonly keepUp: boolean }): Promise<void> {
  await prepare();
  title("booting three machines and an etcd");
  // A short time to live, so that the demonstration need not wait half a minute for the dead machine to be missed.
  await withFleet({ machines: 3, conf: { agent_ttl: "5s" }, tcp: true }, async (cluster) => {
    if (keepUp) return await keep(cluster.lab);
    const home = cluster.lab.machines[0]!;
    for await (const { name } of Deno.readDir(unitsFolder)) {
      const text = await Deno.readTextFile(new URL(name, unitsFolder));
      for (const machine of cluster.lab.machines) await machine.writeFile(`/root/${name}`, text);
    }
    await start(cluster, home);
    await finish(cluster, await powerCut(cluster));
    title("done");
  });
}
