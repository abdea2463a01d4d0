/**
 * Checks unit files by the systemd of this machine, and Quadlet files by its podman. An adapter.
 *
 * @module
 */

import type { UnitName } from "../../../registry/model.ts";
import { onceAborted } from "../../../runtime/on_abort.ts";
import { generatorPaths } from "../../../systemd/quadlet/generator.ts";
import { isQuadlet } from "../../../systemd/unit_name.ts";

/** Longest output of a program that is read. One with more to say is ended. */
const maxOutput_bytes = 256 * 1024;

/**
 * Writes unit files to `directory`, which is created and removed again, and returns what `systemd-analyze verify` and
 * podman's generator print about them, as `LocalMachine.verify` does. Two calls must not use the same directory at the same time.
 */
export async function verifyUnits(
  directory: string,
  user: boolean,
  files: ReadonlyMap<UnitName, string>,
  signal: AbortSignal,
): Promise<string | undefined> {
  signal.throwIfAborted();
  // A daemon that was killed may have left it behind.
  await remove(directory);
  await Deno.mkdir(directory, { mode: 0o700 });
  try {
    await Promise.all([...files].map(([name, text]) => {
      return Deno.writeTextFile(`${directory}/${name}`, text, { createNew: true });
    }));
    signal.throwIfAborted();
    const flags = user ? ["--user"] : [];
    const units = [...files.keys()].filter((name) => !isQuadlet(name)).map((name) => `${directory}/${name}`);
    const texts: (string | undefined)[] = [];
    if (units.length > 0) {
      texts.push(await output("systemd-analyze", [...flags, "verify", "--man=no", ...units], {}, signal));
    }
    if (units.length < files.size) {
      const generator = generatorPaths[user ? "user" : "system"];
      texts.push(await output(generator, [...flags, "--dryrun"], { QUADLET_UNIT_DIRS: directory }, signal));
    }
    return texts.every((text) => text === undefined) ? undefined : texts.join("");
  } finally {
    await remove(directory);
  }
}

/** Returns what a program writes to standard error; undefined if this machine does not have it. */
async function output(
  program: string,
  args: readonly string[],
  variables: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<string | undefined> {
  const child = spawn(program, args, variables);
  if (child === undefined) return undefined;
  const stopWaiting = onceAborted([signal], () => kill(child));
  try {
    const text = await readStart(child);
    signal.throwIfAborted();
    return text;
  } finally {
    stopWaiting();
    await child.status;
  }
}

function spawn(
  program: string,
  args: readonly string[],
  variables: Readonly<Record<string, string>>,
): Deno.ChildProcess | undefined {
  const log = { SYSTEMD_COLORS: "0", SYSTEMD_LOG_LEVEL: "notice", SYSTEMD_LOG_TARGET: "console" };
  const env = { LC_ALL: "C.UTF-8", ...log, ...variables };
  try {
    const pipes = { stdin: "null", stdout: "null", stderr: "piped" } as const;
    return new Deno.Command(program, { args: [...args], env, ...pipes }).spawn();
  } catch (error) {
    // Deno does not permit a program that it has not found at its start.
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotCapable) return undefined;
    throw error;
  }
}

/** Returns the whole lines in the first {@link maxOutput_bytes} of standard error, and ends a program that prints more. */
async function readStart(child: Deno.ChildProcess): Promise<string> {
  let text = "";
  for await (const piece of child.stderr.pipeThrough(new TextDecoderStream())) {
    text += piece;
    if (text.length < maxOutput_bytes) continue;
    kill(child);
    return text.slice(0, text.lastIndexOf("\n", maxOutput_bytes) + 1);
  }
  return text;
}

/** Kills a program that may have exited already. */
function kill(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGKILL");
  } catch (error) {
    if (!(error instanceof TypeError) && !(error instanceof Deno.errors.NotFound)) throw error;
  }
}

async function remove(directory: string): Promise<void> {
  try {
    await Deno.remove(directory, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
