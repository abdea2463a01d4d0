/**
 * Machines for tests: records the commands that run on them, and responds as the test says.
 *
 * @module
 */

import type { Attachment, CapturedOutput, Hosts, RemoteHost } from "../ssh/remote.ts";

/** The fake. A test may set every public field. */
export class FakeHosts implements Hosts {
  /** Each command as `10.77.0.11: command`, with `:port` if one was given; `here: …` for this machine. */
  readonly ran: string[] = [];
  readonly attachments: Attachment[] = [];
  machineId: string | undefined;
  /** Exit statuses of the next commands, in order; 0 after the last. */
  statuses: number[] = [];
  /** Returns the output of a captured command. */
  captured: (address: string, command: string) => string = () => "";
  /** Returns the lines that a command writes. `where` is an address, or `here`. */
  lines: (where: string, command: string) => readonly string[] = () => [];
  /** Returns the standard error of a captured program on this machine; undefined if the program does not exist. */
  capturedLocally: (argv: readonly string[]) => string | undefined = () => undefined;
  /** The error of every login; undefined if logins succeed. */
  refusal: string | undefined;

  connect(address: string, port?: number): Promise<RemoteHost> {
    if (this.refusal !== undefined) return Promise.reject(new Error(this.refusal));
    const where = port === undefined ? address : `${address}:${port}`;
    return Promise.resolve({
      run: (command, attachment) => {
        this.attachments.push(attachment);
        return this.#run(`${where}: ${command ?? "(shell)"}`);
      },
      lines: (command) => this.#lines(where, command),
      capture: async (command) => {
        const status = await this.#run(`${where}: ${command}`);
        return { status, stdout: this.captured(address, command), stderr: "" };
      },
    });
  }

  localMachineId(): Promise<string | undefined> {
    return Promise.resolve(this.machineId);
  }

  runLocally(argv: readonly string[]): Promise<number> {
    return this.#run(`here: ${argv.join(" ")}`);
  }

  linesLocally(argv: readonly string[]): AsyncIterable<string> {
    return this.#lines("here", argv.join(" "));
  }

  async captureLocally(argv: readonly string[]): Promise<CapturedOutput | undefined> {
    const status = await this.#run(`here: ${argv.join(" ")}`);
    const stderr = this.capturedLocally(argv);
    return stderr === undefined ? undefined : { status, stdout: "", stderr };
  }

  close(): void {}

  async *#lines(where: string, command: string): AsyncGenerator<string> {
    await this.#run(`${where}: ${command}`);
    yield* this.lines(where, command);
  }

  #run(what: string): Promise<number> {
    this.ran.push(what);
    return Promise.resolve(this.statuses.shift() ?? 0);
  }
}
