/** The lab's etcd: one server or three, on the host's side of the lab's bridge. */

import { EtcdServer } from "./etcd.ts";
import type { Network } from "./network.ts";
import { must, type Output } from "./process.ts";

/** An etcd cluster in a lab. Members are numbered from 0; a method without numbers applies to all members. */
export class LabEtcd {
  private constructor(readonly members: readonly EtcdServer[]) {}

  /**
   * Starts `size` members, each with a new directory below `dir`, and waits until all are healthy. `disk`: the size of a
   * file system of its own for each member, in the format of tmpfs(5).
   */
  static async start(
    network: Network,
    size: number,
    dir: string,
    flags: readonly string[] = [],
    disk?: string,
  ): Promise<LabEtcd> {
    const all = network.hosts(size).map((address, at) => ({ name: `etcd${at}`, address }));
    const initial_cluster = all.map(({ name, address }) => `${name}=http://${address}:2380`).join(",");
    const members = await Promise.all(all.map(async ({ name, address }) => {
      Deno.mkdirSync(`${dir}/${name}`);
      if (disk !== undefined) await must(["mount", "-t", "tmpfs", "-o", `size=${disk}`, name, `${dir}/${name}`]);
      return await EtcdServer.prepare({
        name,
        address,
        dir: `${dir}/${name}`,
        netns: network.path,
        flags,
        ...size > 1 ? { initial_cluster } : {},
      });
    }));
    const etcd = new LabEtcd(members);
    await etcd.start();
    return etcd;
  }

  /** Returns the client URLs of a lab's etcd with `size` members, separated by commas. They are known before it is started. */
  static endpoints(network: Network, size: number): string {
    return network.hosts(size).map((address) => `http://${address}:2379`).join(",");
  }

  /** Client URLs of all members, separated by commas: the format of `etcd_servers`. */
  get endpoints(): string {
    return this.members.map(({ endpoint }) => endpoint).join(",");
  }

  /** Starts stopped members with their data. */
  async start(...which: number[]): Promise<void> {
    await Promise.all(this.#pick(which).map((member) => member.start()));
  }

  /** Stops members with SIGTERM. Their data stays. */
  async stop(...which: number[]): Promise<void> {
    await Promise.all(this.#pick(which).map((member) => member.stop()));
  }

  /** Pauses members: connections stay open, requests get no response. */
  pause(...which: number[]): void {
    for (const member of this.#pick(which)) member.pause();
  }

  /** Resumes paused members. */
  resume(...which: number[]): void {
    for (const member of this.#pick(which)) member.resume();
  }

  /** Stops all members, deletes their data, and starts them on the same addresses with an empty store. */
  async wipe(): Promise<void> {
    await this.stop();
    for (const { dir } of this.members) Deno.removeSync(`${dir}/data`, { recursive: true });
    await this.start();
  }

  /** Discards all history before the current revision. Returns the revision. */
  compact(): Promise<number> {
    return this.#first.compact();
  }

  /** Frees space in a store that has used up its quota (alarm NOSPACE), so that it accepts writes again. */
  async reclaimSpace(): Promise<void> {
    await this.#first.compact({ physical: true });
    for (const member of this.members) await member.must("defrag");
    await this.must("alarm", "disarm");
  }

  /** Moves the leadership to another member. Returns the ID of the new leader, in hexadecimal. */
  async moveLeader(): Promise<string> {
    const status = await this.must(`--endpoints=${this.endpoints}`, "endpoint", "status", "--write-out=json");
    // Member IDs are 64-bit numbers, which JSON.parse would round.
    const all = [...status.matchAll(/"member_id":(\d+).*?"leader":(\d+)/gs)].map((match) => match.slice(1).map(BigInt));
    const next = all.find(([member, leader]) => member !== leader)?.[0];
    if (next === undefined) throw new Error(`no other etcd member can become the leader: ${status}`);
    await this.must(`--endpoints=${this.endpoints}`, "move-leader", next.toString(16));
    return next.toString(16);
  }

  /** Returns the number of the leading member. */
  async leader(): Promise<number> {
    for (const [at, member] of this.members.entries()) {
      const status = await member.must("endpoint", "status", "--write-out=json");
      const [, id, leader] = /"member_id":(\d+).*?"leader":(\d+)/s.exec(status) ?? [];
      if (id !== undefined && id === leader) return at;
    }
    throw new Error("no etcd member is the leader");
  }

  /** Runs etcdctl (API version 3) against the first member. */
  ctl(...args: string[]): Promise<Output> {
    return this.#first.ctl(...args);
  }

  /** Runs etcdctl as {@link ctl} does, and returns its standard output. Throws if it fails. */
  must(...args: string[]): Promise<string> {
    return this.#first.must(...args);
  }

  get #first(): EtcdServer {
    return this.#pick([0])[0]!;
  }

  #pick(which: readonly number[]): readonly EtcdServer[] {
    if (which.length === 0) return this.members;
    return which.map((at) => {
      const member = this.members[at];
      if (member === undefined) {
        throw new RangeError(`the lab has ${this.members.length} etcd members: there is no member ${at}`);
      }
      return member;
    });
  }
}
