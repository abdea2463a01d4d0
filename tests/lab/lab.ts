/**
 * The lab: real machines on this host, for tests, demonstrations and benchmarks. Each machine runs a systemd of its own
 * in a container. A lab has an isolated network and an etcd.
 *
 * ```ts
 * await withLab({ machines: 3, fleet: { dist: "dist", conf: { agent_ttl: "5s" } } }, async (lab) => {
 *   await lab.machine("m1").powerCut();
 * });
 * ```
 */

import { unready } from "../prepare_host.ts";
import { collect } from "./collect.ts";
import { fleetBinds, type FleetConf, type FleetOptions, installFleet } from "./fleet.ts";
import { LabEtcd } from "./etcd_cluster.ts";
import { type Bind, Machine } from "./machine.ts";
import { Network } from "./network.ts";
import { must, type Output, type RunOptions } from "./process.ts";
import { type BaseName, ensureBase } from "./rootfs.ts";
import { labName, makeLabDir, removeStaleLabs, tearDown } from "./stale.ts";

/** Options of a lab. */
export interface LabOptions {
  /** The number of machines, or the options of each. Default: 3. */
  readonly machines?: number | readonly MachineOptions[];
  /** The number of etcd members; 0: no etcd. Default: 1. */
  readonly etcd?: 0 | 1 | 3;
  /** Further command line flags of each etcd member. */
  readonly etcdFlags?: readonly string[];
  /** Size of a file system of its own for each etcd member, in the format of tmpfs(5). Default: the lab's file system. */
  readonly etcdDisk?: string;
  /** Installs fleet on every machine. */
  readonly fleet?: FleetOptions;
  /** Read-only mounts in every machine. */
  readonly binds?: readonly Bind[];
  /** Files on every machine's disk before its first boot: text by path. */
  readonly files?: Readonly<Record<string, string>>;
}

/** Options of one machine. */
export interface MachineOptions {
  /** Host name, at most seven characters. Default: m1, m2 … */
  readonly name?: string;
  /** Machine ID, 32 hex digits. Default: 0101…, 0202… Two machines may have the same ID. */
  readonly id?: string;
  /** fleet's static metadata, such as `role=web,region=eu`. */
  readonly metadata?: string;
  /** Further options of this machine's fleet.conf. */
  readonly conf?: FleetConf;
  readonly binds?: readonly Bind[];
  readonly files?: Readonly<Record<string, string>>;
  /** The root file system. Default: `plain`. */
  readonly base?: BaseName;
  /** False: the machine stays off until `boot()`. */
  readonly on?: boolean;
}

/** A user of the machines that accepts the lab's SSH key. */
export type User = "root" | "core";

/** Labs of this process that exist: a signal that ends the process removes them first. */
const live = new Set<Lab>();

/** Machines, their network and their etcd. Disposing of the lab removes them from the host. */
export class Lab implements AsyncDisposable {
  readonly machines: Machine[] = [];
  #etcd: LabEtcd | undefined;
  #down: Promise<void> | undefined;

  private constructor(
    /** Unique name of the lab and of its network namespace. */
    readonly name: string,
    /** Directory of the lab's files, in memory. */
    readonly dir: string,
    readonly network: Network,
    private readonly options: LabOptions,
  ) {}

  /**
   * Creates a lab and waits until all its machines and its etcd are up. First removes the labs of test processes that were
   * killed. If this host cannot run a lab, throws with the reason and leaves nothing behind.
   */
  static async create(options: LabOptions = {}): Promise<Lab> {
    const reason = unready();
    if (reason !== undefined) throw new Error(reason);
    await removeStaleLabs();
    const name = labName();
    const lab = new Lab(name, await makeLabDir(name), new Network(name), options);
    register(lab);
    try {
      await lab.#build();
      return lab;
    } catch (error) {
      await lab[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The lab's etcd. Throws if the lab has none. */
  get etcd(): LabEtcd {
    if (this.#etcd === undefined) throw new Error("this lab has no etcd: it was created without etcd");
    return this.#etcd;
  }

  /** Path of the private key for SSH as root or core on every machine. */
  get sshKey(): string {
    return `${this.dir}/ssh/id_ed25519`;
  }

  /** Path of a known_hosts file with the host keys of all machines. */
  get knownHosts(): string {
    return `${this.dir}/ssh/known_hosts`;
  }

  /** Returns the machine with this name. Throws if there is none. */
  machine(name: string): Machine {
    const machine = this.machines.find((machine) => machine.name === name);
    if (machine === undefined) {
      throw new Error(
        `the lab has no machine "${name}": its machines are ${this.machines.map((m) => m.name).join(", ")}`,
      );
    }
    return machine;
  }

  /** Adds a machine to the lab and boots it. */
  async add(options: MachineOptions = {}): Promise<Machine> {
    const nth = this.machines.length + 1;
    const name = options.name ?? `m${nth}`;
    if (!/^[a-z][a-z0-9]{0,6}$/.test(name)) {
      throw new Error(
        `machine name "${name}": expected one to seven lower-case letters and digits, beginning with a letter`,
      );
    }
    const machine = new Machine({
      lab: this.name,
      network: this.network,
      name,
      id: options.id ?? nth.toString(16).padStart(2, "0").repeat(16),
      ip: this.network.address(nth),
      dir: `${this.dir}/${name}`,
      binds: [
        ...this.options.fleet === undefined ? [] : fleetBinds(this.options.fleet),
        ...this.options.binds ?? [],
        ...options.binds ?? [],
      ],
    });
    this.machines.push(machine); // before any await, because the next machine's number depends on it
    await this.#makeDisk(machine, options);
    if (options.on ?? true) await machine.boot();
    return machine;
  }

  /** Runs a program of the host inside the lab's network, and waits for its end. */
  namespaced(command: readonly string[], options?: RunOptions): Promise<Output> {
    return this.network.run(command, options);
  }

  /** Runs a command on a machine over SSH with the lab's key, and checks the host key. */
  ssh(machine: Machine, user: User, command: string, options?: RunOptions): Promise<Output> {
    // deno-fmt-ignore
    return this.namespaced([
      "ssh", "-F", "none", "-i", this.sshKey, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10",
      "-o", "StrictHostKeyChecking=yes", "-o", `UserKnownHostsFile=${this.knownHosts}`,
      `${user}@${machine.ip}`, command,
    ], options);
  }

  /** Copies all journals and logs to a directory below .cache/lab-logs, and prints its path and the end of each. Returns the path. */
  collect(): Promise<string> {
    return collect(this.name, this.machines, this.#etcd?.members ?? []);
  }

  /** Removes the lab from the host: processes, mounts, network, files. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#down ??= this.#tearDown();
    return this.#down;
  }

  async #build(): Promise<void> {
    const { machines = 3, etcd = 1 } = this.options;
    const all = typeof machines === "number" ? Array.from({ length: machines }, () => ({})) : machines;
    if (all.length > 10) raiseInotifyLimit();
    await Promise.all([this.network.create(Math.max(etcd, 1)), this.#makeKey()]);
    const etcd_up = etcd === 0 ? undefined : LabEtcd.start(
      this.network,
      etcd,
      this.dir,
      this.options.etcdFlags,
      this.options.etcdDisk,
    );
    // All must have settled before a failure removes the lab that they use.
    const results = await Promise.allSettled([
      etcd_up?.then((etcd) => this.#etcd = etcd),
      ...all.map((options) => this.add(options)),
    ]);
    for (const result of results) if (result.status === "rejected") throw result.reason;
  }

  async #makeKey(): Promise<void> {
    Deno.mkdirSync(`${this.dir}/ssh`);
    Deno.writeTextFileSync(this.knownHosts, "");
    await must(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", this.name, "-f", this.sshKey]);
  }

  /** Creates a machine's disk: an overlay over the shared root file system. */
  async #makeDisk(machine: Machine, options: MachineOptions): Promise<void> {
    const dir = `${this.dir}/${machine.name}`;
    for (const part of ["upper", "work", "root"]) Deno.mkdirSync(`${dir}/${part}`, { recursive: true });
    const layers = `lowerdir=${await ensureBase(options.base)},upperdir=${dir}/upper,workdir=${dir}/work`;
    await must(["mount", "-t", "overlay", "overlay", "-o", layers, machine.disk]);
    const { network, options: { etcd = 1 } } = this;
    await machine.writeFile("/etc/machine-id", `${machine.id}\n`);
    await machine.writeFile("/etc/hosts", `127.0.0.1 localhost\n127.0.1.1 ${machine.name}\n`);
    await machine.writeFile(
      "/etc/lab-network",
      `ADDRESS=${network.withPrefix(machine.ip)}\nGATEWAY=${network.hosts(1)[0]}\n`,
    );
    await this.#installKeys(machine);
    if (this.options.fleet !== undefined) {
      await installFleet(machine, this.options.fleet, {
        ...etcd === 0 ? {} : { etcd_servers: LabEtcd.endpoints(network, etcd) },
        ...this.options.fleet.conf,
        ...options.metadata === undefined ? {} : { metadata: options.metadata },
        ...options.conf,
      });
    }
    const files = { ...this.options.files, ...options.files };
    for (const [path, text] of Object.entries(files)) await machine.writeFile(path, text);
  }

  async #installKeys(machine: Machine): Promise<void> {
    const host_key = `${machine.disk}/etc/ssh/ssh_host_ed25519_key`;
    await must(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", machine.name, "-f", host_key]);
    const [type, key] = Deno.readTextFileSync(`${host_key}.pub`).split(" ");
    Deno.writeTextFileSync(this.knownHosts, `${machine.ip} ${type} ${key}\n`, { append: true });
    const authorized = Deno.readTextFileSync(`${this.sshKey}.pub`);
    await machine.writeFile("/root/.ssh/authorized_keys", authorized, 0o600);
    await machine.writeFile("/home/core/.ssh/authorized_keys", authorized, 0o600);
    for (const path of ["/home/core/.ssh", "/home/core/.ssh/authorized_keys"]) {
      Deno.chownSync(`${machine.disk}${path}`, 1000, 1000);
    }
  }

  async #tearDown(): Promise<void> {
    await Promise.all(this.machines.map((machine) => machine.powerCut()));
    await Promise.all((this.#etcd?.members ?? []).map((member) => member[Symbol.asyncDispose]()));
    await tearDown(this.name);
    unregister(this);
  }
}

/** Runs `work` in a new lab, and removes the lab afterwards. If `work` throws, the journals and logs are kept. */
export async function withLab<T>(options: LabOptions, work: (lab: Lab) => Promise<T>): Promise<T> {
  await using lab = await Lab.create(options);
  try {
    return await work(lab);
  } catch (error) {
    await lab.collect();
    throw error;
  }
}

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
const on_signal = Object.fromEntries(signals.map((signal) => [signal, () => interrupted(signal)]));

function register(lab: Lab): void {
  if (live.size === 0) { for (const signal of signals) Deno.addSignalListener(signal, on_signal[signal]!); }
  live.add(lab);
}

function unregister(lab: Lab): void {
  live.delete(lab);
  if (live.size === 0) { for (const signal of signals) Deno.removeSignalListener(signal, on_signal[signal]!); }
}

let ending = false;

/** Removes all labs, then lets the signal end the process. */
async function interrupted(signal: Deno.Signal): Promise<void> {
  if (ending) return; // `deno task` passes on a ^C that this process has received from the terminal, too
  ending = true;
  console.error(`\n${signal}: removing the machines, their network and their files (a few seconds)`);
  await Promise.all([...live].map((lab) => lab[Symbol.asyncDispose]()));
  Deno.kill(Deno.pid, signal);
}

/** Raises the limit of inotify instances: a user has 128 by default (inotify(7)), and each systemd takes several. */
function raiseInotifyLimit(): void {
  const path = "/proc/sys/fs/inotify/max_user_instances";
  if (Number(Deno.readTextFileSync(path)) < 4096) Deno.writeTextFileSync(path, "4096");
}
