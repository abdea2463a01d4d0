/**
 * Where commands can run: on the machines of the cluster, and here.
 *
 * @module
 */

/** Another machine, logged in to. */
export interface RemoteHost {
  /**
   * Runs a command there, a login shell if undefined, with this process's standard streams. Returns its exit status.
   * Throws what tells why the session broke.
   */
  run(command: string | undefined, attachment: Attachment): Promise<number>;
  /** Runs a command there and yields each line it writes; throws if it fails, with what it wrote on standard error. */
  lines(command: string): AsyncIterable<string>;
  /** Runs a command there and returns what it wrote. */
  capture(command: string): Promise<CapturedOutput>;
}

/** What a program wrote, and its exit status. */
export interface CapturedOutput {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How a command there meets the streams here. */
export interface Attachment {
  /** True: it reads standard input. Otherwise it does so only from a terminal. */
  readonly input: boolean;
  readonly forwardAgent: boolean;
}

/** The way to other machines. */
export interface Hosts {
  /** Logs in at an address, through `--tunnel` if there is one. Throws an error that says what to do. */
  connect(address: string, port?: number): Promise<RemoteHost>;
  /** This machine's ID (machine-id(5)); undefined if it has none. */
  localMachineId(): Promise<string | undefined>;
  /** Runs a program here with our standard streams and returns its exit status. Throws if it cannot be started. */
  runHere(argv: readonly string[]): Promise<number>;
  /** Runs a program here and yields each line it writes; throws if it fails, with what it wrote on standard error. */
  linesHere(argv: readonly string[]): AsyncIterable<string>;
  /** Runs a program here and returns what it wrote; undefined if there is no such program. */
  captureHere(argv: readonly string[]): Promise<CapturedOutput | undefined>;
  /** Ends all connections. */
  close(): void;
}

/** Quotes a word for a POSIX shell. */
export function shellWord(word: string): string {
  return `"${word.replace(/["\\$`]/g, "\\$&")}"`;
}
