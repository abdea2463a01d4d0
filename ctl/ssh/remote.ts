/**
 * The port to running commands on the machines of the cluster and on this machine.
 *
 * @module
 */

/** Another machine with an open SSH connection. */
export interface RemoteHost {
  /**
   * Runs a command, or a login shell if undefined, with this process's standard streams. Returns its exit status. Throws
   * if the connection is lost.
   */
  run(command: string | undefined, attachment: Attachment): Promise<number>;
  /** Runs a command and yields each line that it writes. If it fails, throws with the text of its standard error. */
  lines(command: string): AsyncIterable<string>;
  /** Runs a command and returns its output. */
  capture(command: string): Promise<CapturedOutput>;
}

/** The output and the exit status of a program. */
export interface CapturedOutput {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Connection of a remote command to this process. */
export interface Attachment {
  /** True: the command reads standard input. False: it does so only from a terminal. */
  readonly input: boolean;
  readonly forwardAgent: boolean;
}

/** Access to other machines and to this one. */
export interface Hosts {
  /** Logs in at an address, through `--tunnel` if it is set. Throws an error that says what to do. */
  connect(address: string, port?: number): Promise<RemoteHost>;
  /** Returns the ID of this machine (machine-id(5)); undefined if it has none. */
  localMachineId(): Promise<string | undefined>;
  /** Runs a program on this machine with our standard streams, and returns its exit status. Throws if it cannot be started. */
  runLocally(argv: readonly string[]): Promise<number>;
  /** Runs a program on this machine and yields each line that it writes. If it fails, throws with the text of its standard error. */
  linesLocally(argv: readonly string[]): AsyncIterable<string>;
  /** Runs a program on this machine and returns its output; undefined if the program does not exist. */
  captureLocally(argv: readonly string[]): Promise<CapturedOutput | undefined>;
  /** Ends all connections. */
  close(): void;
}

/** Quotes a word for a POSIX shell. */
export function shellWord(word: string): string {
  return `"${word.replace(/["\\$`]/g, "\\$&")}"`;
}
