/**
 * A terminal for tests: records output, serves files from memory.
 *
 * @module
 */

import { resolve } from "node:path/posix";
import { ManualClock } from "../../tests/support/manual_clock.ts";
import { runFleetctl } from "../cli/run.ts";
import { FakeContextFile } from "./fake_contexts.ts";
import type { FakeApi } from "./fake_api.ts";
import { FakeHosts } from "./fake_remote.ts";
import { type Io, ReaderGoneError, type ScreenSize } from "../terminal/port.ts";
// Loaded before the clock runs: a lazy import would take time that the clock does not know of.
import "../output/json_query.ts";
import "../output/yaml.ts";
import "../waiting/recent_logs.ts";
import "../../systemd/unit_hash.ts";

/** An {@link Io} in memory, on a clock that a test advances; {@link fleetctl} does so while a command waits. */
export class FakeIo implements Io {
  readonly clock = new ManualClock();
  stdout = "";
  stderr = "";
  /** Contents by path. */
  readonly files = new Map<string, string>();
  /** Sockets that {@link forward} was called with. */
  readonly forwarded: string[] = [];

  /** The number of lines after which the reader of standard output goes. */
  linesRead = Infinity;

  out(text: string): void {
    if (this.stdout.split("\n").length - 1 < this.linesRead) {
      this.stdout += text;
      return;
    }
    const error = new ReaderGoneError("the reader of the output is gone");
    if (this.#discarded === undefined) throw error;
    this.#discarded = error;
  }

  /** The error of output that was discarded; undefined while none is to be discarded, null before the first. */
  #discarded: Error | null | undefined;

  outliveOutput(): () => Error | undefined {
    this.#discarded = null;
    return () => {
      const error = this.#discarded ?? undefined;
      this.#discarded = undefined;
      return error;
    };
  }

  err(text: string): void {
    this.stderr += text;
  }

  line(stream: "out" | "err", line: string): void {
    if (stream === "out") this.out(line + "\n");
    else this.err(line + "\n");
  }

  /** True if standard error is not a terminal. */
  isPiped = false;

  notice(line: string): void {
    this.line(this.isPiped ? "out" : "err", line);
  }

  log(level: string, text: string): void {
    if (level !== "DEBUG") this.stderr += `${level} ${text}\n`;
  }

  readFile(path: string): Promise<string | undefined> {
    return Promise.resolve(this.files.get(path));
  }

  readBytes(path: string): Promise<{ bytes: Uint8Array; isExecutable: boolean } | undefined> {
    const text = this.files.get(path);
    if (text === undefined) return Promise.resolve(undefined);
    return Promise.resolve({ bytes: new TextEncoder().encode(text), isExecutable: text.startsWith("#!") });
  }

  filesIn(directory: string): Promise<string[] | undefined> {
    const prefix = directory === "." ? "" : directory.replace(/\/*$/, "/");
    const paths = [...this.files.keys()].filter((path) => path.startsWith(prefix));
    if (paths.length === 0) return Promise.resolve(undefined);
    return Promise.resolve([...new Set(paths.map((path) => path.slice(prefix.length).split("/")[0]!))]);
  }

  fullPath(path: string): string {
    return resolve("/home/core", path);
  }

  async createDirectory(path: string): Promise<void> {
    if (await this.filesIn(path)) throw new Error(`${path} exists already: name a new directory`);
  }

  createFile(path: string, text: string): Promise<void> {
    this.files.set(path, text);
    return Promise.resolve();
  }

  replaceFile(path: string, text: string): Promise<void> {
    return this.createFile(path, text);
  }

  /** Paths that another process has locked, or that {@link lockFile} has. */
  readonly locked = new Set<string>();

  lockFile(path: string): Promise<(() => void) | undefined> {
    if (this.locked.has(path)) return Promise.resolve(undefined);
    this.locked.add(path);
    return Promise.resolve(() => this.locked.delete(path));
  }

  now_ms(): number {
    return this.clock.monotonic_ms();
  }

  /** A fixed time; its minute is the same in any time zone that differs from UTC by whole hours. */
  wall_ms(): number {
    return Date.UTC(2026, 0, 1, 0, 0, 7);
  }

  color = false;
  /** The text that {@link readInput} returns. */
  stdin = "";
  /** The messages that ^C would end the program with. */
  readonly interruptMessages = new Set<string>();

  /** The size of the terminal; undefined in a pipe. */
  screen: ScreenSize | undefined;
  /** Every drawing of {@link redraw}. */
  readonly drawings: string[] = [];

  redraw(lines: readonly string[]): void {
    this.drawings.push(lines.join("\n"));
  }

  /** Presses a key; undefined while nothing reads keys. */
  press: ((key: string) => void) | undefined;

  onKey(pressed: (key: string) => void): () => void {
    this.press = pressed;
    return () => this.press = undefined;
  }

  progress(): void {}

  /** The answer to every question of {@link confirm}; undefined if there is no terminal. */
  answer: boolean | undefined;

  confirm(question: string): Promise<boolean | undefined> {
    if (this.answer !== undefined) this.stderr += question + "\n";
    return Promise.resolve(this.answer);
  }

  onInterrupt(message: string): () => void {
    this.interruptMessages.add(message);
    return () => this.interruptMessages.delete(message);
  }

  /** Returns the answer to a question of {@link ask}; undefined if it is not answered. */
  answers: (question: string, secret: boolean) => string | undefined = () => undefined;

  ask(question: string, { secret = false } = {}): Promise<string | undefined> {
    return Promise.resolve(this.answers(question, secret));
  }

  readInput(): Promise<string> {
    return Promise.resolve(this.stdin);
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return this.clock.sleep(ms, signal);
  }

  sleepAtRandom(ms: number, signal?: AbortSignal): Promise<void> {
    return this.sleep(ms, signal);
  }

  forward(path: string): Promise<void> {
    this.forwarded.push(path);
    return Promise.resolve();
  }
}

/** The result of a command. */
export interface CommandResult {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command line, split at spaces, against the fake API. */
export async function fleetctl(
  api: FakeApi,
  line: string,
  io: FakeIo = new FakeIo(),
  hosts: FakeHosts = new FakeHosts(),
): Promise<CommandResult> {
  const argv = line.split(" ").filter((word) => word !== "");
  const client = () => Promise.resolve(api.client());
  const status = await io.clock.runToEnd(
    runFleetctl(argv, {}, { io: () => io, client, hosts: () => hosts, contexts: new FakeContextFile() }),
  );
  const ran = { status, stdout: io.stdout, stderr: io.stderr };
  io.stdout = "";
  io.stderr = "";
  return ran;
}
