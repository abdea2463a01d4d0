/** fleet on a lab's machine: the built programs shown read-only, the units as an operator installs them, a configuration. */

import { existsSync } from "node:fs";
import type { Bind, Machine } from "./machine.ts";
import { must, type Output } from "./process.ts";

/** How fleet is put on the machines. */
export interface FleetOptions {
  /** Directory with the built `fleetd` and `fleetctl`. */
  readonly dist: string;
  /** Directory with fleet.service and fleet.socket; the project's own when not given. */
  readonly units?: string;
  /** Options of fleet.conf, by name; `etcd_servers` names the lab's etcd unless given here. */
  readonly conf?: FleetConf;
  /** Lets the API listen on TCP port 49153 of every address, besides its unix socket, open to everybody in the lab. */
  readonly tcp?: boolean;
}

/** Options of fleet.conf, by name. */
export type FleetConf = Readonly<Record<string, string | number | boolean>>;

const guest_dir = "/usr/local/lib/fleet";

/** Port of the API where `tcp` asks for one. */
export const api_port = 49153;

/** The API's socket as a client on the host reaches it; another one after each boot. */
export function apiSocket(machine: Machine): string {
  return `${machine.root}/run/fleet.sock`;
}

/** Runs fleetctl on a machine, as root, to its end. */
export function fleetctl(machine: Machine, ...args: string[]): Promise<Output> {
  return machine.run(["fleetctl", ...args]);
}

/** What a machine must show of the host to run fleet. Throws when it is not built. */
export function fleetBinds({ dist }: FleetOptions): Bind[] {
  for (const program of ["fleetd", "fleetctl"]) {
    if (!existsSync(`${dist}/${program}`)) {
      throw new Error(`${dist}/${program} is not there: build it with ./compile.sh --launcher`);
    }
  }
  return [
    { host: Deno.realPathSync(Deno.execPath()), guest: "/usr/local/bin/deno" },
    { host: Deno.realPathSync(dist), guest: guest_dir },
  ];
}

/** Installs fleet on the disk of a machine that is off, enabled: it starts with the next boot. `conf` is its whole fleet.conf. */
export async function installFleet(machine: Machine, options: FleetOptions, conf: FleetConf): Promise<void> {
  const units = options.units ?? new URL("../../packaging/systemd", import.meta.url).pathname;
  for (const unit of ["fleet.service", "fleet.socket"]) {
    await machine.writeFile(`/etc/systemd/system/${unit}`, Deno.readTextFileSync(`${units}/${unit}`));
  }
  for (const program of ["fleetd", "fleetctl"]) {
    Deno.symlinkSync(`${guest_dir}/${program}`, `${machine.disk}/usr/local/bin/${program}`);
  }
  await machine.writeFile(
    "/etc/fleet/fleet.conf",
    confText({ ...(options.tcp ? { api_insecure: true } : {}), ...conf }),
  );
  if (options.tcp ?? false) {
    const drop_in = `[Socket]\nListenStream=0.0.0.0:${api_port}\n`;
    await machine.writeFile("/etc/systemd/system/fleet.socket.d/lab.conf", drop_in);
  }
  await must(["chroot", machine.disk, "systemctl", "enable", "fleet.socket", "fleet.service"]);
}

function confText(conf: FleetConf): string {
  return Object.entries(conf).map(([name, value]) => {
    return typeof value === "string" ? `${name}="${value}"\n` : `${name}=${value}\n`;
  }).join("");
}
