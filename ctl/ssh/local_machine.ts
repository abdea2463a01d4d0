/**
 * The adapter to what SSH needs of this very machine: its files, its agent and its programs.
 *
 * @module
 */

import { dirname } from "node:path/posix";
import type { CapturedOutput } from "./remote.ts";
import { PrintableStream } from "../output/sanitize.ts";

/** What SSH needs of this machine. */
export interface LocalMachine {
  /** Home directory; undefined if there is none. */
  readonly home: string | undefined;
  /** Name of the user who runs this; undefined if it is not known. */
  readonly user: string | undefined;
  /** Number of that user. */
  readonly uid: number;
  /** Path of the SSH agent's socket; undefined if there is no agent. */
  readonly agentSocket: string | undefined;
  /** Text of a file; undefined if there is none. Throws when it is there and cannot be read. */
  readFile(path: string): Promise<string | undefined>;
  /** Names in a directory; none if it is not there. Throws when it is there and cannot be read. */
  list(directory: string): Promise<string[]>;
  /** Adds a line to a file; makes it (mode 0644) and its directory (0700) where they are missing. */
  appendLine(path: string, line: string): Promise<void>;
}

/** The real {@link LocalMachine}. */
export function localMachine(): LocalMachine {
  return {
    home: Deno.env.get("HOME") || undefined,
    user: Deno.env.get("USER") || Deno.env.get("LOGNAME") || undefined,
    uid: Deno.uid() ?? 0,
    agentSocket: Deno.env.get("SSH_AUTH_SOCK") || undefined,
    readFile,
    list,
    appendLine,
  };
}

async function readFile(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

async function list(directory: string): Promise<string[]> {
  try {
    return (await Array.fromAsync(Deno.readDir(directory))).map(({ name }) => name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return [];
    throw error;
  }
}

async function appendLine(path: string, line: string): Promise<void> {
  await Deno.mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const before = await readFile(path);
  const gap = before && !before.endsWith("\n") ? "\n" : "";
  await Deno.writeTextFile(path, gap + line, { append: true, mode: 0o644 });
}

/**
 * Runs a program that reports with our standard streams; 128 + n if signal n ended it. Control sequences in what it writes
 * do not reach a terminal. Throws if it cannot be started.
 */
export async function runProgram([program = "", ...args]: readonly string[]): Promise<number> {
  const streams = { stdin: "inherit", stderr: "inherit" } as const;
  if (!Deno.stdout.isTerminal()) {
    return (await new Deno.Command(program, { args, ...streams, stdout: "inherit" }).spawn().status).code;
  }
  const env = { SYSTEMD_COLORS: Deno.env.get("NO_COLOR") ? "0" : "1", COLUMNS: `${columnsOfTerminal()}` };
  const child = new Deno.Command(program, { args, env, ...streams, stdout: "piped" }).spawn();
  const shown = new PrintableStream();
  for await (const chunk of child.stdout) await writeAll(shown.take(chunk));
  await writeAll(shown.end());
  return (await child.status).code;
}

function columnsOfTerminal(): number {
  try {
    return Deno.consoleSize().columns;
  } catch {
    // Its size is not to be had.
    return 80;
  }
}

async function writeAll(bytes: Uint8Array): Promise<void> {
  for (let rest = bytes; rest.length > 0;) rest = rest.subarray(await Deno.stdout.write(rest));
}

/** Runs a program and yields the lines it writes. Throws if it fails. */
export async function* linesOfProgram([program = "", ...args]: readonly string[]): AsyncGenerator<string> {
  const child = new Deno.Command(program, { args, stdin: "null", stdout: "piped", stderr: "piped" }).spawn();
  const said = new Response(child.stderr).text();
  let rest = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() as string;
    yield* lines;
  }
  if (rest !== "") yield rest;
  const { code } = await child.status;
  if (code !== 0) throw new Error((await said).trim() || `${program} ended with ${code}`);
}

/** Runs a program to its end and returns what it wrote; undefined if there is no such program. */
export async function captureProgram([program = "", ...args]: readonly string[]): Promise<CapturedOutput | undefined> {
  try {
    const { code, stdout, stderr } = await new Deno.Command(program, { args, stdin: "null" }).output();
    return { status: code, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
