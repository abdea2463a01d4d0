/**
 * The adapter to the user at the controlling terminal, tty(4): standard input and output may be redirected and belong to
 * the command. Deno opens /dev/tty only for programs with all permissions, so coreutils read and write it.
 *
 * @module
 */

import { printable } from "../output/sanitize.ts";

/** Settles when the latest question has been answered: questions are asked one at a time. */
let latest: Promise<unknown> = Promise.resolve();

/**
 * Asks a question on the controlling terminal and returns the line that the user types, without its line feed. Returns
 * undefined if there is no terminal, or the user cancels with ^D (or with ^C if the answer is secret). A secret answer is
 * not shown.
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
  if (!await stty("-echo")) return undefined;
  // ^C ends the program that reads. This process ignores the signal, so that it can turn the echo on again.
  const ignore = () => {};
  Deno.addSignalListener("SIGINT", ignore);
  try {
    return await askLine(question);
  } finally {
    await stty("echo");
    Deno.removeSignalListener("SIGINT", ignore);
    await write("\n");
  }
}

/** Changes a setting of the terminal by stty(1). Returns false if that fails. */
async function stty(setting: string): Promise<boolean> {
  const streams = { stdin: "null", stdout: "null", stderr: "null" } as const;
  try {
    return (await new Deno.Command("stty", { args: ["-F", "/dev/tty", setting], ...streams }).output()).success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Writes to the terminal. Returns false if there is none. */
async function write(text: string): Promise<boolean> {
  const child = new Deno.Command("tee", { args: ["/dev/tty"], stdin: "piped", stdout: "null", stderr: "null" }).spawn();
  const input = child.stdin.getWriter();
  await input.write(new TextEncoder().encode(text)).catch(() => {});
  await input.close().catch(() => {});
  return (await child.status).success;
}

/** Reads one line from the terminal. Returns undefined if input ends without one. */
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
