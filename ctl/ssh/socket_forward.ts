/**
 * The adapter to addresses behind `--tunnel` for libraries that open their connections themselves: local unix sockets that
 * are forwarded through the tunnel. Only this user can open them; a TCP port would be open to every local user.
 *
 * @module
 */

import { createServer, type Server, type Socket } from "node:net";
import { reasonOf } from "../terminal/port.ts";
import type { SshConnection } from "./port.ts";

/** Sockets that are forwarded through an SSH connection. They are removed by {@link close} and when the program ends. */
export class ForwardedSockets {
  readonly #servers: Server[] = [];
  readonly #clients = new Set<Socket>();
  #directory: string | undefined;
  /** Error of the latest connection that failed at the far end; undefined if none has failed. */
  latestError: string | undefined;
  /** Handlers that remove the sockets and then let the signal end the program. */
  readonly #handlers = (["SIGINT", "SIGTERM", "SIGHUP"] as const).map((signal) => {
    const end = () => {
      this.#removeDirectory();
      Deno.kill(Deno.pid, signal);
    };
    return [signal, end] as const;
  });

  constructor(private readonly tunnel: () => Promise<SshConnection>) {}

  /** Returns the path of a socket whose connections are forwarded to `host` and `port` from the far end. */
  async open(host: string, port: number): Promise<string> {
    this.#directory ??= this.#makeDirectory();
    const path = `${this.#directory}/${this.#servers.length}`;
    const server = createServer((client) => void this.#forward(client, host, port));
    this.#servers.push(server);
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(path, resolve);
    });
    return path;
  }

  /** Ends every connection and removes the sockets. */
  close(): void {
    for (const server of this.#servers.splice(0)) server.close();
    for (const client of this.#clients) client.destroy();
    this.#removeDirectory();
  }

  async #forward(client: Socket, host: string, port: number): Promise<void> {
    this.#clients.add(client);
    client.on("close", () => this.#clients.delete(client));
    try {
      const far = await (await this.tunnel()).toTcp(host, port);
      client.on("error", () => far.destroy()).on("close", () => far.destroy());
      far.on("error", () => client.destroy()).on("close", () => client.destroy());
      client.pipe(far).pipe(client);
    } catch (error) {
      this.latestError = reasonOf(error);
      client.destroy();
    }
  }

  #makeDirectory(): string {
    const directory = Deno.makeTempDirSync({ prefix: "fleetctl-" });
    globalThis.addEventListener("unload", this.#removeDirectory);
    for (const [signal, end] of this.#handlers) Deno.addSignalListener(signal, end);
    return directory;
  }

  readonly #removeDirectory = () => {
    if (this.#directory === undefined) return;
    Deno.removeSync(this.#directory, { recursive: true });
    this.#directory = undefined;
    globalThis.removeEventListener("unload", this.#removeDirectory);
    for (const [signal, end] of this.#handlers) Deno.removeSignalListener(signal, end);
  };
}
