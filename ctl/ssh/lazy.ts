/**
 * Loads the SSH client only for commands that use it.
 *
 * @module
 */

import type { CapturedOutput, Hosts, RemoteHost } from "./remote.ts";

/** {@link Hosts} that are created by `load` at their first use. */
export class LazyHosts<Real extends Hosts> implements Hosts {
  #real: Promise<Real> | undefined;

  constructor(readonly load: () => Promise<Real>) {}

  /** Returns the loaded hosts. */
  real(): Promise<Real> {
    this.#real ??= this.load();
    return this.#real;
  }

  async connect(address: string, port?: number): Promise<RemoteHost> {
    return await (await this.real()).connect(address, port);
  }

  async localMachineId(): Promise<string | undefined> {
    return await (await this.real()).localMachineId();
  }

  async runLocally(argv: readonly string[]): Promise<number> {
    return await (await this.real()).runLocally(argv);
  }

  async *linesLocally(argv: readonly string[]): AsyncGenerator<string> {
    yield* (await this.real()).linesLocally(argv);
  }

  async captureLocally(argv: readonly string[]): Promise<CapturedOutput | undefined> {
    return await (await this.real()).captureLocally(argv);
  }

  close(): void {
    void this.#real?.then((real) => real.close());
  }
}
