/**
 * The adapter to addresses as the far end of `--tunnel` sees them, for whoever can only connect by itself: unix sockets of
 * this machine, which nobody else may open. A port would be open to every user here.
 *
 * @module
 */

import { createServer, type Server, type Socket } from "node:net";
import { reasonOf } from "../terminal/port.ts";
import type { SshConnection } from "./port.ts";

/** What ends the program without a word to it. */
const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Sockets that lead through an SSH connection. Gone after {@link close}, and when the program ends. */
export class ForwardedSockets {
  readonly #servers: Server[] = [];
  readonly #clients = new Set<Socket>();
  #directory: string | undefined;
  #trouble: string | undefined;
  readonly #ended = { SIGINT: this.#endBy("SIGINT"), SIGTERM: this.#endBy("SIGTERM"), SIGHUP: this.#endBy("SIGHUP") };

  constructor(private readonly tunnel: () => Promise<SshConnection>) {}

  /** Why the latest connection could not be made over there; undefined if none has failed. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  /** The path of a socket; each connection to it is one to `host` and `port` from the other side. */
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

  /** Ends every connection, and removes the sockets. */
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
      this.#trouble = reasonOf(error);
      client.destroy();
    }
  }

  #makeDirectory(): string {
    const directory = Deno.makeTempDirSync({ prefix: "fleetctl-" });
    globalThis.addEventListener("unload", this.#removeDirectory);
    for (const signal of signals) Deno.addSignalListener(signal, this.#ended[signal]);
    return directory;
  }

  readonly #removeDirectory = () => {
    if (this.#directory === undefined) return;
    Deno.removeSync(this.#directory, { recursive: true });
    this.#directory = undefined;
    globalThis.removeEventListener("unload", this.#removeDirectory);
    for (const signal of signals) Deno.removeSignalListener(signal, this.#ended[signal]);
  };

  /** The signal then does what it would have done. */
  #endBy(signal: typeof signals[number]): () => void {
    return () => {
      this.#removeDirectory();
      Deno.kill(Deno.pid, signal);
    };
  }
}
