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

  async runHere(argv: readonly string[]): Promise<number> {
    return await (await this.real()).runHere(argv);
  }

  async *linesHere(argv: readonly string[]): AsyncGenerator<string> {
    yield* (await this.real()).linesHere(argv);
  }

  async captureHere(argv: readonly string[]): Promise<CapturedOutput | undefined> {
    return await (await this.real()).captureHere(argv);
  }

  close(): void {
    void this.#real?.then((real) => real.close());
  }
}
