/** The lab's isolated network: a namespace with one bridge. */

import { must, type Output, run, type RunOptions } from "./process.ts";

const bridge = "br0";

/** The first three parts of every address in a lab. All labs use the same, because they are isolated. */
const subnet = "10.77.0";

/** A network namespace with a bridge for all machines of a lab. */
export class Network {
  constructor(readonly name: string) {}

  /** Path of the namespace, for nsenter. `ip netns exec` would also remount /sys, which breaks systemd-nspawn. */
  get path(): string {
    return `/run/netns/${this.name}`;
  }

  /** Name of the bridge. */
  readonly bridge = bridge;

  /** The first `count` addresses of the bridge, on which etcd listens. The first one is the machines' gateway. */
  hosts(count: number): string[] {
    return Array.from({ length: count }, (_, at) => `${subnet}.${at + 1}`);
  }

  /** Returns the address of the `nth` machine, from 1. */
  address(nth: number): string {
    if (nth < 1 || nth > 240) throw new RangeError(`a lab has room for 240 machines, not for a ${nth}th`);
    return `${subnet}.${10 + nth}`;
  }

  /** Returns `address` with the length of the subnet's prefix. */
  withPrefix(address: string): string {
    return `${address}/24`;
  }

  /** Makes the namespace, with `count` addresses on the host's side. */
  async create(hosts: number): Promise<void> {
    await must(["ip", "netns", "add", this.name]);
    // A fixed hardware address: without one the bridge takes that of a port, and changes it when that machine is removed.
    // Then no machine reaches etcd until its neighbor table is updated.
    const lines = [
      "link set lo up",
      `link add ${bridge} address 02:00:00:00:00:01 type bridge`,
      `link set ${bridge} up`,
    ];
    for (const host of this.hosts(hosts)) lines.push(`address add ${this.withPrefix(host)} dev ${bridge}`);
    await must(this.inside(["ip", "-batch", "-"]), { stdin: lines.join("\n") + "\n" });
  }

  /** Returns `command` for this namespace. The program replaces nsenter and keeps its process ID. */
  inside(command: readonly string[]): string[] {
    return ["nsenter", `--net=${this.path}`, ...command];
  }

  /** Runs `command` in this namespace. */
  run(command: readonly string[], options?: RunOptions): Promise<Output> {
    return run(this.inside(command), options);
  }

  /** Sets a link `down` or `up`. */
  async set(link: string, state: "up" | "down"): Promise<void> {
    await must(this.inside(["ip", "link", "set", link, state]));
  }
}
