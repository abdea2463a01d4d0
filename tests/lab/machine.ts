/** A machine of a lab: a container with a systemd of its own as PID 1, a disk, an address, and a network cable that can be unplugged. */

import { existsSync } from "node:fs";
import { makeGroups } from "./cgroup.ts";
import type { Network } from "./network.ts";
import { vanished } from "./owner.ts";
import { kill, must, type Output, run, type RunOptions, serve, type Server, until } from "./process.ts";
import { ready_file } from "./rootfs.ts";
import { containerPrefix } from "./stale.ts";

/** A file or directory of the host that a machine mounts read-only. */
export interface Bind {
  readonly host: string;
  readonly guest: string;
}

/** Properties of a machine. */
export interface MachineSetup {
  /** Name of the machine's lab. */
  readonly lab: string;
  readonly network: Network;
  /** Host name, at most seven characters. */
  readonly name: string;
  /** Machine ID, 32 hex digits. */
  readonly id: string;
  readonly ip: string;
  /** Directory for the disk and the console log. */
  readonly dir: string;
  readonly binds: readonly Bind[];
}

const environment = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  HOME: "/root",
  LANG: "C.UTF-8",
};

/** One machine of a lab; off until `boot`. */
export class Machine {
  #running: { readonly supervisor: Server; readonly pid: number } | undefined;
  #partitioned = false;
  #boot_ms = NaN;

  constructor(private readonly setup: MachineSetup) {}

  get name(): string {
    return this.setup.name;
  }

  /** Machine ID, 32 hex digits. */
  get id(): string {
    return this.setup.id;
  }

  get ip(): string {
    return this.setup.ip;
  }

  get running(): boolean {
    return this.#running !== undefined;
  }

  /** PID, on the host, of the machine's PID 1. Throws if the machine is off. */
  get pid(): number {
    if (this.#running === undefined) throw new Error(`machine ${this.name} is off`);
    return this.#running.pid;
  }

  /** Duration of the last boot, until address, bus and sshd were up. */
  get boot_ms(): number {
    return this.#boot_ms;
  }

  /** Root directory of the running machine, with /run and other mounts. An absolute symlink below it resolves to the host's files. */
  get root(): string {
    return `/proc/${this.pid}/root`;
  }

  /** Directory of the disk, also while the machine is off; without /run, /tmp and other mounts. */
  get disk(): string {
    return `${this.setup.dir}/root`;
  }

  /** D-Bus address of the system bus for a client on the host. It changes with every boot. */
  get busAddress(): string {
    return `unix:path=${this.root}/run/dbus/system_bus_socket`;
  }

  /** Path of the log of the container's supervisor and console. */
  get consoleLog(): string {
    return `${this.setup.dir}/console.log`;
  }

  /** Switches the machine on, and waits until address, bus and sshd are up. Throws with its console and journal if it does not boot. */
  async boot({ deadline_ms = 60_000 }: { deadline_ms?: number } = {}): Promise<void> {
    if (this.#running !== undefined) throw new Error(`machine ${this.name} is already on`);
    const start = performance.now();
    const supervisor = serve(this.#command(), this.consoleLog);
    let ended = false;
    supervisor.ended.then(() => ended = true);
    const checkSupervisor = () => {
      if (ended) throw new Error(`its supervisor ended: ${tail(this.consoleLog, 10)}`);
    };
    try {
      const pid = await until(`machine ${this.name} to have a PID 1`, () => {
        return Promise.resolve(ended ? -1 : initOf(supervisor.pid));
      }, { deadline_ms, every_ms: 2 });
      checkSupervisor();
      this.#running = { supervisor, pid };
      if (this.#partitioned) await this.#unplug(deadline_ms);
      await until(`machine ${this.name} to be up`, () => {
        return Promise.resolve(ended || existsSync(`/proc/${pid}/root${ready_file}`) ? true : undefined);
      }, { deadline_ms, every_ms: 5 });
      checkSupervisor();
    } catch (error) {
      kill(supervisor.pid, "SIGKILL");
      await supervisor.ended;
      this.#running = undefined;
      throw new Error(`machine ${this.name} did not boot\n${tail(this.consoleLog, 30)}\n${await this.journal()}`, {
        cause: error,
      });
    }
    this.#boot_ms = performance.now() - start;
  }

  /** Cuts the power: all processes die at once; the disk stays, memory (/run, /tmp) is lost. */
  async powerCut(): Promise<void> {
    const running = this.#running;
    if (running === undefined) return;
    kill(running.pid, "SIGKILL");
    await running.supervisor.ended;
    this.#running = undefined;
  }

  /** Runs `systemctl poweroff`, which stops every unit first, and waits until the machine is off. */
  async shutdown({ deadline_ms = 120_000 }: { deadline_ms?: number } = {}): Promise<void> {
    await this.#powerDown("poweroff", deadline_ms);
  }

  /** Runs `systemctl reboot`, which stops every unit first, and boots the machine again. */
  async reboot({ deadline_ms = 120_000 }: { deadline_ms?: number } = {}): Promise<void> {
    await this.#powerDown("reboot", deadline_ms);
    await this.boot();
  }

  /** Unplugs the network cable: packets are dropped silently in both directions, over boots too, until `heal`. */
  async partition(): Promise<void> {
    this.#partitioned = true;
    if (this.running) await this.setup.network.set(this.#link, "down");
  }

  /** Plugs the network cable in again. */
  async heal(): Promise<void> {
    this.#partitioned = false;
    if (this.running) await this.setup.network.set(this.#link, "up");
  }

  /**
   * Loses what etcd sends to this machine: neither side notices the cut, and the machine still reaches the other machines.
   * Lasts until `reachEtcd`.
   */
  async loseEtcd(): Promise<void> {
    await this.setup.network.must(["ip", "route", "add", "blackhole", this.ip]);
  }

  /** Ends `loseEtcd`. */
  async reachEtcd(): Promise<void> {
    await this.setup.network.must(["ip", "route", "del", "blackhole", this.ip]);
  }

  /**
   * Makes the machine's cable slow in both directions: packets above the rate (such as "128kbit", tc-tbf(8)) are delayed by
   * up to 400 ms, and dropped above that. Lasts until `clearNetwork` or a power cut.
   */
  async slowNetwork(rate: string): Promise<void> {
    const tbf = ["root", "tbf", "rate", rate, "burst", "2kb", "latency", "400ms"];
    await this.setup.network.must(["tc", "qdisc", "replace", "dev", this.#link, ...tbf]);
    await this.#host(["tc", "qdisc", "replace", "dev", "host0", ...tbf]);
  }

  /** Drops packets of the machine's cable at random, in both directions. Lasts until `clearNetwork` or a power cut. */
  async losePackets(percent: number): Promise<void> {
    const table = (link: string) =>
      `table netdev lab_${this.name} {\n chain loss {\n  type filter hook ingress device "${link}" priority 0;\n` +
      `  numgen random mod 100 < ${percent} counter drop\n }\n}\n`;
    await this.setup.network.must(["nft", "-f", "-"], { stdin: table(this.#link) });
    await this.#host(["nft", "-f", "-"], { stdin: table("host0") });
  }

  /** Ends `slowNetwork` and `losePackets`. Returns how many packets they delayed or dropped. */
  async clearNetwork(): Promise<number> {
    const { network } = this.setup;
    const ends = [
      [this.#link, (command: string[]) => network.run(command)],
      ["host0", (command: string[]) => run(this.#insideNetwork(command))],
    ] as const;
    let harmed = 0;
    for (const [link, execute] of ends) {
      const shown = await execute(["tc", "-s", "qdisc", "show", "dev", link]);
      const counted = await execute(["nft", "list", "table", "netdev", `lab_${this.name}`]);
      const counts = `${shown.stdout}${counted.stdout}`.matchAll(/(?:overlimits|counter packets) (\d+)/g);
      for (const [, count] of counts) harmed += Number(count);
      await execute(["tc", "qdisc", "del", "dev", link, "root"]);
      await execute(["nft", "delete", "table", "netdev", `lab_${this.name}`]);
    }
    return harmed;
  }

  /** Runs a program of the host in the network of this machine. Throws if it fails. */
  async #host(command: readonly string[], options: RunOptions = {}): Promise<void> {
    await must(this.#insideNetwork(command), options);
  }

  #insideNetwork(command: readonly string[]): string[] {
    return ["nsenter", "--target", `${this.pid}`, "--net", "--", ...command];
  }

  /** Runs a program in the machine as root, and waits for its end. */
  run(command: readonly string[], options: RunOptions = {}): Promise<Output> {
    return run(this.#inside(command), { ...options, env: { ...environment, ...options.env }, clear_env: true });
  }

  /** Like `run`, but throws with the program's output if it fails. Returns its standard output. */
  must(command: readonly string[], options: RunOptions = {}): Promise<string> {
    return must(this.#inside(command), { ...options, env: { ...environment, ...options.env }, clear_env: true });
  }

  /** Runs a shell script in the machine. Throws if it fails. Returns its standard output. */
  sh(script: string, options: RunOptions = {}): Promise<string> {
    return this.must(["sh", "-ec", script], options);
  }

  /** Writes a file in the machine, or on its disk while it is off, and creates missing directories. */
  async writeFile(path: string, text: string, mode = 0o644): Promise<void> {
    if (this.running) {
      // Renamed into place, so that a program never reads a half-written file.
      const script = `mkdir -p "$(dirname "$1")"; n=$(mktemp "$1.XXXXXX"); cat >"$n"; chmod "$2" "$n"; mv "$n" "$1"`;
      await this.must(["sh", "-ec", script, "sh", path, mode.toString(8)], { stdin: text });
      return;
    }
    const target = `${this.disk}${path}`;
    Deno.mkdirSync(target.slice(0, target.lastIndexOf("/")), { recursive: true });
    Deno.writeTextFileSync(target, text);
    Deno.chmodSync(target, mode);
  }

  /** Returns the journal of one unit or of all, over all boots; also while the machine is off. */
  async journal(unit?: string): Promise<string> {
    // The machine's own journalctl, since another version may be unable to read the files.
    const command = [
      "chroot",
      this.disk,
      "journalctl",
      "--directory=/var/log/journal",
      "--no-pager",
      "--output=short-precise",
    ];
    const { code, stdout, stderr } = await run([...command, ...unit === undefined ? [] : [`--unit=${unit}`]]);
    return code === 0 ? stdout : `${stdout}(journalctl failed with code ${code}: ${stderr.trim()})\n`;
  }

  /** Returns the random ID that the kernel gives each boot. */
  async bootId(): Promise<string> {
    return (await this.must(["cat", "/proc/sys/kernel/random/boot_id"])).trim();
  }

  async #powerDown(verb: "poweroff" | "reboot", deadline_ms: number): Promise<void> {
    const { supervisor } = this.#running ?? {};
    if (supervisor === undefined) throw new Error(`machine ${this.name} is off`);
    let ended = false;
    supervisor.ended.then(() => ended = true);
    await this.must(["systemctl", "--no-block", verb]);
    await until(`machine ${this.name} to ${verb}`, () => Promise.resolve(ended || undefined), { deadline_ms });
    this.#running = undefined;
  }

  /** Retries, because the link may not exist yet when PID 1 does. */
  async #unplug(deadline_ms: number): Promise<void> {
    await until(`the cable of machine ${this.name}`, async () => {
      await this.setup.network.set(this.#link, "down");
      return true;
    }, { deadline_ms, every_ms: 2 });
  }

  /** Name of the link at the host's end of the cable. */
  get #link(): string {
    return `vb-${this.#container}`;
  }

  get #container(): string {
    return `${containerPrefix(this.setup.lab)}-${this.name}`;
  }

  #inside(command: readonly string[]): string[] {
    // nsenter waits outside for the program inside; if nsenter is killed, the program must end too.
    return ["nsenter", "--target", `${this.pid}`, "--all", "setpriv", "--pdeathsig", "KILL", "--", ...command];
  }

  #command(): string[] {
    const groups = makeGroups(this.setup.lab, this.name).map((dir) => `${dir}/cgroup.procs`).join(" ");
    // deno-fmt-ignore
    return [
      "sh", "-ec", 'for group in $1; do echo $$ >"$group"; done; shift; exec "$@"', "sh", groups,
      // Only the unified hierarchy, as on current distributions, even if this host is hybrid.
      "env", "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1",
      ...this.setup.network.inside(["systemd-nspawn"]),
      "--quiet", "--boot", "--settings=no", "--register=no", "--keep-unit", "--notify-ready=no",
      `--directory=${this.disk}`, `--machine=${this.#container}`, `--hostname=${this.name}`, `--uuid=${this.id}`,
      `--network-bridge=${this.setup.network.bridge}`,
      "--resolv-conf=off", "--timezone=off", "--link-journal=no", "--console=pipe",
      ...this.setup.binds.map(({ host, guest }) => `--bind-ro=${host}:${guest}`),
    ];
  }
}

/** Returns the PID of the supervisor's child that is PID 1 in its own namespace; undefined while there is none. */
function initOf(supervisor: number): number | undefined {
  let children: string;
  try {
    children = Deno.readTextFileSync(`/proc/${supervisor}/task/${supervisor}/children`);
  } catch (error) {
    if (vanished(error)) return undefined;
    throw error;
  }
  return children.split(" ").filter((pid) => pid !== "").map(Number).find((pid) => {
    try {
      return /^NSpid:\t\d+\t1$/m.test(Deno.readTextFileSync(`/proc/${pid}/status`));
    } catch (error) {
      if (vanished(error)) return false;
      throw error;
    }
  });
}

/** Returns the last `lines` lines of a file, or `(no FILE)` if it does not exist. */
export function tail(file: string, lines: number): string {
  if (!existsSync(file)) return `(no ${file})`;
  return Deno.readTextFileSync(file).trimEnd().split("\n").slice(-lines).join("\n");
}
