/** A lab's isolated network: a network namespace with one bridge. */

import { must, type Output, run, type RunOptions } from "./process.ts";

const bridge = "br0";

/** First three parts of every address in a lab. Labs are isolated from each other, so all use the same. */
const subnet = "10.77.0";

/** A network namespace with a bridge to which all machines of a lab are connected. */
export class Network {
  constructor(readonly name: string) {}

  /** Path of the namespace, for nsenter. (`ip netns exec` would also remount /sys, with which systemd-nspawn does not work.) */
  get path(): string {
    return `/run/netns/${this.name}`;
  }

  /** Name of the bridge. */
  readonly bridge = bridge;

  /** Returns the first `count` addresses of the bridge, on which etcd listens. The first is also the machines' gateway. */
  hosts(count: number): string[] {
    return Array.from({ length: count }, (_, at) => `${subnet}.${at + 1}`);
  }

  /** Returns the address of the `nth` machine, counted from 1. */
  address(nth: number): string {
    if (nth < 1 || nth > 240) throw new RangeError(`a lab has machines 1 to 240, no machine ${nth}`);
    return `${subnet}.${10 + nth}`;
  }

  /** Returns `address` with the prefix length of the subnet. */
  withPrefix(address: string): string {
    return `${address}/24`;
  }

  /** Creates the namespace and a bridge with the given number of addresses. */
  async create(hosts: number): Promise<void> {
    await must(["ip", "netns", "add", this.name]);
    // The bridge has a hardware address of its own. Otherwise it takes the address of a port and changes it when that
    // machine is switched off; the other machines then cannot reach etcd until their neighbor tables are updated.
    const lines = [
      "link set lo up",
      `link add ${bridge} address 02:00:00:00:00:01 type bridge`,
      `link set ${bridge} up`,
    ];
    for (const host of this.hosts(hosts)) lines.push(`address add ${this.withPrefix(host)} dev ${bridge}`);
    await must(this.inside(["ip", "-batch", "-"]), { stdin: lines.join("\n") + "\n" });
  }

  /** Returns the command that runs `command` in this namespace. nsenter executes the program under its own PID. */
  inside(command: readonly string[]): string[] {
    return ["nsenter", `--net=${this.path}`, ...command];
  }

  /** Runs `command` in this namespace, and waits for its end. */
  run(command: readonly string[], options?: RunOptions): Promise<Output> {
    return run(this.inside(command), options);
  }

  /** Like `run`, but throws with the program's output if it fails. */
  async must(command: readonly string[], options?: RunOptions): Promise<void> {
    await must(this.inside(command), options);
  }

  /** Sets a link of this namespace up or down. */
  async set(link: string, state: "up" | "down"): Promise<void> {
    await this.must(["ip", "link", "set", link, state]);
  }
}
