/**
 * The adapter to the parts of this machine that SSH uses: files, the agent and programs.
 *
 * @module
 */

import { dirname } from "node:path/posix";
import type { CapturedOutput } from "./remote.ts";
import { linesOf } from "../output/lines.ts";
import { copyPrintable, terminalSize } from "../terminal/deno.ts";

/** The parts of this machine that SSH uses. */
export interface SshEnvironment {
  /** Home directory; undefined if there is none. */
  readonly home: string | undefined;
  /** Name of the user who runs fleetctl; undefined if it is unknown. */
  readonly user: string | undefined;
  /** ID of that user. */
  readonly uid: number;
  /** Path of the SSH agent's socket; undefined if there is no agent. */
  readonly agentSocket: string | undefined;
  /** Appends a line to a file; creates the file (mode 0644) and its directory (0700) if they do not exist. */
  appendLine(path: string, line: string): Promise<void>;
}

/** The real {@link SshEnvironment}. */
export function sshEnvironment(): SshEnvironment {
  return {
    home: Deno.env.get("HOME") || undefined,
    user: Deno.env.get("USER") || Deno.env.get("LOGNAME") || undefined,
    uid: Deno.uid() ?? 0,
    agentSocket: Deno.env.get("SSH_AUTH_SOCK") || undefined,
    appendLine,
  };
}

async function appendLine(path: string, line: string): Promise<void> {
  await Deno.mkdir(dirname(path), { recursive: true, mode: 0o700 });
  // A file that cannot be read cannot be written either: the error of writing says why.
  const before = await Deno.readTextFile(path).catch(() => "");
  const gap = before && !before.endsWith("\n") ? "\n" : "";
  await Deno.writeTextFile(path, gap + line, { append: true, mode: 0o644 });
}

/**
 * Runs a program with our standard streams, and returns its exit status, 128 + n if signal n ended it. Control sequences
 * in its output do not reach a terminal. Throws if it cannot be started.
 */
export async function runProgram([program = "", ...args]: readonly string[]): Promise<number> {
  const streams = { stdin: "inherit", stderr: "inherit" } as const;
  if (!Deno.stdout.isTerminal()) {
    return (await new Deno.Command(program, { args, ...streams, stdout: "inherit" }).spawn().status).code;
  }
  const env = { SYSTEMD_COLORS: Deno.env.get("NO_COLOR") ? "0" : "1", COLUMNS: `${terminalSize().columns}` };
  const child = new Deno.Command(program, { args, env, ...streams, stdout: "piped" }).spawn();
  await copyPrintable(child.stdout, Deno.stdout);
  return (await child.status).code;
}

/** Runs a program and yields the lines that it writes. If it fails, throws with the text of its standard error. */
export async function* linesOfProgram([program = "", ...args]: readonly string[]): AsyncGenerator<string> {
  const child = new Deno.Command(program, { args, stdin: "null", stdout: "piped", stderr: "piped" }).spawn();
  const errors = new Response(child.stderr).text();
  yield* linesOf(child.stdout.pipeThrough(new TextDecoderStream()));
  const { code } = await child.status;
  if (code !== 0) throw new Error((await errors).trim() || `${program} ended with ${code}`);
}

/** Runs a program and returns its output; undefined if the program does not exist. */
export async function captureProgram([program = "", ...args]: readonly string[]): Promise<CapturedOutput | undefined> {
  try {
    const { code, stdout, stderr } = await new Deno.Command(program, { args, stdin: "null" }).output();
    return { status: code, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
