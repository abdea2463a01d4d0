/** A real etcd server for tests: on a free loopback port, or inside a lab's network namespace. */

import { statfsSync } from "node:fs";
import { ownerLives, ownerMark } from "./owner.ts";
import { kill, must, type Output, run, serve, type Server, until } from "./process.ts";

/** Where and how to start an etcd server; everything has a default that suits a test. */
export interface EtcdOptions {
  /** Directory for data and log. Without it, one is made in memory and removed at the end. */
  readonly dir?: string;
  /** Address to listen on, 127.0.0.1 when not given. */
  readonly address?: string;
  /** Client port; without it a free one. (Inside a namespace every port is free: 2379.) */
  readonly client_port?: number;
  /** Peer port; without it a free one, or 2380 inside a namespace. */
  readonly peer_port?: number;
  /** Path of the network namespace to run in; the host's when not given. */
  readonly netns?: string;
  /** This member's name, "etcd0" when not given. */
  readonly name?: string;
  /** All members as etcd's --initial-cluster wants them; alone when not given. */
  readonly initial_cluster?: string;
  /** More command line flags. */
  readonly flags?: readonly string[];
}

/** etcd preallocates 64 MB of write-ahead log, twice, and a snapshot more. */
const memory_needed_bytes = 512 * 1024 * 1024;

/** One etcd server process (or member of a cluster), which dies with this test process. */
export class EtcdServer implements AsyncDisposable {
  #server: Server | undefined;

  private constructor(
    /** Client URL, `http://address:port`: the same over stop, start and wipe. */
    readonly endpoint: string,
    readonly name: string,
    readonly dir: string,
    private readonly command: readonly string[],
    private readonly enter: readonly string[],
    private readonly made_dir: boolean,
  ) {}

  /** Starts a server and waits until it answers /health. Throws with the end of its log when it does not come up. */
  static async start(options: EtcdOptions = {}): Promise<EtcdServer> {
    const chosen = options.client_port !== undefined || options.netns !== undefined;
    for (let attempt = 1;; attempt++) {
      const etcd = await EtcdServer.prepare(options);
      try {
        await etcd.start();
        return etcd;
      } catch (error) {
        await etcd[Symbol.asyncDispose]();
        // Between finding a port free and etcd taking it, another process may have been quicker.
        if (chosen || attempt === 5 || !String(error).includes("address already in use")) throw error;
      }
    }
  }

  /** A server that is set up but not started: several members of a cluster become healthy only together. */
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
    // A lone member waits for nobody, and starts four times as fast with a short election timeout. It bounds leases too:
    // none can be shorter than one and a half of it.
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

  /** Process ids of what runs for this server: none when it is stopped. */
  get pids(): readonly number[] {
    return this.#server === undefined ? [] : [this.#server.pid];
  }

  /** File with the server's own log. */
  get log(): string {
    return `${this.dir}/etcd.log`;
  }

  /** Starts a stopped server on its old data and address, and waits until it is healthy. */
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

  /** Ends the server with SIGTERM (or at once, like a crash, with `signal: "SIGKILL"`); its data stays. */
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

  /** Freezes the server: its connections stay open and nothing answers, as on a host that hangs. */
  pause(): void {
    this.#signal("SIGSTOP");
    // The signal reaches a thread when it reaches it; until all have stopped, one of them may still answer.
    while (this.#server !== undefined && !threadsStopped(this.#server.pid));
  }

  /** Lets a paused server go on. */
  resume(): void {
    this.#signal("SIGCONT");
  }

  /** Stops the server, deletes all it stored and starts it again on the same address: a new, empty store. */
  async wipe(): Promise<void> {
    await this.stop();
    await Deno.remove(`${this.dir}/data`, { recursive: true });
    await this.start();
  }

  /**
   * Discards all history before the current revision, so that older watches are told they are compacted; `physical`: and
   * waits until its space is free inside the file. Returns the revision.
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

  /** Like `ctl`, and throws when etcdctl fails. Returns its standard output. */
  must(...args: string[]): Promise<string> {
    return must([...this.enter, "etcdctl", `--endpoints=${this.endpoint}`, ...args], { env: { ETCDCTL_API: "3" } });
  }

  /** Ends the server and removes the directory made for it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop("SIGKILL");
    if (this.made_dir) await Deno.remove(this.dir, { recursive: true });
  }

  async #healthy(): Promise<boolean> {
    // This process cannot enter the namespace, so there etcdctl asks in its stead.
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

/** A directory in memory where there is room, since every write of etcd waits for fsync(2); else the usual temporary one. */
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

/** Removes what killed test processes left. */
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
  // All listeners are open at once, so that no port is given out twice.
  const listeners = wanted.map((port) => port === undefined ? Deno.listen({ hostname: address, port: 0 }) : undefined);
  const ports = wanted.map((port, at) => port ?? (listeners[at]!.addr as Deno.NetAddr).port);
  for (const listener of listeners) listener?.close();
  return ports;
}

/** Whether every thread of a process is stopped (proc(5), field 3 of stat). */
function threadsStopped(pid: number): boolean {
  return [...Deno.readDirSync(`/proc/${pid}/task`)].every(({ name }) => {
    return /^\d+ \(.*\) T/s.test(Deno.readTextFileSync(`/proc/${pid}/task/${name}/stat`));
  });
}
