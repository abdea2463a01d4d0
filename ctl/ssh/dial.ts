/**
 * Finds the way to a host: what ~/.ssh/config says of it, the hosts to go through, the keys to show and the key to expect.
 *
 * @module
 */

import { type Io, reasonOf } from "../io.ts";
import { checkOfHost } from "./host_key_check.ts";
import type { Local } from "./local.ts";
import { Passphrases } from "./passphrases.ts";
import { Patience } from "./patience.ts";
import { type Identity, type SshConnection, type SshDoor, SshError } from "./port.ts";
import { readSshConfig } from "./ssh_config_files.ts";
import { type ConfigBlock, hostConfig, type HostSpec, parseHostSpec } from "./ssh_config.ts";

/** How to connect to hosts, as flags say it. */
export interface DialSettings {
  /** User to log in as; undefined if the configuration may say so. */
  readonly user?: string;
  /** Who that is where nobody says so. */
  readonly defaultUser: string;
  /** Private key to use before all others; "" for none. */
  readonly identity: string;
  readonly knownHostsFile: string;
  /** False: the keys of hosts are not verified. */
  readonly strict: boolean;
  readonly timeout_ms: number;
}

/** Where to connect to. */
export interface Destination extends HostSpec {
  /** A connection to go through instead of what the configuration says. */
  readonly through?: SshConnection;
}

/** Hosts that a chain of jumps may have: more is a loop. */
const maxJumps = 8;

/** Private keys that are tried unless the configuration names others (ssh(1)). */
const defaultKeys = ["~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa"];

/** Opens SSH connections. */
export class Dialer {
  #config: Promise<ConfigBlock[]> | undefined;
  readonly #passphrases: Passphrases;

  constructor(
    readonly io: Io,
    readonly local: Local,
    readonly door: SshDoor,
    readonly settings: DialSettings,
  ) {
    this.#passphrases = new Passphrases(io);
  }

  /** Connects to a host. Rejects with {@link SshError}. */
  async connect(destination: Destination): Promise<SshConnection> {
    return await this.#connect(destination, 0);
  }

  async #connect(destination: Destination, depth: number): Promise<SshConnection> {
    if (depth > maxJumps) {
      throw new SshError(`more than ${maxJumps} hosts to go through: does ProxyJump go in circles?`);
    }
    const config = hostConfig(await this.#configuration(), destination.host);
    const host = config.hostName ?? destination.host;
    const port = destination.port ?? config.port ?? 22;
    const user = destination.user ?? this.settings.user ?? config.user ?? this.settings.defaultUser;
    const identities = await this.#identities(config.identityFiles, config.identitiesOnly);
    const through = destination.through ?? await this.#jump(config.jumps, depth);
    const { timeout_ms } = this.settings;
    const late = new SshError(
      `timed out while initiating SSH connection to ${host}:${port} (--ssh-timeout is ${timeout_ms / 1000} seconds)`,
    );
    const patience = new Patience(this.io, timeout_ms, late);
    try {
      return await this.#open({ host, port, user, identities, through, patience, asked: destination.host });
    } finally {
      patience.stop();
    }
  }

  async #open(way: Way): Promise<SshConnection> {
    const { host, port, user, patience, through } = way;
    const { stream, address } = through
      ? { stream: await untilLate(through.toTcp(host, port), patience.signal), address: host }
      : await this.door.tcp(host, port, patience.signal);
    const { io, local, settings } = this;
    const checking = { io, local, file: await this.path(settings.knownHostsFile), strict: settings.strict };
    const names = [...new Set([address, host, way.asked])];
    const check = await checkOfHost(checking, { names, port });
    return await this.door.connect({
      to: `${user}@${host}`,
      user,
      stream,
      identities: way.identities,
      ...(local.agentSocket === undefined ? {} : { agentSocket: local.agentSocket }),
      keyTypes: check.keyTypes,
      verify: (key) => patience.without(() => check.verify(key)),
      passphrase: (path, opens) => patience.without(() => this.#passphrases.of(path, opens)),
    }, patience.signal);
  }

  async #jump(jumps: readonly string[], depth: number): Promise<SshConnection | undefined> {
    let last: SshConnection | undefined;
    for (const jump of jumps) {
      const spec = parseHostSpec(jump);
      if (!spec) throw new SshError(`ProxyJump ${JSON.stringify(jump)} in ~/.ssh/config is not [user@]host[:port]`);
      last = await this.#connect({ ...spec, ...(last ? { through: last } : {}) }, depth + 1);
    }
    return last;
  }

  /** The agent, and every key file that is there. Throws {@link SshError} if that is nothing at all. */
  async #identities(configured: readonly string[], only: boolean): Promise<Identity[]> {
    const { identity } = this.settings;
    const paths = [...(identity ? [identity] : []), ...(configured.length > 0 ? configured : defaultKeys)];
    const files: Identity[] = [];
    for (const path of new Set(await Promise.all(paths.map((path) => this.path(path))))) {
      const text = await this.#readKey(path);
      if (text !== undefined) files.push({ kind: "file", path, text });
      else if (identity && path === await this.path(identity)) {
        throw new SshError(`--ssh-identity: there is no file ${path}`);
      }
    }
    const { agentSocket } = this.local;
    const agent: Identity[] = agentSocket === undefined || only ? [] : [{ kind: "agent", socket: agentSocket }];
    const all = identity ? [...files.slice(0, 1), ...agent, ...files.slice(1)] : [...agent, ...files];
    if (all.length > 0) return all;
    throw new SshError(
      "SSH_AUTH_SOCK environment variable is not set. Verify ssh-agent is running (eval $(ssh-agent); ssh-add), " +
        "or name a private key with --ssh-identity",
    );
  }

  async #readKey(path: string): Promise<string | undefined> {
    try {
      return await this.local.readFile(path);
    } catch (error) {
      this.io.log("WARN", `cannot read the key ${path}: ${reasonOf(error)}`);
      return undefined;
    }
  }

  #configuration(): Promise<ConfigBlock[]> {
    this.#config ??= (async () => {
      const { local } = this;
      try {
        return await readSshConfig({
          readFile: (path) => local.readFile(path),
          list: (directory) => local.list(directory),
          path: (text) => this.path(text),
        });
      } catch (error) {
        this.io.log("WARN", `cannot use ~/.ssh/config: ${reasonOf(error)}`);
        return [];
      }
    })();
    return this.#config;
  }

  /** A path with `~` and `~user` replaced by the home directory. */
  async path(text: string): Promise<string> {
    const [, user, rest] = /^~([^/]*)(.*)$/s.exec(text) ?? [];
    if (user === undefined || rest === undefined) return text;
    if (user === "") return (this.local.home ?? "") + rest;
    const lines = (await this.local.readFile("/etc/passwd") ?? "").split("\n").map((line) => line.split(":"));
    return (lines.find(([name]) => name === user)?.[5] ?? `~${user}`) + rest;
  }
}

interface Way {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** What the user called it. */
  readonly asked: string;
  readonly identities: readonly Identity[];
  readonly through: SshConnection | undefined;
  readonly patience: Patience;
}

async function untilLate<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const late = Promise.withResolvers<never>();
  const give_up = () => late.reject(signal.reason);
  signal.addEventListener("abort", give_up, { once: true });
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    signal.removeEventListener("abort", give_up);
  }
}
