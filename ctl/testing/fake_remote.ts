/**
 * Machines for tests: remembers what was to run where, and answers with what the test says.
 *
 * @module
 */

import type { Attachment, CapturedOutput, Hosts, RemoteHost } from "../ssh/remote.ts";

/** The fake. Everything public may be set by a test. */
export class FakeHosts implements Hosts {
  /** Each command as `10.77.0.11: command`, with `:port` if one was asked for; `here: …` for this machine. */
  readonly ran: string[] = [];
  readonly attachments: Attachment[] = [];
  machineId: string | undefined;
  /** Exit status of the next commands, by their order; 0 behind the last. */
  statuses: number[] = [];
  /** What a captured command writes. */
  captured: (address: string, command: string) => string = () => "";
  /** The lines that a command writes, by where it runs: an address, or `here`. */
  lines: (place: string, command: string) => readonly string[] = () => [];
  /** What a captured program writes here on standard error; undefined if this machine does not have it. */
  capturedHere: (argv: readonly string[]) => string | undefined = () => undefined;
  /** Why nobody can log in; undefined if they can. */
  refusal: string | undefined;

  connect(address: string, port?: number): Promise<RemoteHost> {
    if (this.refusal !== undefined) return Promise.reject(new Error(this.refusal));
    const place = port === undefined ? address : `${address}:${port}`;
    return Promise.resolve({
      run: (command, attachment) => {
        this.attachments.push(attachment);
        return this.#run(`${place}: ${command ?? "(shell)"}`);
      },
      lines: (command) => this.#lines(place, command),
      capture: async (command) => {
        const status = await this.#run(`${place}: ${command}`);
        return { status, stdout: this.captured(address, command), stderr: "" };
      },
    });
  }

  localMachineId(): Promise<string | undefined> {
    return Promise.resolve(this.machineId);
  }

  runHere(argv: readonly string[]): Promise<number> {
    return this.#run(`here: ${argv.join(" ")}`);
  }

  linesHere(argv: readonly string[]): AsyncIterable<string> {
    return this.#lines("here", argv.join(" "));
  }

  async captureHere(argv: readonly string[]): Promise<CapturedOutput | undefined> {
    const status = await this.#run(`here: ${argv.join(" ")}`);
    const stderr = this.capturedHere(argv);
    return stderr === undefined ? undefined : { status, stdout: "", stderr };
  }

  close(): void {}

  async *#lines(place: string, command: string): AsyncGenerator<string> {
    await this.#run(`${place}: ${command}`);
    yield* this.lines(place, command);
  }

  #run(what: string): Promise<number> {
    this.ran.push(what);
    return Promise.resolve(this.statuses.shift() ?? 0);
  }
}
