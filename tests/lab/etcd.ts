/** A real etcd server for tests: on a free loopback port, or in a lab's network namespace. */

import { statfsSync } from "node:fs";
import { ownerLives, ownerMark } from "./owner.ts";
import { kill, must, type Output, run, serve, type Server, until } from "./process.ts";

/** Options of an etcd server. All have defaults that suit a test. */
export interface EtcdOptions {
  /** Directory for data and log. By default, one in memory that is removed at the end. */
  readonly dir?: string;
  /** Address to listen on; default 127.0.0.1. */
  readonly address?: string;
  /** Client port; default a free one, or 2379 in a namespace. */
  readonly client_port?: number;
  /** Peer port; default a free one, or 2380 in a namespace. */
  readonly peer_port?: number;
  /** Path of the network namespace to run in; default the host's. */
  readonly netns?: string;
  /** This member's name; default "etcd0". */
  readonly name?: string;
  /** All members, in the format of etcd's --initial-cluster; default this one alone. */
  readonly initial_cluster?: string;
  /** Further command line flags. */
  readonly flags?: readonly string[];
}

/** etcd preallocates two write-ahead logs of 64 MB, and needs space for a snapshot. */
const memory_needed_bytes = 512 * 1024 * 1024;

/** One etcd server, alone or a member of a cluster. It ends with this test process. */
export class EtcdServer implements AsyncDisposable {
  #server: Server | undefined;

  private constructor(
    /** Client URL, `http://address:port`. It does not change with stop, start and wipe. */
    readonly endpoint: string,
    readonly name: string,
    readonly dir: string,
    private readonly command: readonly string[],
    private readonly enter: readonly string[],
    private readonly made_dir: boolean,
  ) {}

  /** Starts a server and waits until it answers /health. Throws an error with the end of its log if it does not start. */
  static async start(options: EtcdOptions = {}): Promise<EtcdServer> {
    const chosen = options.client_port !== undefined || options.netns !== undefined;
    for (let attempt = 1;; attempt++) {
      const etcd = await EtcdServer.prepare(options);
      try {
        await etcd.start();
        return etcd;
      } catch (error) {
        await etcd[Symbol.asyncDispose]();
        // Another process may have taken the free port before etcd did.
        if (chosen || attempt === 5 || !String(error).includes("address already in use")) throw error;
      }
    }
  }

  /** Prepares a server without starting it: members of a cluster become healthy only together. */
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
    // A single member starts four times as fast with a short election timeout. The timeout also limits leases: none can be
    // shorter than one and a half of it.
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

  /** IDs of the server's processes; none when it is stopped. */
  get pids(): readonly number[] {
    return this.#server === undefined ? [] : [this.#server.pid];
  }

  /** File with the server's own log. */
  get log(): string {
    return `${this.dir}/etcd.log`;
  }

  /** Starts a stopped server with its old data and address, and waits until it is healthy. */
  async start(): Promise<void> {
    if (this.#server !== undefined) throw new Error(`etcd at ${this.endpoint} is already running`);
    const server = serve(this.command, this.log);
    this.#server = server;
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
      await healthy.catch(() => undefined); // the reason is already on its way up
      throw error;
    }
    ended.catch(() => undefined); // from here on, ending is what stop() is for
  }

  /** Ends the server with SIGTERM, or like a crash with `signal: "SIGKILL"`. Its data stays. */
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

  /** Freezes the server: its connections stay open and it does not answer, as on a host that hangs. */
  pause(): void {
    this.#signal("SIGSTOP");
    // The signal reaches one thread after the other; until all have stopped, one of them may still answer.
    while (this.#server !== undefined && !threadsStopped(this.#server.pid));
  }

  /** Continues a paused server. */
  resume(): void {
    this.#signal("SIGCONT");
  }

  /** Replaces the store by an empty one on the same address. */
  async wipe(): Promise<void> {
    await this.stop();
    await Deno.remove(`${this.dir}/data`, { recursive: true });
    await this.start();
  }

  /**
   * Compacts the history before the current revision, so that older watches end as compacted. `physical`: also waits until
   * its space is free inside the file. Returns the revision.
   */
  async compact({ physical = false } = {}): Promise<number> {
    const status = JSON.parse(await this.must("endpoint", "status", "--write-out=json"));
    const revision: number = status[0].Status.header.revision;
    await this.must("compact", `--physical=${physical}`, `${revision}`);
    return revision;
  }

  /** See {@link import("./etcd_cluster.ts").LabEtcd.mend}. */
  async mend(): Promise<void> {
    await this.compact({ physical: true });
    await this.must("defrag");
    await this.must("alarm", "disarm");
  }

  /** Runs etcdctl (API version 3) against this server. */
  ctl(...args: string[]): Promise<Output> {
    return run([...this.enter, "etcdctl", `--endpoints=${this.endpoint}`, ...args], { env: { ETCDCTL_API: "3" } });
  }

  /** Runs etcdctl as {@link ctl} does, and returns its standard output. Throws if it fails. */
  must(...args: string[]): Promise<string> {
    return must([...this.enter, "etcdctl", `--endpoints=${this.endpoint}`, ...args], { env: { ETCDCTL_API: "3" } });
  }

  /** Ends the server and removes its temporary directory. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop("SIGKILL");
    if (this.made_dir) await Deno.remove(this.dir, { recursive: true });
  }

  async #healthy(): Promise<boolean> {
    // This process cannot enter the namespace: there it uses etcdctl.
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

/** Returns a directory in memory if it has space, because every write of etcd waits for fsync(2); else a temporary one. */
function memoryDir(): string {
  for (const dir of ["/dev/shm", Deno.env.get("TMPDIR") ?? "/tmp"]) {
    let room;
    try {
      room = statfsSync(dir);
    } catch {
      continue; // not there, or not for us
    }
    if (room.bavail * room.bsize < memory_needed_bytes) continue;
    removeStale(dir);
    return dir;
  }
  throw new Error(
    `no room for etcd: neither /dev/shm nor the temporary directory has ${memory_needed_bytes} bytes free`,
  );
}

/** Removes the directories of killed test processes. */
function removeStale(dir: string): void {
  for (const { name } of Deno.readDirSync(dir)) {
    const mark = name.startsWith(prefix) && name.slice(prefix.length).split("-").slice(0, 2).join("-");
    if (!mark || ownerLives(mark)) continue;
    try {
      Deno.removeSync(`${dir}/${name}`, { recursive: true });
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error; // another test process was quicker
    }
  }
}

function freePorts(address: string, ...wanted: (number | undefined)[]): number[] {
  // All listeners are open at the same time, so that each port is different.
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
