/** The lab's own network: a namespace with one bridge, from which no packet leaves. */

import { must, type Output, run, type RunOptions } from "./process.ts";

const bridge = "br0";

/** First three parts of every address in a lab: labs do not see each other, so all may use the same. */
const subnet = "10.77.0";

/** One network namespace with a bridge all machines of a lab hang on. */
export class Network {
  constructor(readonly name: string) {}

  /** Path to enter it by. (`ip netns exec` would also remount /sys, which systemd-nspawn cannot bear.) */
  get path(): string {
    return `/run/netns/${this.name}`;
  }

  /** Name of the bridge in it. */
  readonly bridge = bridge;

  /** The first `count` addresses of the bridge itself, where etcd listens; the very first is the machines' gateway. */
  hosts(count: number): string[] {
    return Array.from({ length: count }, (_, at) => `${subnet}.${at + 1}`);
  }

  /** Address of the `nth` machine, from 1. */
  address(nth: number): string {
    if (nth < 1 || nth > 240) throw new RangeError(`a lab has room for 240 machines, not for a ${nth}th`);
    return `${subnet}.${10 + nth}`;
  }

  /** `address` with the length of the subnet's prefix. */
  withPrefix(address: string): string {
    return `${address}/24`;
  }

  /** Makes the namespace, with that many addresses on the host's side. */
  async create(hosts: number): Promise<void> {
    await must(["ip", "netns", "add", this.name]);
    // An address of its own: without one the bridge takes a port's, and changes it when that machine goes, so that
    // nobody reaches etcd until their neighbour tables have found out.
    const lines = [
      "link set lo up",
      `link add ${bridge} address 02:00:00:00:00:01 type bridge`,
      `link set ${bridge} up`,
    ];
    for (const host of this.hosts(hosts)) lines.push(`address add ${this.withPrefix(host)} dev ${bridge}`);
    await must(this.inside(["ip", "-batch", "-"]), { stdin: lines.join("\n") + "\n" });
  }

  /** `command`, made to run in this namespace; the program takes the place of nsenter, under the same pid. */
  inside(command: readonly string[]): string[] {
    return ["nsenter", `--net=${this.path}`, ...command];
  }

  /** Runs `command` in this namespace to its end. */
  run(command: readonly string[], options?: RunOptions): Promise<Output> {
    return run(this.inside(command), options);
  }

  /** Pulls (`down`) or plugs (`up`) the cable of a link. */
  async set(link: string, state: "up" | "down"): Promise<void> {
    await must(this.inside(["ip", "link", "set", link, state]));
  }
}
