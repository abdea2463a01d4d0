/**
 * Runs commands on the machines of the cluster by SSH, and on this machine.
 *
 * @module
 */

import type { Flags } from "../cli/argv.ts";
import type { Hosts, RemoteHost } from "./remote.ts";
import type { Io } from "../terminal/port.ts";
import type { Dialer } from "./connect.ts";
import { captureProgram, linesOfProgram, runProgram, sshEnvironment } from "./local_machine.ts";
import { type SshConnection, SshError } from "./port.ts";

/** {@link Hosts} by SSH, through `--tunnel` if there is one. The SSH client, which few commands need, is loaded at its first use. */
export class SshHosts implements Hosts {
  readonly runLocally = runProgram;
  readonly linesLocally = linesOfProgram;
  readonly captureLocally = captureProgram;
  #dialer: Promise<Dialer> | undefined;
  #tunnel: Promise<SshConnection> | undefined;
  #connections: SshConnection[] = [];

  constructor(private readonly flags: Flags, private readonly io: Io) {}

  /**
   * Returns the connection to `--tunnel`; connects at the first call, and again if the connection was lost. Rejects with
   * {@link SshError}.
   */
  async tunnel(): Promise<SshConnection> {
    const current = this.#tunnel;
    const connection = await current?.catch(() => undefined);
    if (connection?.open) return connection;
    // The first of several concurrent callers connects again for all.
    if (this.#tunnel === current) this.#tunnel = this.#dialTunnel();
    return await this.#tunnel as SshConnection;
  }

  async #dialTunnel(): Promise<SshConnection> {
    const text = this.flags.text("tunnel");
    const { parseHostSpec } = await import("./config.ts");
    const spec = parseHostSpec(text);
    if (!spec) throw new SshError(`--tunnel=${text} is not host[:port]`);
    return this.#keep(await (await this.#ready()).connect(spec));
  }

  async connect(address: string, port?: number): Promise<RemoteHost> {
    const [dialer, session] = await Promise.all([this.#ready(), import("./session.ts")]);
    const through = this.flags.text("tunnel") === "" ? {} : { through: await this.tunnel() };
    const spec = { host: address, ...(port === undefined ? {} : { port }), ...through };
    const connection = this.#keep(await dialer.connect(spec));
    return {
      run: (command, attachment) => session.runAttached(connection, command, attachment),
      capture: (command) => session.runCaptured(connection, command),
      lines: (command) => session.linesOfCommand(connection, command),
    };
  }

  async localMachineId(): Promise<string | undefined> {
    return (await this.io.readFile("/etc/machine-id"))?.trim();
  }

  close(): void {
    for (const connection of this.#connections.splice(0).reverse()) connection.close();
  }

  #keep(connection: SshConnection): SshConnection {
    this.#connections = [...this.#connections.filter(({ open }) => open), connection];
    return connection;
  }

  #ready(): Promise<Dialer> {
    this.#dialer ??= (async () => {
      const [{ Dialer }, { ssh2Connector }] = await Promise.all([import("./connect.ts"), import("./ssh2_client.ts")]);
      const flags = this.flags;
      return new Dialer(this.io, sshEnvironment(), ssh2Connector, {
        ...(flags.given("ssh-username") ? { user: flags.text("ssh-username") } : {}),
        defaultUser: flags.text("ssh-username"),
        identity: flags.text("ssh-identity"),
        knownHostsFile: flags.text("known-hosts-file"),
        strict: flags.on("strict-host-key-checking"),
        timeout_ms: 1000 * flags.number("ssh-timeout"),
      });
    })();
    return this.#dialer;
  }
}
