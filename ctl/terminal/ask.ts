/**
 * The adapter to the user at the controlling terminal, tty(4): standard input and output may lead elsewhere and belong to
 * the command. Only programs that may do everything can open /dev/tty under Deno, so coreutils read and write it.
 *
 * @module
 */

import { printable } from "../output/sanitize.ts";

/** Ends when the latest question has been answered: questions are asked one at a time. */
let latest: Promise<unknown> = Promise.resolve();

/**
 * Asks a question on the controlling terminal and returns the line that is typed, without its end. Undefined if there is
 * no terminal, or the user gives up (^D; ^C too where the answer is secret). A secret answer is not shown.
 */
export function askOnTerminal(question: string, { secret = false } = {}): Promise<string | undefined> {
  const answer = latest.then(() => secret ? askSecret(question) : askLine(question));
  latest = answer.catch(() => {});
  return answer;
}

async function askLine(question: string): Promise<string | undefined> {
  return await write(printable(question)) ? await readLine() : undefined;
}

async function askSecret(question: string): Promise<string | undefined> {
  if (!await run("stty", ["-F", "/dev/tty", "-echo"])) return undefined;
  // ^C ends the program that reads; this one takes it for giving up, so that the terminal echoes again.
  const giveUp = () => {};
  Deno.addSignalListener("SIGINT", giveUp);
  try {
    return await askLine(question);
  } finally {
    await run("stty", ["-F", "/dev/tty", "echo"]);
    Deno.removeSignalListener("SIGINT", giveUp);
    await write("\n");
  }
}

/** Runs a program without streams; true if it succeeds. */
async function run(program: string, args: readonly string[]): Promise<boolean> {
  const streams = { stdin: "null", stdout: "null", stderr: "null" } as const;
  try {
    return (await new Deno.Command(program, { args: [...args], ...streams }).output()).success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Writes to the terminal; false if there is none. */
async function write(text: string): Promise<boolean> {
  const child = new Deno.Command("tee", { args: ["/dev/tty"], stdin: "piped", stdout: "null", stderr: "null" }).spawn();
  const input = child.stdin.getWriter();
  await input.write(new TextEncoder().encode(text)).catch(() => {});
  await input.close().catch(() => {});
  return (await child.status).success;
}

/** Reads one line of the terminal; undefined if it ends without one. */
async function readLine(): Promise<string | undefined> {
  const args = ["-n", "1", "/dev/tty"];
  const child = new Deno.Command("head", { args, stdin: "null", stdout: "piped", stderr: "null" }).spawn();
  const end = () => child.kill();
  globalThis.addEventListener("unload", end);
  try {
    const { stdout } = await child.output();
    const text = new TextDecoder().decode(stdout);
    return text === "" ? undefined : text.replace(/\r?\n$/, "");
  } finally {
    globalThis.removeEventListener("unload", end);
  }
}
