/**
 * The door to what SSH needs of this very machine: its files, its agent and whoever sits at the terminal.
 *
 * @module
 */

import { dirname } from "node:path/posix";

/** What SSH needs of this machine and of the user at its terminal. */
export interface Local {
  /** Home directory; undefined if there is none. */
  readonly home: string | undefined;
  /** Path of the SSH agent's socket; undefined if there is no agent. */
  readonly agentSocket: string | undefined;
  /** Text of a file; undefined if there is none. Throws when it is there and cannot be read. */
  readFile(path: string): Promise<string | undefined>;
  /** Names in a directory; none if it is not there. Throws when it is there and cannot be read. */
  list(directory: string): Promise<string[]>;
  /** Adds a line to a file; makes it (mode 0644) and its directory (0700) where they are missing. */
  appendLine(path: string, line: string): Promise<void>;
  /** Asks a question on standard error and reads a line of standard input; undefined if there is none to read. */
  ask(question: string): Promise<string | undefined>;
  /** The same, without showing the answer; undefined too if standard input is no terminal or the user gave up. */
  askSecret(question: string): Promise<string | undefined>;
}

/** The real {@link Local}. */
export function localMachine(): Local {
  return {
    home: Deno.env.get("HOME") || undefined,
    agentSocket: Deno.env.get("SSH_AUTH_SOCK") || undefined,
    readFile,
    list,
    appendLine,
    ask: (question) => {
      tell(question);
      return readLine();
    },
    askSecret,
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

/** Runs a program with our standard streams; 128 + n if signal n ended it. Throws if it cannot be started. */
export async function runProgram([program = "", ...args]: readonly string[]): Promise<number> {
  const streams = { stdin: "inherit", stdout: "inherit", stderr: "inherit" } as const;
  return (await new Deno.Command(program, { args, ...streams }).spawn().status).code;
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

function tell(text: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(text));
}

/** Reads byte for byte: what follows the line belongs to the command that is to run. */
async function readLine(): Promise<string | undefined> {
  const bytes: number[] = [];
  const one = new Uint8Array(1);
  while (await Deno.stdin.read(one) !== null) {
    if (one[0] === 10) return new TextDecoder().decode(new Uint8Array(bytes)).trim();
    bytes.push(one[0] as number);
  }
  return bytes.length > 0 ? new TextDecoder().decode(new Uint8Array(bytes)).trim() : undefined;
}

/** Keys of a terminal in raw mode. */
const [ctrlC, ctrlD, backspace, enter, newline, del] = [3, 4, 8, 13, 10, 127];

async function askSecret(question: string): Promise<string | undefined> {
  if (!Deno.stdin.isTerminal()) return undefined;
  tell(question);
  Deno.stdin.setRaw(true);
  const bytes: number[] = [];
  const one = new Uint8Array(1);
  try {
    while (await Deno.stdin.read(one) !== null) {
      const key = one[0] as number;
      if (key === ctrlC || key === ctrlD) return undefined;
      if (key === enter || key === newline) return new TextDecoder().decode(new Uint8Array(bytes));
      if (key === backspace || key === del) bytes.pop();
      else bytes.push(key);
    }
    return undefined;
  } finally {
    Deno.stdin.setRaw(false);
    tell("\n");
  }
}
