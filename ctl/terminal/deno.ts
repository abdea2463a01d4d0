/**
 * The adapter to the terminal: standard streams, files and the clock.
 *
 * @module
 */

import { resolve } from "node:path/posix";
import { replaceFileDurably } from "../../runtime/replace_file.ts";
import { sleep } from "../../runtime/sleep.ts";
import { askOnTerminal } from "./ask.ts";
import {
  DialError,
  InterruptedError,
  type Io,
  type LogLevel,
  ReaderGoneError,
  reasonOf,
  type ScreenSize,
} from "./port.ts";
import { decodeText } from "../units/text_bytes.ts";
import { printable, printableLine, PrintableStream } from "../output/sanitize.ts";
import { calendarDate, clockTime } from "../output/time.ts";

/** An {@link Io} on this process's own streams. */
export function terminal(debug: boolean): Io {
  return {
    out: (text) => aboveProgress(() => write(Deno.stdout, text)),
    err: (text) => aboveProgress(() => write(Deno.stderr, text)),
    line: (stream, line) => aboveProgress(() => writeLine(stream === "out" ? Deno.stdout : Deno.stderr, line)),
    notice: (line) => aboveProgress(() => writeLine(Deno.stderr.isTerminal() ? Deno.stderr : Deno.stdout, line)),
    log: (level, text) => {
      const line = level !== "DEBUG" || debug ? logLine(level, text) : "";
      if (line) aboveProgress(() => writeLine(Deno.stderr, line));
    },
    get screen() {
      return Deno.stdout.isTerminal() && Deno.env.get("TERM") !== "dumb" ? terminalSize() : undefined;
    },
    redraw: (lines) => aboveProgress(() => redraw(lines)),
    onKey,
    progress,
    ask: (question, options) => {
      progress(undefined);
      return askOnTerminal(question, options);
    },
    onInterrupt,
    outliveOutput,
    confirm,
    readInput: async () => decodeText(await new Response(Deno.stdin.readable).bytes()),
    readFile,
    readBytes,
    filesIn,
    fullPath: (path) => resolve(Deno.cwd(), path),
    createDirectory,
    createFile: (path, text) => Deno.writeTextFile(path, text, { createNew: true, mode: 0o600 }),
    replaceFile: (path, text) => replaceFileDurably(path, `${path}.${Deno.pid}`, text, 0o600),
    lockFile,
    now_ms: () => performance.now(),
    wall_ms: () => Date.now(),
    // https://no-color.org
    color: !Deno.env.get("NO_COLOR") && Deno.env.get("TERM") !== "dumb" && Deno.stdout.isTerminal(),
    sleep,
    sleepAtRandom: (ms, signal) => sleep(2 * ms * Math.random(), signal),
    forward,
  };
}

const encoder = new TextEncoder();

/** Standard output or standard error. */
export interface OutputStream {
  writeSync(bytes: Uint8Array): number;
  isTerminal(): boolean;
}

function write(stream: OutputStream, text: string): void {
  endDrawing(stream);
  writeAll(stream, stream.isTerminal() ? printable(text) : text);
}

function writeLine(stream: OutputStream, line: string): void {
  endDrawing(stream);
  writeAll(stream, (stream.isTerminal() ? printableLine(line) : line) + "\n");
}

/** The error of the first output that was discarded; undefined while none is to be discarded, null before the first. */
let discarded: Error | null | undefined;

function outliveOutput(): () => Error | undefined {
  discarded = null;
  return () => {
    const error = discarded ?? undefined;
    discarded = undefined;
    return error;
  };
}

/** Writes text or bytes as they are. Throws {@link ReaderGoneError}, and other errors. */
export function writeAll(stream: OutputStream, content: string | Uint8Array): void {
  let bytes = typeof content === "string" ? encoder.encode(content) : content;
  try {
    while (bytes.length > 0) bytes = bytes.subarray(stream.writeSync(bytes));
  } catch (cause) {
    const error = cause instanceof Deno.errors.BrokenPipe
      ? new ReaderGoneError("the reader of the output is gone", { cause })
      : new Error(`cannot write the output: ${systemReason(cause)}`, { cause });
    if (discarded === undefined) throw error;
    discarded ??= error;
  }
}

/** Copies a stream of bytes. On a terminal, control characters are escaped. */
export async function copyPrintable(from: AsyncIterable<unknown>, to: OutputStream): Promise<void> {
  const shown = to.isTerminal() ? new PrintableStream() : undefined;
  for await (const chunk of from) writeAll(to, shown?.take(chunk as Uint8Array) ?? chunk as Uint8Array);
  if (shown) writeAll(to, shown.end());
}

let shown: string | undefined;

function progress(text: string | undefined): void {
  if (text === shown || !Deno.stderr.isTerminal() || Deno.env.get("TERM") === "dumb") return;
  shown = text;
  // Carriage return, clear the line (EL of ECMA-48), and at most one line of text.
  writeAll(Deno.stderr, "\r\x1b[K" + printableLine(text ?? "").slice(0, terminalSize().columns - 1));
}

/** Returns the size of the terminal, or a common one if no standard stream is a terminal that reports its size. */
export function terminalSize(): ScreenSize {
  const usual = { columns: 80, rows: 24 };
  try {
    // Serial lines report 0.
    const { columns, rows } = Deno.consoleSize();
    return { columns: columns || usual.columns, rows: rows || usual.rows };
  } catch {
    return usual;
  }
}

/** The latest drawing: the size of the terminal, and the number of its lines. */
let drawing: (ScreenSize & { readonly lines: number }) | undefined;

/** Leaves the latest drawing as it is, since other text follows it on the terminal: the next one is drawn below. */
function endDrawing(stream: OutputStream): void {
  if (stream.isTerminal()) drawing = undefined;
}

/** Draws lines in place of the latest drawing (control sequences of ECMA-48 and DECAWM). */
function redraw(lines: readonly string[]): void {
  const size = terminalSize();
  const room = size.rows - 1;
  const hidden = lines.length - room;
  const shown = hidden <= 0 ? lines : [...lines.slice(0, room - 1), `... and ${hidden + 1} more lines`];
  // Lines that a change of the width has wrapped in another way cannot be counted.
  const isResized = drawing !== undefined && (drawing.columns !== size.columns || drawing.rows !== size.rows);
  const back = isResized ? "\x1b[H" : drawing?.lines ? `\x1b[${drawing.lines}A` : "";
  const text = shown.map((line) => clipped(printableLine(line), size.columns) + "\x1b[K\n").join("");
  // Without wrapping: a character may be two columns wide.
  writeAll(Deno.stdout, `${back}\x1b[?7l${text}\x1b[J\x1b[?7h`);
  drawing = { ...size, lines: shown.length };
}

function onKey(pressed: (key: string) => void): () => void {
  if (!Deno.stdin.isTerminal()) return () => {};
  let isOver = false;
  const restore = () => {
    isOver = true;
    Deno.stdin.setRaw(false);
  };
  // The terminal must not stay as it is when the program is ended from outside.
  const quit = () => {
    restore();
    interruption.reject(new InterruptedError("fleetctl was ended by a signal"));
  };
  for (const signal of ["SIGTERM", "SIGHUP"] as const) Deno.addSignalListener(signal, quit);
  Deno.stdin.setRaw(true);
  const read = async () => {
    const buffer = new Uint8Array(64);
    for (let count = await Deno.stdin.read(buffer); count !== null; count = await Deno.stdin.read(buffer)) {
      for (const key of isOver ? "" : new TextDecoder().decode(buffer.subarray(0, count))) pressed(key);
    }
  };
  // A terminal that is gone presses no key.
  void read().catch(() => {});
  return () => {
    for (const signal of ["SIGTERM", "SIGHUP"] as const) Deno.removeSignalListener(signal, quit);
    restore();
  };
}

/** Returns the beginning of a line that fits into so many columns, with its colors. */
function clipped(line: string, columns: number): string {
  let left = columns;
  // deno-lint-ignore no-control-regex -- colors are what is looked for
  return line.replace(/\x1b\[[0-9;]*m|[^\x1b]/gu, (part) => part.length > 2 || left-- > 0 ? part : "");
}

/** Removes the progress line while `write` runs. */
function aboveProgress(write: () => void): void {
  const hidden = shown;
  if (hidden !== undefined) progress(undefined);
  write();
  if (hidden !== undefined) progress(hidden);
}

async function confirm(question: string): Promise<boolean | undefined> {
  if (!Deno.stdin.isTerminal() || !Deno.stderr.isTerminal()) return undefined;
  progress(undefined);
  return /^\s*y(es)?\s*$/i.test(await askOnTerminal(`${question} [y/N] `) ?? "");
}

const interruption = Promise.withResolvers<never>();

/** Rejects with {@link InterruptedError} at ^C while a message is set for it. */
export const interrupted: Promise<never> = interruption.promise;

function onInterrupt(message: string): () => void {
  const interrupt = () => {
    progress(undefined);
    interruption.reject(new InterruptedError(message));
  };
  Deno.addSignalListener("SIGINT", interrupt);
  return () => Deno.removeSignalListener("SIGINT", interrupt);
}

function logLine(level: LogLevel, text: string): string {
  const now_ms = Date.now();
  const date = calendarDate(now_ms).replaceAll("-", "/");
  return `${date} ${clockTime(now_ms)} ${level} ${callerOfLog()}: ${text}`;
}

/** Returns the file and line of the call of `log`, for example `client.ts:30`. */
function callerOfLog(): string {
  const frames = (new Error().stack ?? "").split("\n").filter((frame) => frame.includes("at "));
  const place = /([^/\\(]+):(\d+):\d+\)?$/.exec(frames[3] ?? "");
  return place ? `${place[1]}:${place[2]}` : "fleetctl:0";
}

async function readFile(path: string): Promise<string | undefined> {
  try {
    return decodeText(await Deno.readFile(path));
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return undefined;
    throw new Error(systemReason(cause), { cause });
  }
}

async function readBytes(path: string): Promise<{ bytes: Uint8Array; isExecutable: boolean } | undefined> {
  try {
    const { isFile, mode } = await Deno.stat(path);
    return isFile ? { bytes: await Deno.readFile(path), isExecutable: ((mode ?? 0) & 0o100) !== 0 } : undefined;
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return undefined;
    throw new Error(systemReason(cause), { cause });
  }
}

async function filesIn(directory: string): Promise<string[] | undefined> {
  try {
    return (await Array.fromAsync(Deno.readDir(directory))).map(({ name }) => name);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotADirectory) return undefined;
    const isAbsent = cause instanceof Deno.errors.NotFound;
    if (isAbsent && !await Deno.lstat(directory).catch(() => undefined)) return undefined;
    const why = isAbsent ? "the link points to nothing" : systemReason(cause);
    throw new Error(`cannot read the directory ${directory}: ${why}`, { cause });
  }
}

/** Returns the reason of an error of the operating system, without its number and the path, which callers name. */
function systemReason(error: unknown): string {
  return reasonOf(error).replace(/ \(os error \d+\).*$/s, "");
}

async function createDirectory(path: string): Promise<void> {
  try {
    await Deno.mkdir(path, { mode: 0o700 });
  } catch (cause) {
    if (!(cause instanceof Deno.errors.AlreadyExists)) throw cause;
    throw new Error(`${path} exists already: name a new directory`, { cause });
  }
}

async function lockFile(path: string): Promise<(() => void) | undefined> {
  const file = await Deno.open(path, { create: true, write: true, mode: 0o600 });
  if (await file.tryLock(true)) return () => file.close();
  file.close();
  return undefined;
}

/** After standard input has ended, the connection is closed once the other side has sent nothing for this long. */
const drain_ms = 2000;

async function forward(path: string): Promise<void> {
  let connection: Deno.UnixConn;
  try {
    connection = await Deno.connect({ transport: "unix", path });
  } catch (cause) {
    throw new DialError(`dial unix ${path}: ${reasonOf(cause)}`, { cause });
  }
  const incoming = copy(connection, Deno.stdout);
  const outgoing = (async () => {
    await copy(Deno.stdin, connection);
    await connection.closeWrite();
    for (let isIdle = false; !isIdle;) {
      const before = incoming.copied();
      await sleep(drain_ms);
      isIdle = incoming.copied() === before;
    }
  })();
  try {
    await Promise.race([incoming, outgoing]);
  } finally {
    connection.close();
  }
}

interface Reads {
  read(into: Uint8Array): Promise<number | null>;
}

interface Writes {
  write(bytes: Uint8Array): Promise<number>;
}

/** Copies until `from` ends; `copied()` returns the number of bytes so far. */
function copy(from: Reads, to: Writes): Promise<void> & { copied(): number } {
  let copied = 0;
  const run = async () => {
    const buffer = new Uint8Array(64 * 1024);
    for (let read = await from.read(buffer); read !== null; read = await from.read(buffer)) {
      for (let rest = buffer.subarray(0, read); rest.length > 0;) rest = rest.subarray(await to.write(rest));
      copied += read;
    }
  };
  return Object.assign(run(), { copied: () => copied });
}
