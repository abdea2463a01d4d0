/**
 * Connects to hosts: applies ~/.ssh/config, goes through jump hosts, chooses the keys to log in with, and verifies the
 * keys of hosts.
 *
 * @module
 */

import { type Io, reasonOf } from "../terminal/port.ts";
import { checkOfHost } from "./host_key.ts";
import type { HostName } from "./known_hosts.ts";
import type { SshEnvironment } from "./local_machine.ts";
import { Passphrases } from "./passphrases.ts";
import { openUnlessAborted, PausableTimeout } from "./timeout.ts";
import { type SshConnection, type SshConnector, SshError, type SshIdentity } from "./port.ts";
import { readSshConfig } from "./config_include.ts";
import { type ConfigBlock, expandTokens, type HostConfig, hostConfig, type HostSpec, parseHostSpec } from "./config.ts";

/** Connection settings that flags set. */
export interface DialSettings {
  /** User to log in as; undefined if the configuration decides. */
  readonly user?: string;
  /** User to log in as if neither a flag nor the configuration names one. */
  readonly defaultUser: string;
  /** Path of the private key to try first; "" for none. */
  readonly identity: string;
  readonly knownHostsFile: string;
  /** False: the keys of hosts are not verified. */
  readonly strict: boolean;
  readonly timeout_ms: number;
}

/** The host to connect to. */
export interface Destination extends HostSpec {
  /** A connection to go through instead of the jump hosts of the configuration. */
  readonly through?: SshConnection;
}

/** Largest number of jump hosts: a longer chain is a loop. */
const maxJumps = 8;

/** Private keys to try unless the configuration names others (ssh(1)). */
const defaultKeys = ["~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa"];

/** Opens SSH connections. */
export class Dialer {
  #config: Promise<ConfigBlock[]> | undefined;
  readonly #passphrases: Passphrases;
  /** Unsupported options that a warning has named. */
  readonly #warnedOptions = new Set<string>();

  constructor(
    readonly io: Io,
    readonly local: SshEnvironment,
    readonly connector: SshConnector,
    readonly settings: DialSettings,
  ) {
    this.#passphrases = new Passphrases(io);
  }

  /** Connects to a host. Rejects with {@link SshError}. */
  async connect(destination: Destination): Promise<SshConnection> {
    return await this.#connect(destination, 0);
  }

  /** `lastJump` is the jump host to connect through. It is closed with the connection, or when the connection fails. */
  async #connect(destination: Destination, depth: number, lastJump?: SshConnection): Promise<SshConnection> {
    if (depth > maxJumps) {
      throw new SshError(`more than ${maxJumps} jump hosts: does ProxyJump of a host lead back to the host itself?`);
    }
    let jump = lastJump;
    try {
      const config = this.#configOf(await this.#configuration(), destination.host);
      const host = config.hostName ?? destination.host;
      const port = destination.port ?? config.port ?? 22;
      const user = destination.user ?? this.settings.user ?? config.user ?? this.settings.defaultUser;
      const name = destination.host;
      const tokens = this.#tokens({ host, port, user, name });
      const agentSocket = await this.#agentSocket(config, tokens);
      const identities = await this.#identities(config, tokens, agentSocket);
      const alias = config.hostKeyAlias;
      const known = alias === undefined
        ? undefined
        : { names: [expandTokens("HostKeyAlias", alias, tokens)], port: 22 };
      const jumps = config.jumps.map((jump) => expandTokens("ProxyJump", jump, tokens));
      if (!destination.through) jump ??= await this.#jump(jumps, depth);
      const through = destination.through ?? jump;
      return await this.#open({ host, port, user, name, identities, agentSocket, known, through, jump });
    } catch (error) {
      jump?.close();
      throw error;
    }
  }

  async #open(destination: ResolvedDestination): Promise<SshConnection> {
    const { host, port, user, agentSocket, identities } = destination;
    const { io, local, settings } = this;
    const late = new SshError(
      `timed out while initiating SSH connection to ${host}:${port} ` +
        `(--ssh-timeout is ${settings.timeout_ms / 1000} seconds)`,
    );
    const timeout = new PausableTimeout(io, settings.timeout_ms, late);
    try {
      const { stream, address } = await this.#openStream(destination, timeout.signal);
      const checking = { io, local, file: await this.path(settings.knownHostsFile), strict: settings.strict };
      // With an alias, the host's key is looked up by the alias alone, whatever the port.
      const name = destination.known ?? { names: [...new Set([address, host, destination.name])], port };
      const check = await checkOfHost(checking, name);
      return await this.connector.connect({
        ...{ to: `${user}@${host}`, user, stream, identities, keyTypes: check.keyTypes },
        ...(agentSocket === undefined ? {} : { agentSocket }),
        verify: (key) => timeout.without(() => check.verify(key)),
        passphrase: (path, opens) => timeout.without(() => this.#passphrases.of(path, opens)),
      }, timeout.signal);
    } finally {
      timeout.stop();
    }
  }

  async #openStream({ host, port, through, jump }: ResolvedDestination, signal: AbortSignal) {
    if (!through) return await this.connector.tcp(host, port, signal);
    const stream = await openUnlessAborted(through.toTcp(host, port), signal);
    stream.once("close", () => jump?.close());
    return { stream, address: host };
  }

  async #jump(jumps: readonly string[], depth: number): Promise<SshConnection | undefined> {
    let last: SshConnection | undefined;
    for (const jump of jumps) {
      const spec = parseHostSpec(jump);
      if (!spec) throw new SshError(`ProxyJump ${JSON.stringify(jump)} in ~/.ssh/config is not [user@]host[:port]`);
      last = await this.#connect(spec, depth + 1, last);
    }
    return last;
  }

  /** Returns the configuration of a host, and warns once of each relevant option that is not supported. */
  #configOf(blocks: readonly ConfigBlock[], host: string): HostConfig {
    const config = hostConfig(blocks, host);
    for (const option of config.unsupported) {
      if (this.#warnedOptions.has(option)) continue;
      this.#warnedOptions.add(option);
      this.io.log(
        "WARN",
        option === "Match"
          ? `~/.ssh/config: only "Match all" is supported: other Match blocks are skipped`
          : `~/.ssh/config: ${option} (for ${host}) is not supported: ssh(1) may connect differently`,
      );
    }
    return config;
  }

  /** Returns the values of the tokens (ssh_config(5), TOKENS). `name` is the host as the user wrote it. */
  #tokens(
    { host, port, user: remoteUser, name }: Pick<ResolvedDestination, "host" | "port" | "user" | "name">,
  ): Readonly<Record<string, string>> {
    const { home, user, uid } = this.local;
    return {
      ...{ h: host, n: name, k: name, p: `${port}`, r: remoteUser, i: `${uid}` },
      ...(home === undefined ? {} : { d: home }),
      ...(user === undefined ? {} : { u: user }),
    };
  }

  /** Returns the socket of the agent that IdentityAgent or the environment names. */
  async #agentSocket(config: HostConfig, tokens: Readonly<Record<string, string>>): Promise<string | undefined> {
    const { identityAgent } = config;
    if (identityAgent === undefined || identityAgent === "SSH_AUTH_SOCK") return this.local.agentSocket;
    if (identityAgent === "none") return undefined;
    return await this.path(expandTokens("IdentityAgent", identityAgent, tokens));
  }

  /** Returns the agent and every key file that exists. Throws {@link SshError} if there is neither. */
  async #identities(
    { identityFiles, certificateFiles, identitiesOnly }: HostConfig,
    tokens: Readonly<Record<string, string>>,
    agentSocket: string | undefined,
  ): Promise<SshIdentity[]> {
    const { identity } = this.settings;
    const configured = identityFiles.map((path) => expandTokens("IdentityFile", path, tokens));
    const paths = [...(identity ? [identity] : []), ...(configured.length > 0 ? configured : defaultKeys)];
    const common = await Promise.all(certificateFiles.map(async (path) => {
      return await this.#readKey(await this.path(expandTokens("CertificateFile", path, tokens)));
    }));
    const files: SshIdentity[] = [];
    for (const path of new Set(await Promise.all(paths.map((path) => this.path(path))))) {
      const text = await this.#readKey(path);
      if (text !== undefined) {
        const certificates = [...common, await this.#readKey(`${path}-cert.pub`)].filter((text) => text !== undefined);
        files.push({ kind: "file", path, text, certificates });
      } else if (identity && path === await this.path(identity)) {
        throw new SshError(`--ssh-identity: there is no file ${path}`);
      }
    }
    const agent: SshIdentity[] = agentSocket === undefined || identitiesOnly
      ? []
      : [{ kind: "agent", socket: agentSocket }];
    const all = identity ? [...files.slice(0, 1), ...agent, ...files.slice(1)] : [...agent, ...files];
    if (all.length > 0) return all;
    throw new SshError(
      "SSH_AUTH_SOCK environment variable is not set. Verify ssh-agent is running (eval $(ssh-agent); ssh-add), " +
        "or name a private key with --ssh-identity",
    );
  }

  async #readKey(path: string): Promise<string | undefined> {
    try {
      return await this.io.readFile(path);
    } catch (error) {
      this.io.log("WARN", `cannot read the key ${path}: ${reasonOf(error)}`);
      return undefined;
    }
  }

  #configuration(): Promise<ConfigBlock[]> {
    this.#config ??= (async () => {
      const { io } = this;
      try {
        return await readSshConfig({
          readFile: (path) => io.readFile(path),
          list: async (directory) => await io.filesIn(directory).catch(() => undefined) ?? [],
          path: (text) => this.path(text),
        });
      } catch (error) {
        io.log("WARN", `cannot use ~/.ssh/config: ${reasonOf(error)}`);
        return [];
      }
    })();
    return this.#config;
  }

  /** Returns a path with `~` and `~user` replaced by the home directory. */
  async path(text: string): Promise<string> {
    const [, user, rest] = /^~([^/]*)(.*)$/s.exec(text) ?? [];
    if (user === undefined || rest === undefined) return text;
    if (user === "") return (this.local.home ?? "") + rest;
    const lines = (await this.io.readFile("/etc/passwd") ?? "").split("\n").map((line) => line.split(":"));
    return (lines.find(([name]) => name === user)?.[5] ?? `~${user}`) + rest;
  }
}

/** A destination after the configuration was applied. */
interface ResolvedDestination {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** The host as the user wrote it. */
  readonly name: string;
  readonly identities: readonly SshIdentity[];
  readonly through: SshConnection | undefined;
  /** The jump host, if `through` is one: it is closed with the connection. */
  readonly jump: SshConnection | undefined;
  readonly agentSocket: string | undefined;
  /** The name to look the host's key up by, if not by address and names. */
  readonly known: HostName | undefined;
}
