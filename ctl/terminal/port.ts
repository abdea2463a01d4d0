/**
 * The port to everything outside the cluster that a command uses: standard streams, files, the clock. Each command is a
 * function of a client, this port and arguments.
 *
 * @module
 */

/** Levels of the log lines on standard error. */
export type LogLevel = "DEBUG" | "INFO" | "WARN" | "ERROR";

/** The size of a terminal, in characters. */
export interface ScreenSize {
  readonly columns: number;
  readonly rows: number;
}

/** The port between a command and its terminal. */
export interface Io {
  /**
   * Writes to standard output: unchanged to a file or a pipe, without control sequences other than colors to a terminal.
   * Throws {@link ReaderGoneError}.
   */
  out(text: string): void;
  /** Writes to standard error in the same way. */
  err(text: string): void;
  /** Writes a line in the same way. On a terminal, a line feed inside it is shown as an escape sequence. */
  line(stream: "out" | "err", line: string): void;
  /**
   * Writes a progress line: to standard error if that is a terminal, else to standard output, since programs that run
   * fleetctl may take any text on standard error for a failure.
   */
  notice(line: string): void;
  /** Writes a log line to standard error; level `DEBUG` only with `--debug`. */
  log(level: LogLevel, text: string): void;
  /** Returns the text of a file, or undefined if it does not exist. Throws if it cannot be read. */
  readFile(path: string): Promise<string | undefined>;
  /** Returns the bytes of a file, or undefined if there is no such file. Throws if it cannot be read. */
  readBytes(path: string): Promise<{ readonly bytes: Uint8Array; readonly isExecutable: boolean } | undefined>;
  /** Returns the names in a directory, or undefined if there is no such directory. Throws if it cannot be read. */
  filesIn(directory: string): Promise<string[] | undefined>;
  /** Returns a path from the root, without `.` and `..`; links are not followed. */
  fullPath(path: string): string;
  /** Creates a directory that only its owner may read. Throws if something has its name. */
  createDirectory(path: string): Promise<void>;
  /** Creates a file that only its owner may read. Throws if something has its name. */
  createFile(path: string, text: string): Promise<void>;
  /**
   * Writes a file that only its owner may read, whole or not at all, and so that it survives a loss of power. Throws if it
   * cannot be written.
   */
  replaceFile(path: string, text: string): Promise<void>;
  /**
   * Creates a file if there is none, and takes its lock, which ends with this process or when the returned function is
   * called. Returns undefined if another process has it. Throws if the file cannot be created.
   */
  lockFile(path: string): Promise<(() => void) | undefined>;
  /** Returns the time of a monotonic clock, milliseconds. */
  now_ms(): number;
  /** Returns the time of day, milliseconds since the epoch. */
  wall_ms(): number;
  /** True if standard output is a terminal that should show colors. */
  readonly color: boolean;
  /** The size of the terminal that standard output is; undefined if it is none that can be drawn on. */
  readonly screen: ScreenSize | undefined;
  /** Draws lines on the terminal in place of those of the last call, cut to its size. */
  redraw(lines: readonly string[]): void;
  /**
   * Calls `pressed` with each key that is pressed on the terminal, ^C included, until the returned function is called.
   * Without a terminal on standard input, it never does.
   */
  onKey(pressed: (key: string) => void): () => void;
  /** Shows a progress line below other output, on a terminal only; undefined removes it. */
  progress(text: string | undefined): void;
  /** Makes ^C end the program with a message, until the returned function is called. */
  onInterrupt(message: string): () => void;
  /**
   * Discards output that cannot be written, such as that to a pipe whose reader has gone, until the returned function is
   * called: changes that must not stop half-way go on. That function returns the error of the first output that was
   * discarded, if any was.
   */
  outliveOutput(): () => Error | undefined;
  /**
   * Asks a yes-or-no question. Only `y` and `yes` mean yes. Returns undefined without asking if standard input or standard
   * error is not a terminal.
   */
  confirm(question: string): Promise<boolean | undefined>;
  /**
   * Asks a question on the controlling terminal, one at a time, and returns the line that the user types; undefined if
   * there is no terminal or the user cancels. A secret answer is not shown.
   */
  ask(question: string, options?: { readonly secret?: boolean }): Promise<string | undefined>;
  /** Reads all of standard input. */
  readInput(): Promise<string>;
  /** Resolves after `ms` (24 days at the most), or as soon as `signal` aborts. Never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /**
   * Sleeps for up to twice `ms`, at random, before another request to a server whose clients may all have lost their
   * connection at the same moment.
   */
  sleepAtRandom(ms: number, signal?: AbortSignal): Promise<void>;
  /**
   * Copies standard input to a unix domain socket, and its output to standard output, until either side ends. Throws
   * {@link DialError} if the connection fails.
   */
  forward(path: string): Promise<void>;
}

/** The reader of a pipe that we write to has closed it. */
export class ReaderGoneError extends Error {
  override name = "ReaderGoneError";
}

/** A connection to a unix domain socket failed. */
export class DialError extends Error {
  override name = "DialError";
}

/** Writes one line to standard output. */
export function printLine(io: Io, line: string): void {
  io.line("out", line);
}

/** Writes one line to standard error. */
export function printError(io: Io, line: string): void {
  io.line("err", line);
}

/**
 * Does work that must not stop half-way because its output cannot be written, for example since the reader has gone. If so,
 * throws the error after the work.
 */
export async function outlivingOutput<T>(io: Io, work: () => Promise<T>): Promise<T> {
  const end = io.outliveOutput();
  let result: T;
  let lost: Error | undefined;
  try {
    result = await work();
  } finally {
    lost = end();
  }
  if (lost) throw lost;
  return result;
}

/** Returns the message of an error. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Returns a function that throws an error again, with `what` before its message. {@link ReaderGoneError} stays as it is. */
export function rethrowAs(what: string): (cause: unknown) => never {
  return (cause) => {
    throw cause instanceof ReaderGoneError ? cause : new Error(`${what}: ${reasonOf(cause)}`, { cause });
  };
}

/** The user pressed ^C. */
export class InterruptedError extends Error {
  override name = "InterruptedError";
}
