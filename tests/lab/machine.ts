/** A machine of a lab: a container with its own systemd, a disk, an address and a network cable. */

import { existsSync } from "node:fs";
import { makeGroups } from "./cgroup.ts";
import type { Network } from "./network.ts";
import { vanished } from "./owner.ts";
import { kill, must, type Output, run, type RunOptions, serve, type Server, until } from "./process.ts";
import { ready_file } from "./rootfs.ts";
import { containerPrefix } from "./stale.ts";

/** A file or directory of the host, mounted read-only in a machine. */
export interface Bind {
  readonly host: string;
  readonly guest: string;
}

/** The parts of a machine. */
export interface MachineSetup {
  /** Name of the machine's lab. */
  readonly lab: string;
  readonly network: Network;
  /** Host name, at most seven characters. */
  readonly name: string;
  /** Machine ID, 32 hex digits. */
  readonly id: string;
  readonly ip: string;
  /** Directory for its disk and its console log. */
  readonly dir: string;
  readonly binds: readonly Bind[];
}

const environment = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  HOME: "/root",
  LANG: "C.UTF-8",
};

/** One machine, made by a lab. It is off until `boot`. */
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

  /** Pid, on the host, of the machine's PID 1. Throws when the machine is off. */
  get pid(): number {
    if (this.#running === undefined) throw new Error(`machine ${this.name} is off`);
    return this.#running.pid;
  }

  /** Time of the last boot until address, bus and sshd were up. */
  get boot_ms(): number {
    return this.#boot_ms;
  }

  /** The root of the running machine, with /run. Beware: an absolute symlink below it leads to the host's files. */
  get root(): string {
    return `/proc/${this.pid}/root`;
  }

  /** The disk, also while the machine is off; without /run, /tmp and other mounts. */
  get disk(): string {
    return `${this.setup.dir}/root`;
  }

  /** D-Bus address of the system bus, for a client on the host. It changes with every boot. */
  get busAddress(): string {
    return `unix:path=${this.root}/run/dbus/system_bus_socket`;
  }

  /** File with the output of the container's supervisor and console. */
  get consoleLog(): string {
    return `${this.setup.dir}/console.log`;
  }

  /** Boots the machine and waits until it can be used. Throws an error with its console if it does not start. */
  async boot({ deadline_ms = 60_000 }: { deadline_ms?: number } = {}): Promise<void> {
    if (this.#running !== undefined) throw new Error(`machine ${this.name} is already on`);
    const start = performance.now();
    const supervisor = serve(this.#command(), this.consoleLog);
    let ended = false;
    supervisor.ended.then(() => ended = true);
    const stillOn = () => {
      if (ended) throw new Error(`its supervisor ended: ${tail(this.consoleLog, 10)}`);
    };
    try {
      const pid = await until(`machine ${this.name} to have a PID 1`, () => {
        return Promise.resolve(ended ? -1 : initOf(supervisor.pid));
      }, { deadline_ms, every_ms: 2 });
      stillOn();
      this.#running = { supervisor, pid };
      if (this.#partitioned) await this.#pullCable(deadline_ms);
      await until(`machine ${this.name} to be up`, () => {
        return Promise.resolve(ended || existsSync(`/proc/${pid}/root${ready_file}`) ? true : undefined);
      }, { deadline_ms, every_ms: 5 });
      stillOn();
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

  /** Cuts the power: all processes end at once. The disk stays; /run and /tmp are lost. */
  async powerCut(): Promise<void> {
    const running = this.#running;
    if (running === undefined) return;
    kill(running.pid, "SIGKILL");
    await running.supervisor.ended;
    this.#running = undefined;
  }

  /** Powers the machine off, as `systemctl poweroff` does: every unit is stopped first. */
  async shutdown({ deadline_ms = 120_000 }: { deadline_ms?: number } = {}): Promise<void> {
    await this.#leave("poweroff", deadline_ms);
  }

  /** Reboots the machine, as `systemctl reboot` does: every unit is stopped first. */
  async reboot({ deadline_ms = 120_000 }: { deadline_ms?: number } = {}): Promise<void> {
    await this.#leave("reboot", deadline_ms);
    await this.boot();
  }

  /** Pulls the network cable: no packet goes in or out, without an error. It stays pulled over boots until `heal`. */
  async partition(): Promise<void> {
    this.#partitioned = true;
    if (this.running) await this.setup.network.set(this.#link, "down");
  }

  /** Plugs the cable in again. */
  async heal(): Promise<void> {
    this.#partitioned = false;
    if (this.running) await this.setup.network.set(this.#link, "up");
  }

  /** Runs a program in the machine as root. */
  run(command: readonly string[], options: RunOptions = {}): Promise<Output> {
    return run(this.#inside(command), { ...options, env: { ...environment, ...options.env }, clear_env: true });
  }

  /** Runs a program and returns its standard output. Throws an error with its output if it fails. */
  must(command: readonly string[], options: RunOptions = {}): Promise<string> {
    return must(this.#inside(command), { ...options, env: { ...environment, ...options.env }, clear_env: true });
  }

  /** Runs a shell script in the machine and returns its standard output. Throws if it fails. */
  sh(script: string, options: RunOptions = {}): Promise<string> {
    return this.must(["sh", "-ec", script], options);
  }

  /** Writes a file and its directories in the machine, or on its disk when it is off. */
  async writeFile(path: string, text: string, mode = 0o644): Promise<void> {
    if (this.running) {
      // Renamed into place, so that a reader never finds an incomplete file.
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
    // Uses the machine's journalctl, because another version may be unable to read its files.
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

  /** The random ID that the kernel gives each boot. */
  async bootId(): Promise<string> {
    return (await this.must(["cat", "/proc/sys/kernel/random/boot_id"])).trim();
  }

  async #leave(verb: "poweroff" | "reboot", deadline_ms: number): Promise<void> {
    const { supervisor } = this.#running ?? {};
    if (supervisor === undefined) throw new Error(`machine ${this.name} is off`);
    let ended = false;
    supervisor.ended.then(() => ended = true);
    await this.must(["systemctl", "--no-block", verb]);
    await until(`machine ${this.name} to ${verb}`, () => Promise.resolve(ended || undefined), { deadline_ms });
    this.#running = undefined;
  }

  /** Waits for the cable, which may appear after PID 1. */
  async #pullCable(deadline_ms: number): Promise<void> {
    await until(`the cable of machine ${this.name}`, async () => {
      await this.setup.network.set(this.#link, "down");
      return true;
    }, { deadline_ms, every_ms: 2 });
  }

  /** The host's end of the cable. */
  get #link(): string {
    return `vb-${this.#container}`;
  }

  get #container(): string {
    return `${containerPrefix(this.setup.lab)}-${this.name}`;
  }

  #inside(command: readonly string[]): string[] {
    // nsenter waits for the program in the machine; when nsenter is killed, the program must end as well.
    return ["nsenter", "--target", `${this.pid}`, "--all", "setpriv", "--pdeathsig", "KILL", "--", ...command];
  }

  #command(): string[] {
    const groups = makeGroups(this.setup.lab, this.name).map((dir) => `${dir}/cgroup.procs`).join(" ");
    // deno-fmt-ignore
    return [
      "sh", "-ec", 'for group in $1; do echo $$ >"$group"; done; shift; exec "$@"', "sh", groups,
      // Real machines have only the unified hierarchy, also if this host is a hybrid.
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

/** Returns the ID of the supervisor's child that is PID 1 in its namespace; undefined if there is none. */
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

/** Returns the last `lines` of a file, or a sentence if it is missing. */
export function tail(file: string, lines: number): string {
  if (!existsSync(file)) return `(no ${file})`;
  return Deno.readTextFileSync(file).trimEnd().split("\n").slice(-lines).join("\n");
}
