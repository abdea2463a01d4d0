/** A real etcd server for tests: on a free loopback port, or in a lab's network namespace. */

import { statfsSync } from "node:fs";
import { ownerLives, ownerMark } from "./owner.ts";
import { kill, must, type Output, run, serve, type Server, until } from "./process.ts";

/** Options of an etcd server. The defaults suit tests. */
export interface EtcdOptions {
  /** Directory for data and log. Default: a new one in memory, which is removed at the end. */
  readonly dir?: string;
  /** Address to listen on. Default: 127.0.0.1. */
  readonly address?: string;
  /** Client port. Default: a free one, or 2379 inside a namespace. */
  readonly client_port?: number;
  /** Peer port. Default: a free one, or 2380 inside a namespace. */
  readonly peer_port?: number;
  /** Path of the network namespace to run in. Default: the host's. */
  readonly netns?: string;
  /** Name of this member. Default: "etcd0". */
  readonly name?: string;
  /** All members, in the format of etcd's --initial-cluster. Default: this member alone. */
  readonly initial_cluster?: string;
  /** Further command line flags. */
  readonly flags?: readonly string[];
}

/** Enough for two preallocated files of the write-ahead log, 64 MB each, and a snapshot. */
const memory_needed_bytes = 512 * 1024 * 1024;

/** One etcd server process, alone or a member of a cluster. The kernel kills it when this test process ends. */
export class EtcdServer implements AsyncDisposable {
  #server: Server & { over?: boolean } | undefined;

  private constructor(
    /** Client URL, `http://address:port`. It stays the same over stop, start and wipe. */
    readonly endpoint: string,
    readonly name: string,
    readonly dir: string,
    private readonly command: readonly string[],
    private readonly enter: readonly string[],
    private readonly made_dir: boolean,
  ) {}

  /** Starts a server and waits until it is healthy. Throws with the end of its log if it does not become healthy. */
  static async start(options: EtcdOptions = {}): Promise<EtcdServer> {
    const chosen = options.client_port !== undefined || options.netns !== undefined;
    for (let attempt = 1;; attempt++) {
      const etcd = await EtcdServer.prepare(options);
      try {
        await etcd.start();
        return etcd;
      } catch (error) {
        await etcd[Symbol.asyncDispose]();
        // Another process may have taken the port after it was found to be free.
        if (chosen || attempt === 5 || !String(error).includes("address already in use")) throw error;
      }
    }
  }

  /** Sets a server up without starting it, because the members of a cluster become healthy only together. */
  static async prepare(options: EtcdOptions = {}): Promise<EtcdServer> {
    const address = options.address ?? "127.0.0.1";
    const [client_port, peer_port] = options.netns === undefined
      ? freePorts(address, options.client_port, options.peer_port)
      : [options.client_port ?? 2379, options.peer_port ?? 2380];
    const name = options.name ?? "etcd0";
    const dir = options.dir ?? await Deno.makeTempDir({ dir: memoryDir(), prefix: `${prefix}${ownerMark()}-` });
    const client = `http://${address}:${client_port}`;
    const peer = `http://${address}:${peer_port}`;
    const enter = options.netns === undefined ? [] : ["nsenter", `--net=${options.netns}`];
    // A single member needs no other for its election, and starts four times as fast with a short election timeout. The
    // timeout also bounds leases: the shortest TTL is one and a half times the election timeout.
    const alone = options.initial_cluster === undefined;
    // deno-fmt-ignore
    const command = [
      ...enter, "etcd", "--name", name, "--data-dir", `${dir}/data`,
      "--listen-client-urls", client, "--advertise-client-urls", client,
      "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
      "--initial-cluster", options.initial_cluster ?? `${name}=${peer}`,
      ...alone ? ["--heartbeat-interval", "20", "--election-timeout", "200"] : ["--heartbeat-interval", "100", "--election-timeout", "1000"],
      "--logger", "zap", ...options.flags ?? [],
    ];
    return new EtcdServer(client, name, dir, command, enter, options.dir === undefined);
  }

  /** The PID of the server's process; empty while it is stopped. */
  get pids(): readonly number[] {
    return this.#server === undefined ? [] : [this.#server.pid];
  }

  /** True while the server's process exists: false after it was stopped, and after it ended by itself. */
  get running(): boolean {
    return this.#server !== undefined && !this.#server.over;
  }

  /** Path of the server's log. */
  get log(): string {
    return `${this.dir}/etcd.log`;
  }

  /** Starts a stopped server with its data and on its address, and waits until it is healthy. */
  async start(): Promise<void> {
    if (this.#server !== undefined) throw new Error(`etcd at ${this.endpoint} is already running`);
    const server: Server & { over?: boolean } = serve(this.command, this.log);
    this.#server = server;
    server.ended.then(() => server.over = true);
    const ended = server.ended.then((status) => {
      throw new Error(`etcd at ${this.endpoint} ended with code ${status.code}: ${this.#logTail()}`);
    });
    const watching = { over: false };
    const healthy = until(`etcd at ${this.endpoint} to be healthy`, async () => {
      return watching.over || await this.#healthy() ? true : undefined;
    });
    try {
      await Promise.race([healthy, ended]);
    } catch (error) {
      watching.over = true;
      await healthy.catch(() => undefined); // `error` holds the reason
      throw error;
    }
    ended.catch(() => undefined); // from here on, stop() handles the end
  }

  /** Stops the server with SIGTERM, or with SIGKILL as a crash would. Its data stays. */
  async stop(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#signal(signal);
    this.#signal("SIGCONT");
    const killer = setTimeout(() => this.#signal("SIGKILL"), 5_000);
    await server.ended;
    clearTimeout(killer);
    this.#server = undefined;
  }

  /** Pauses the server with SIGSTOP, as if its host hung: connections stay open, requests get no response. */
  pause(): void {
    this.#signal("SIGSTOP");
    // Threads stop one after the other; until the last has stopped, the server may still respond.
    while (this.#server !== undefined && !threadsStopped(this.#server.pid));
  }

  /** Resumes a paused server. */
  resume(): void {
    this.#signal("SIGCONT");
  }

  /** Stops the server, deletes its data, and starts it on the same address with an empty store. */
  async wipe(): Promise<void> {
    await this.stop();
    await Deno.remove(`${this.dir}/data`, { recursive: true });
    await this.start();
  }

  /**
   * Discards all history before the current revision, so that watches from an older revision fail as compacted. With
   * `physical`, also waits until the space is free inside the database file. Returns the revision.
   */
  async compact({ physical = false } = {}): Promise<number> {
    const status = JSON.parse(await this.must("endpoint", "status", "--write-out=json"));
    const revision: number = status[0].Status.header.revision;
    await this.must("compact", `--physical=${physical}`, `${revision}`);
    return revision;
  }

  /** See {@link import("./etcd_cluster.ts").LabEtcd.reclaimSpace}. */
  async reclaimSpace(): Promise<void> {
    await this.compact({ physical: true });
    await this.must("defrag");
    await this.must("alarm", "disarm");
  }

  /** Runs etcdctl (API version 3) against this server. */
  ctl(...args: string[]): Promise<Output> {
    return run([...this.enter, "etcdctl", `--endpoints=${this.endpoint}`, ...args], { env: { ETCDCTL_API: "3" } });
  }

  /** Runs etcdctl as {@link ctl} does, with a text on its standard input. */
  ctlWith(stdin: string, ...args: string[]): Promise<Output> {
    return run([...this.enter, "etcdctl", `--endpoints=${this.endpoint}`, ...args], {
      env: { ETCDCTL_API: "3" },
      stdin,
    });
  }

  /** Runs etcdctl as {@link ctl} does, and returns its standard output. Throws if it fails. */
  must(...args: string[]): Promise<string> {
    return must([...this.enter, "etcdctl", `--endpoints=${this.endpoint}`, ...args], { env: { ETCDCTL_API: "3" } });
  }

  /** Deletes keys in one transaction. */
  async deleteTogether(keys: readonly string[]): Promise<void> {
    const stdin = `\n${keys.map((key) => `del ${key}\n`).join("")}\n\n`;
    const command = [...this.enter, "etcdctl", `--endpoints=${this.endpoint}`, "txn"];
    await must(command, { stdin, env: { ETCDCTL_API: "3" } });
  }

  /** Kills the server, and removes its directory if `prepare` created it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop("SIGKILL");
    if (this.made_dir) await Deno.remove(this.dir, { recursive: true });
  }

  async #healthy(): Promise<boolean> {
    // This process cannot enter the namespace; etcdctl can.
    if (this.enter.length > 0) return (await this.ctl("endpoint", "health")).code === 0;
    const response = await fetch(`${this.endpoint}/health`, { signal: AbortSignal.timeout(1_000) });
    return (await response.text()).includes("true");
  }

  #signal(signal: Deno.Signal): void {
    if (this.#server === undefined) throw new Error(`etcd at ${this.endpoint} is not running`);
    kill(this.#server.pid, signal);
  }

  #logTail(): string {
    return Deno.readTextFileSync(this.log).trimEnd().split("\n").slice(-5).join("\n");
  }
}

const prefix = "fleet-etcd-";

/**
 * Returns /dev/shm, which is in memory, because every write of etcd waits for fsync(2); the temporary directory if /dev/shm
 * has too little space. Throws if both have.
 */
function memoryDir(): string {
  for (const dir of ["/dev/shm", Deno.env.get("TMPDIR") ?? "/tmp"]) {
    let space;
    try {
      space = statfsSync(dir);
    } catch {
      continue; // does not exist or is not accessible
    }
    if (space.bavail * space.bsize < memory_needed_bytes) continue;
    removeStale(dir);
    return dir;
  }
  throw new Error(
    `no space for etcd: neither /dev/shm nor the temporary directory has ${memory_needed_bytes} bytes free`,
  );
}

/** Removes the directories of test processes that were killed. */
function removeStale(dir: string): void {
  for (const { name } of Deno.readDirSync(dir)) {
    const mark = name.startsWith(prefix) && name.slice(prefix.length).split("-").slice(0, 2).join("-");
    if (!mark || ownerLives(mark)) continue;
    try {
      Deno.removeSync(`${dir}/${name}`, { recursive: true });
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error; // another test process has removed it
    }
  }
}

function freePorts(address: string, ...wanted: (number | undefined)[]): number[] {
  // All listeners are open at once, so that no port is returned twice.
  const listeners = wanted.map((port) => port === undefined ? Deno.listen({ hostname: address, port: 0 }) : undefined);
  const ports = wanted.map((port, at) => port ?? (listeners[at]!.addr as Deno.NetAddr).port);
  for (const listener of listeners) listener?.close();
  return ports;
}

/** True if every thread of a process is stopped (proc(5), field 3 of stat). */
function threadsStopped(pid: number): boolean {
  return [...Deno.readDirSync(`/proc/${pid}/task`)].every(({ name }) => {
    return /^\d+ \(.*\) T/s.test(Deno.readTextFileSync(`/proc/${pid}/task/${name}/stat`));
  });
}
