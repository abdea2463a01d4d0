/**
 * What a command may do to the world outside the cluster: words on two streams, files, the clock. Commands see only
 * this port, so that each is a function of (client, io, arguments).
 *
 * @module
 */

/** Levels of the log lines on standard error. */
export type LogLevel = "DEBUG" | "INFO" | "WARN" | "ERROR";

/** The port between a command and its terminal. */
export interface Io {
  /**
   * Writes to standard output: exactly as given to a file or a pipe, without control sequences other than colors to a
   * terminal. Throws {@link ReaderGoneError}.
   */
  out(text: string): void;
  /** Writes to standard error, likewise. */
  err(text: string): void;
  /** Writes a line, likewise; on a terminal a line feed inside it is shown as an escape. */
  line(stream: "out" | "err", line: string): void;
  /**
   * Writes a line that tells how a wait goes, and is no failure: to standard error where that is a terminal, else to standard
   * output, since programs that run fleetctl may take whatever stands on standard error for a failure.
   */
  tell(line: string): void;
  /** Writes a log line to standard error; `DEBUG` only where `--debug` asked for it. */
  log(level: LogLevel, text: string): void;
  /** Text of a file; undefined if there is none. Throws when it is there and cannot be read. */
  readFile(path: string): Promise<string | undefined>;
  /** Names of what is in a directory; none if it cannot be read. */
  filesIn(directory: string): Promise<string[]>;
  /** A clock that only goes forward, milliseconds. */
  now_ms(): number;
  /** The time of day, milliseconds since the epoch. */
  wall_ms(): number;
  /** True if standard output goes to a terminal that is to have colours. */
  readonly color: boolean;
  /** Shows how far something is, on a terminal only, below what is written; undefined takes it away. */
  progress(text: string | undefined): void;
  /** While the returned function has not been called, ^C ends the program with these words. */
  onInterrupt(words: string): () => void;
  /**
   * Asks a question that is answered by yes or no, and no unless the answer begins with y. Undefined where standard input
   * or standard error is no terminal: there is no one to ask.
   */
  confirm(question: string): Promise<boolean | undefined>;
  /**
   * Asks the user at the controlling terminal, one question at a time, and returns the line that is typed; undefined if
   * there is no terminal or the user gives up. A secret answer is not shown.
   */
  ask(question: string, options?: { readonly secret?: boolean }): Promise<string | undefined>;
  /** All of standard input. */
  readInput(): Promise<string>;
  /** Resolves after `ms`, or as soon as `signal` aborts. Never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /**
   * Copies standard input to a unix domain socket and back until either side ends. Throws {@link DialError} when the
   * socket does not answer.
   */
  forward(path: string): Promise<void>;
}

/** Whoever read our output is gone. */
export class ReaderGoneError extends Error {
  override name = "ReaderGoneError";
}

/** A unix domain socket did not answer. */
export class DialError extends Error {
  override name = "DialError";
}

/** Writes one line to standard output. */
export function say(io: Io, line: string): void {
  io.line("out", line);
}

/** Writes one line to standard error. */
export function complain(io: Io, line: string): void {
  io.line("err", line);
}

/** Writes one line that tells how a wait goes. */
export function note(io: Io, line: string): void {
  io.tell(line);
}

/** What an error says, without its class. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The user pressed ^C. */
export class InterruptedError extends Error {
  override name = "InterruptedError";
}
