/**
 * Programs that a test writes and then runs.
 *
 * Another process writes them: while this process has a file open for writing, a program that any of its threads starts
 * inherits the descriptor for a moment, and execve(2) of the file fails with ETXTBSY.
 *
 * @module
 */

import { must } from "../lab/process.ts";

/** Writes a program. Throws if the file cannot be written. */
export async function writeProgram(path: string, text: string, mode = 0o755): Promise<void> {
  const command = new Deno.Command("/bin/sh", { args: ["-c", 'cat >"$0"', path], stdin: "piped", stderr: "piped" });
  const child = command.spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(text));
  await writer.close();
  const { success, stderr } = await child.output();
  if (!success) throw new Error(`cannot write ${path}: ${new TextDecoder().decode(stderr).trim()}`);
  await Deno.chmod(path, mode);
}

/** Copies a program with its mode. Throws if it cannot be copied. */
export async function copyProgram(from: string, to: string): Promise<void> {
  const { success, stderr } = await new Deno.Command("cp", { args: ["-p", from, to], stdin: "null" }).output();
  if (!success) throw new Error(`cannot copy ${from}: ${new TextDecoder().decode(stderr).trim()}`);
}

/** Returns the directory where deno keeps packages, for programs that run with another home directory. */
export async function cacheDirectory(): Promise<string> {
  return (JSON.parse(await must([Deno.execPath(), "info", "--json"])) as { denoDir: string }).denoDir;
}
