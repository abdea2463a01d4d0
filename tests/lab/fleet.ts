/** Installs fleet on a lab's machine: the built programs as read-only mounts, the units of packaging/, and a fleet.conf. */

import { existsSync } from "node:fs";
import type { Bind, Machine } from "./machine.ts";
import { must, type Output } from "./process.ts";

/** Options for fleet on the machines of a lab. */
export interface FleetOptions {
  /** Directory with the built `fleetd` and `fleetctl`. */
  readonly dist: string;
  /** Directory with fleet.service and fleet.socket. Default: packaging/systemd. */
  readonly units?: string;
  /** Options of fleet.conf. `etcd_servers` is the lab's etcd unless it is given here. */
  readonly conf?: FleetConf;
  /** True: the API also listens on TCP port 49153 of every address, without authentication. */
  readonly tcp?: boolean;
}

/** Options of fleet.conf, by name. */
export type FleetConf = Readonly<Record<string, string | number | boolean>>;

const guest_dir = "/usr/local/lib/fleet";

/** TCP port of the API with the option `tcp`. */
export const api_port = 49153;

/** Returns the path of the API's socket for a client on the host. The path changes with every boot. */
export function apiSocket(machine: Machine): string {
  return `${machine.root}/run/fleet.sock`;
}

/** Runs fleetctl on a machine as root, and waits for its end. */
export function fleetctl(machine: Machine, ...args: string[]): Promise<Output> {
  return machine.run(["fleetctl", ...args]);
}

/** Returns the host's files that a machine needs for fleet. Throws if fleet is not built. */
export function fleetBinds({ dist }: FleetOptions): Bind[] {
  for (const program of ["fleetd", "fleetctl"]) {
    if (!existsSync(`${dist}/${program}`)) {
      throw new Error(`${dist}/${program} does not exist: build it with ./compile.sh --launcher`);
    }
  }
  return [
    { host: Deno.realPathSync(Deno.execPath()), guest: "/usr/local/bin/deno" },
    { host: Deno.realPathSync(dist), guest: guest_dir },
  ];
}

/** Installs and enables fleet on the disk of a machine that is off. `conf` is the whole fleet.conf. */
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
